import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { publicModules } from "./scripts/exports.js"

const src = fileURLToPath(new URL("./src", import.meta.url))

export default defineConfig({
  resolve: {
    alias: [...publicModules(src)].map(([subpath, file]) => ({
      find: new RegExp(`^effect-resilience${subpath.slice(1)}$`),
      replacement: `${src}/${file}`
    }))
  },
  test: {
    include: ["test/**/*.test.ts"],
    // A property of a thousand runs takes its time on a busy machine.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ["default", "json"],
    outputFile: { json: "reports/vitest.json" },
    silent: "passed-only"
  }
})
