/**
 * Prints the closing count of the tests from vitest's JSON report: `tests: N passed, N failed`.
 *
 * Usage: `tsx scripts/test-count.ts reports/vitest.json`. Exits with 1 when a test failed or when
 * there is none.
 */
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"

export interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly testResults: ReadonlyArray<
    { readonly status: string; readonly assertionResults: ReadonlyArray<unknown> }
  >
}

/** A test file that could not be loaded has no tests of its own; it counts as one failure. */
export const count = (report: Report): { readonly passed: number; readonly failed: number } => ({
  passed: report.numPassedTests,
  failed: report.numFailedTests
    + report.testResults.filter(({ status, assertionResults }) =>
      status === "failed" && assertionResults.length === 0
    )
      .length
})

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { passed, failed } = count(
    JSON.parse(fs.readFileSync(process.argv[2] ?? "reports/vitest.json", "utf8")) as Report
  )
  console.log(`tests: ${passed} passed, ${failed} failed`)
  if (failed > 0 || passed === 0) process.exitCode = 1
}
