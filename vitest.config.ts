import { randomInt } from "node:crypto"
import * as fs from "node:fs"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { configDefaults, defineConfig } from "vitest/config"
import { publicModules } from "./scripts/exports.js"

const src = fileURLToPath(new URL("./src", import.meta.url))

/** Test files of a long run alone, which build the whole site for instance. */
const onlyLong = ".long.test.ts"

/**
 * The test files of a long run: those with properties, which ask `test/support/runs.ts` how many
 * cases to try, those that start real servers, and those of long runs alone.
 */
const longFiles = (): Array<string> =>
  fs.readdirSync(new URL("./test", import.meta.url), { recursive: true, encoding: "utf8" })
    .map((name) => `test/${name.replaceAll("\\", "/")}`)
    .filter((name) =>
      name.endsWith(onlyLong) ||
      name.endsWith(".test.ts") &&
        /\/support\/(runs|processes)\.js"/.test(
          fs.readFileSync(new URL(name, import.meta.url), "utf8")
        )
    )

/**
 * By default all others run, and properties try a share of their cases, the same in every run.
 * With `--mode long` only those files run, and properties try all cases under a fresh seed.
 */
export default defineConfig(({ mode }) => {
  const isLong = mode === "long"
  const seed = process.env["TEST_SEED"] ?? String(isLong ? randomInt(2 ** 31) : 20_261_121)
  if (isLong) console.log(`Properties under seed ${seed}: TEST_SEED=${seed} repeats this run.`)
  return {
    resolve: {
      alias: [...publicModules(src)].map(([subpath, file]) => ({
        find: new RegExp(`^effect-resilience${subpath.slice(1)}$`),
        replacement: `${src}/${file}`
      }))
    },
    test: {
      include: isLong ? longFiles() : ["test/**/*.test.ts"],
      exclude: [...configDefaults.exclude, ...(isLong ? [] : [`test/**/*${onlyLong}`])],
      env: { TEST_SEED: seed, ...(isLong ? { TEST_LONG: "1" } : {}) },
      setupFiles: ["test/support/seed.ts", "test/support/betweenTests.ts"],
      // Vitest leaves one core free, which on a machine of two is half of it.
      maxWorkers: Math.max(2, availableParallelism() - 1),
      // Every file would load effect again, which takes longer than the tests of most.
      isolate: false,
      // A property of a thousand runs takes its time on a busy machine.
      testTimeout: isLong ? 180_000 : 30_000,
      hookTimeout: isLong ? 180_000 : 60_000,
      reporters: ["default", "json"],
      outputFile: { json: isLong ? "reports/vitest-long.json" : "reports/vitest.json" },
      silent: "passed-only"
    }
  }
})
