/** What the job and the server have agreed on. In a real program these come from configuration. */
import { Duration, Redacted } from "effect"
import { fileURLToPath } from "node:url"

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

export const partnerId = "partner-1024"

export const whitelistedDomain = "https://app.example.com"

export const secretKeys = {
  production: Redacted.make("demo-production-secret"),
  development: Redacted.make("demo-development-secret")
}

/**
 * How many requests Widget Session has agreed to, from all processes together. A token that a
 * process has taken lapses after `leaseTime`.
 */
export const agreed = {
  limit: 60,
  interval: "1 second",
  burst: 20,
  leaseTime: Duration.millis(500),
  maxWait: "3 minutes"
} as const

/** What the members of the fleet have in common. */
export const fleetSecret = "demo-fleet-secret"

export const files = {
  rows: here("../data/sessions.ndjson"),
  server: here("./server.ts"),
  /** Where a running server is written down, so that a second run finds it. */
  address: here("../out/server.json")
}
