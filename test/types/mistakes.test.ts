/**
 * What the compiler says of typical mistakes: somewhere in the message stand the field and the
 * right word.
 */
import * as path from "node:path"
import ts from "typescript"
import { beforeAll, describe, expect, it } from "vitest"

const root = path.join(import.meta.dirname, "../..")

const head = `import { Data, Effect } from "effect"
import {
  ApiClient, Backoff, Bulkhead, CircuitBreaker, IdempotencyKey, Operation, Pipeline, Retry, Timeout
} from "effect-resilience"
class Busy extends Data.TaggedError("Busy")<{}> {}
const call: Effect.Effect<string, Busy> = Effect.fail(new Busy())
const operation = Operation.read
export const used = [
  ApiClient, Backoff, Bulkhead, CircuitBreaker, IdempotencyKey, Pipeline, Retry, Timeout, call
]
`

/** A mistake, and what stands in the message. */
const mistakes: Readonly<Record<string, readonly [string, ...ReadonlyArray<string>]>> = {
  "a key that was forgotten": [
    `Effect.runPromise(Effect.flatMap(Pipeline.make({ operation: Operation.keyed }), (pipeline) =>
      Pipeline.protect(Effect.void, pipeline)))`,
    "IdempotencyKey"
  ],
  "a typo in a stage": [
    `Pipeline.make({ operation, totalTimout: "1 second" })`,
    "totalTimout",
    "totalTimeout"
  ],
  "a typo in an option of a stage": [
    "Pipeline.make({ operation, retry: { retires: 3 } })",
    "retires",
    "retries"
  ],
  "a typo in an option of a guard, which may also be an instance": [
    "Pipeline.make({ operation, circuitBreaker: { minimunCalls: 3 } })",
    "minimunCalls",
    "CircuitBreaker | Options"
  ],
  "a duration that is none": [
    `Pipeline.make({ operation, totalTimeout: "10s" })`,
    "totalTimeout",
    "10s",
    "DurationInput"
  ],
  "attempts for retries": [
    `Pipeline.make({ operation, retry: { attempts: 3 } })`,
    "attempts",
    "use retries: calls after the first"
  ],
  "attempts for retries, of a retry alone": [
    `Retry.retry(call, { operation, maxAttempts: 3, verdict: () => Pipeline as never })`,
    "maxAttempts",
    "use retries: calls after the first"
  ],
  "an error without a verdict": [
    `Retry.retry(call, { operation })`,
    "Busy",
    "verdict"
  ],
  "timeout for totalTimeout": [
    `Pipeline.make({ operation, timeout: "1 second" })`,
    "timeout",
    "totalTimeout",
    "attemptTimeout"
  ],
  "an option of a retry beside the retry": [
    `Pipeline.make({ operation, retries: 3 })`,
    "retries",
    "use retry: { retries }"
  ],
  "threshold for failureRate": [
    `CircuitBreaker.make({ threshold: 0.5 })`,
    "threshold",
    "failureRate"
  ],
  "resetTimeout for openDuration": [
    `Pipeline.make({ operation, circuitBreaker: { resetTimeout: 30_000 } })`,
    "resetTimeout",
    "openDuration"
  ],
  "maxConcurrent for concurrency": [
    `Bulkhead.make({ maxConcurrent: 10 })`,
    "maxConcurrent",
    "concurrency"
  ],
  "max for cap": [
    `Backoff.exponential({ base: "1 second", max: "1 minute" })`,
    "max",
    "use cap"
  ],
  "url for baseUrl": [
    `ApiClient.make({ name: "api", url: "https://api.example.com" })`,
    "url",
    "baseUrl"
  ],
  "an operation that was forgotten": [
    `Pipeline.make({ totalTimeout: "1 second" })`,
    "operation"
  ]
}

const fileOf = (name: string): string =>
  path.join(root, "test/types", `mistake-${name.replaceAll(/\W+/g, "-")}.ts`)

describe("what the compiler says of", () => {
  const messages = new Map<string, string>()

  beforeAll(() => {
    const texts = new Map(
      Object.entries(mistakes).map(([name, [code]]) => [fileOf(name), `${head}${code}\n`])
    )
    const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile)
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
    const host = ts.createCompilerHost(options)
    const { fileExists, getSourceFile, readFile } = host
    host.fileExists = (file) => texts.has(file) || fileExists(file)
    host.readFile = (file) => texts.get(file) ?? readFile(file)
    host.getSourceFile = (file, ...rest) => {
      const text = texts.get(file)
      return text === undefined
        ? getSourceFile(file, ...rest)
        : ts.createSourceFile(file, text, ts.ScriptTarget.ES2022)
    }
    const program = ts.createProgram([...texts.keys()], options, host)
    for (const name of Object.keys(mistakes)) {
      // As tsc prints it: the line, the message, and the lines that it relates to.
      const said = program.getSemanticDiagnostics(program.getSourceFile(fileOf(name)))
      messages.set(
        name,
        ts.formatDiagnosticsWithColorAndContext(said, {
          getCanonicalFileName: (file) => file,
          getCurrentDirectory: () => root,
          getNewLine: () => "\n"
          // oxlint-disable-next-line no-control-regex
        }).replaceAll(/\u001b\[\d*m/g, "")
      )
    }
  }, 120_000)

  it.each(Object.entries(mistakes))("%s", (name, [, ...words]) => {
    const message = messages.get(name) ?? ""
    for (const word of words) expect(message).toContain(word)
  })
})
