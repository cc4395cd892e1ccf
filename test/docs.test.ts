import * as path from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import { generate, repository, run, typeCheck } from "../scripts/doc-examples.js"

const examples = generate(repository, path.join(repository, ".doc-examples"))

describe("examples of the documentation", () => {
  let errors: ReturnType<typeof typeCheck>

  beforeAll(() => {
    errors = typeCheck(examples)
  }, 120_000)

  it("there are some", () => {
    expect(examples.length).toBeGreaterThan(0)
  })

  it.each(examples.map((example) => [example.name, example] as const))("%s", async (_, example) => {
    expect([...example.problems, ...(errors.get(example) ?? [])].join("\n")).toBe("")
    await run(example)
  }, 30_000)
})
