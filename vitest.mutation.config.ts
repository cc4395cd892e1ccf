import { defineConfig } from "vitest/config"
import base from "./vitest.config.js"

/** Only what tests the files that are mutated, in all cases, and no reports. */
export default defineConfig({
  ...base({ command: "serve", mode: "test" }),
  test: {
    include: [
      "test/core/circuit.*.test.ts",
      "test/core/countWindow.test.ts",
      "test/core/timeWindow.test.ts",
      "test/core/trials.test.ts"
    ],
    env: { TEST_LONG: "1" },
    silent: "passed-only"
  }
})
