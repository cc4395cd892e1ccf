/**
 * Measures one client of another library in a process of its own: GET, JSON, with the retries and
 * the limits of time that it has. Prints microseconds of CPU per call of each round as JSON.
 */
import { create } from "axios"
import axiosRetry, { exponentialDelay } from "axios-retry"
import * as cockatiel from "cockatiel"
import { got } from "got"
import ky from "ky"
import Opossum from "opossum"
import { type OtherSettings, otherSettingsOf } from "./settings.js"

type Send = () => Promise<unknown>

/** The text is read and parsed, as all of them do. */
const plainFetch = async (url: string): Promise<unknown> => {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`status ${response.status}`)
  return response.json()
}

const sends: Readonly<Record<OtherSettings["client"], (url: string) => Send>> = {
  fetch: (url) => () => plainFetch(url),
  got: (url) => {
    const client = got.extend({ retry: { limit: 3 }, timeout: { request: 10_000 } })
    return () => client(url).json()
  },
  ky: (url) => {
    const client = ky.create({ retry: 3, timeout: 10_000 })
    return () => client(url).json()
  },
  axios: (url) => {
    const client = create({ timeout: 10_000 })
    axiosRetry(client, { retries: 3, retryDelay: exponentialDelay })
    return () => client.get(url)
  },
  cockatiel: (url) => {
    const policy = cockatiel.wrap(
      cockatiel.timeout(30_000, cockatiel.TimeoutStrategy.Aggressive),
      cockatiel.retry(cockatiel.handleAll, {
        maxAttempts: 3,
        backoff: new cockatiel.ExponentialBackoff()
      }),
      cockatiel.circuitBreaker(cockatiel.handleAll, {
        halfOpenAfter: 30_000,
        breaker: new cockatiel.CountBreaker({ threshold: 0.5, size: 100 })
      }),
      cockatiel.timeout(10_000, cockatiel.TimeoutStrategy.Aggressive)
    )
    return () => policy.execute(() => plainFetch(url))
  },
  opossum: (url) => {
    const breaker = new Opossum(() => plainFetch(url), { timeout: 10_000 })
    return () => breaker.fire()
  }
}

const round = async (send: Send, calls: number, callers: number): Promise<void> => {
  let left = calls
  const caller = async () => {
    while (left-- > 0) await send()
  }
  await Promise.all(Array.from({ length: callers }, caller))
}

const { callers, calls, client, rounds, url, warmUp } = otherSettingsOf(process.argv.slice(2))
const send = sends[client](`${url}/v1/things`)
const found: Array<number> = []
for (let index = -warmUp; index < rounds; index++) {
  const before = process.cpuUsage()
  await round(send, calls, callers)
  const { system, user } = process.cpuUsage(before)
  if (index >= 0) found.push((user + system) / calls)
}
console.log(JSON.stringify(found))
process.exit()
