import { defineConfig, mergeConfig } from "vitest/config"
import base from "./vitest.config.js"

/** Only what tests the files that are mutated, and no reports. */
export default defineConfig({
  ...mergeConfig(base, {}),
  test: {
    include: [
      "test/core/circuit.*.test.ts",
      "test/core/countWindow.test.ts",
      "test/core/timeWindow.test.ts",
      "test/core/trials.test.ts"
    ],
    silent: "passed-only"
  }
})
