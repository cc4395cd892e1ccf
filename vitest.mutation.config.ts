import { defineConfig } from "vitest/config"
import base from "./vitest.config.js"

/**
 * Only what tests the files that are mutated, and no reports. Properties try the share of their
 * cases that `npm test` tries, under the same seed: a mutant is killed in every run or in none. A
 * property that fails is not shrunk, and files are not isolated, so that effect is loaded once for
 * each mutant.
 */
export default defineConfig(({ command, mode }) => {
  const { test, ...rest } = base({ command, mode })
  return {
    ...rest,
    test: {
      include: ["test/core/**/*.test.ts"],
      // Real servers and clients: too slow to be asked once for each mutant.
      exclude: ["test/core/*.wires.test.ts"],
      env: { ...test?.env, TEST_SHRINK: "no" },
      setupFiles: test?.setupFiles ?? [],
      isolate: false,
      testTimeout: 30_000,
      silent: "passed-only"
    }
  }
})
