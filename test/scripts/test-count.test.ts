import { expect, it } from "vitest"
import { count } from "../../scripts/test-count.js"

it("counts passed and failed tests, and a file that did not load as one failure", () => {
  expect(count({
    numPassedTests: 7,
    numFailedTests: 2,
    testResults: [
      { status: "passed", assertionResults: [{}, {}] },
      { status: "failed", assertionResults: [{}] },
      { status: "failed", assertionResults: [] }
    ]
  })).toEqual({ passed: 7, failed: 3 })
})
