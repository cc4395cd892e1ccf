import { describe, expect, it } from "@effect/vitest"
import * as Library from "effect-resilience"
import * as Laws from "effect-resilience/testing/Laws"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import ts from "typescript"
import { exportsOf, publicModules } from "../scripts/exports.js"

interface Surface {
  readonly file: string
  readonly values: ReadonlyArray<string>
  readonly types: ReadonlyArray<string>
}

/**
 * What users rely on, module by module: the names of the contract, and the file behind each module.
 */
const contract: Readonly<Record<string, Surface>> = {
  ApiError: {
    file: "ApiError",
    values: [
      "Auth",
      "Policy",
      "Validation",
      "NotFound",
      "Conflict",
      "Locked",
      "RateLimit",
      "Server",
      "Timeout",
      "Network",
      "ApiError",
      "isApiError",
      "verdict"
    ],
    types: ["ApiError"]
  },
  Verdict: { file: "Verdict", values: ["terminal", "transient"], types: ["Verdict"] },
  Playbook: {
    file: "Playbook",
    values: ["standard", "extend", "lookup", "markdown"],
    types: ["Entry", "Playbook"]
  },
  Operation: {
    file: "Operation",
    values: ["read", "idempotent", "keyed", "once"],
    types: ["Operation"]
  },
  Backoff: {
    file: "Backoff",
    values: [
      "none",
      "full",
      "equal",
      "additive",
      "constant",
      "linear",
      "exponential",
      "decorrelated",
      "Backoff",
      "delayMillis",
      "envelope",
      "schedule"
    ],
    types: ["Jitter", "Backoff"]
  },
  Schedules: {
    file: "Schedules",
    values: [
      "cappedJitter",
      "honourRetryAfter",
      "whileTransient",
      "retries",
      "attempts",
      "within",
      "budgeted",
      "poll"
    ],
    types: ["Combinator"]
  },
  RetryBudget: {
    file: "RetryBudget",
    values: ["RetryBudget", "make", "layer"],
    types: ["RetryBudget", "Options"]
  },
  Retry: { file: "Retry", values: ["retry", "decide"], types: ["Base", "Options", "Decision"] },
  IdempotencyKey: {
    file: "IdempotencyKey",
    values: ["TypeId", "IdempotencyKey", "make", "fromString", "derive", "provide", "provideNew"],
    types: ["IdempotencyKey"]
  },
  CircuitBreaker: {
    file: "CircuitBreaker",
    values: [
      "count",
      "time",
      "consecutive",
      "rate",
      "success",
      "failure",
      "ignored",
      "CircuitOpen",
      "make",
      "CircuitBreaker",
      "layer",
      "protect",
      "Tag"
    ],
    types: ["State", "Snapshot", "ProtectOptions", "Protect", "CircuitBreaker", "TagClass"]
  },
  Timeout: { file: "Timeout", values: ["attempt", "total"], types: ["Limit"] },
  Bulkhead: { file: "Bulkhead", values: ["BulkheadFull", "make"], types: ["Options", "Bulkhead"] },
  RateLimiter: {
    file: "RateLimiter",
    values: ["RateLimited", "make"],
    types: ["CallOptions", "RateLimiter"]
  },
  Hedge: { file: "Hedge", values: ["hedge"], types: ["Options"] },
  Fallback: { file: "Fallback", values: ["orElse"], types: [] },
  Idempotency: {
    file: "Idempotency",
    values: [
      "InFlight",
      "Mismatch",
      "StoreUnavailable",
      "ResultUnavailable",
      "CorruptRecord",
      "FingerprintError",
      "UnknownOutcome",
      "run"
    ],
    types: ["Options", "Work", "Env"]
  },
  IdempotencyStore: {
    file: "IdempotencyStore",
    values: ["StoreError", "IdempotencyStore", "layerStoreMemory"],
    types: ["Claim", "Held", "Acquired", "Kept", "Service", "IdempotencyStore"]
  },
  IdempotencyMiddleware: { file: "http/IdempotencyMiddleware", values: ["make"], types: [] },
  Pipeline: {
    file: "Pipeline",
    values: ["TypeId", "make", "protect", "Tag", "Spec", "fromConfig", "standard", "describe"],
    types: ["Pipeline", "TagClass"]
  },
  ApiClient: {
    file: "http/ApiClient",
    values: [
      "make",
      "layer",
      "fromResponse",
      "fromClientError",
      "json",
      "withEndpoint",
      "withOperation"
    ],
    types: ["ErrorBody", "Options"]
  },
  Laws: {
    file: "testing/Laws",
    values: ["schedule", "delays", "playbook", "breaker", "idempotencyStore", "pipeline"],
    types: []
  }
}

const modules = Object.entries(contract)
/** Test tools are not in the index; users import them by subpath. */
const library: Readonly<Record<string, Readonly<Record<string, unknown>>>> = { ...Library, Laws }
const src = fileURLToPath(new URL("../src", import.meta.url))
const read = (file: string) => fs.readFileSync(`${src}/${file}`, "utf8")

/** The source of a public module, by its subpath. */
const source = (subpath: string) => read(publicModules(src).get(`./${subpath}`)!)

/** The names of the types that a file exports: those it declares, and those it passes on. */
const exportedTypes = (file: string): ReadonlyArray<string> =>
  ts.createSourceFile(`${file}.ts`, source(file), ts.ScriptTarget.ES2022).statements.flatMap((
    statement
  ) => {
    if (
      ts.isExportDeclaration(statement) && statement.exportClause !== undefined &&
      ts.isNamedExports(statement.exportClause)
    ) {
      return statement.exportClause.elements.map(({ name }) => name.text)
    }
    return (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement) ||
        ts.isClassDeclaration(statement)) &&
        statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true &&
        statement.name !== undefined
      ? [statement.name.text]
      : []
  })

describe("the contract", () => {
  it("every module of it is exported from the index; Laws has a subpath instead", () => {
    const missing = modules.map(([name]) => name).filter((name) => !(name in Library))
    expect(missing).toEqual(["Laws"])
  })

  it.each(modules)("%s exports every value of it", (name, { values }) => {
    const module = library[name] ?? {}
    expect(values.filter((value) => module[value] === undefined)).toEqual([])
  })

  it.each(modules)("%s exports every type of it", (_, { file, types }) => {
    const exported = exportedTypes(file)
    expect(types.filter((type) => !exported.includes(type))).toEqual([])
  })
})

describe("the packaging", () => {
  const packageJson = JSON.parse(
    fs.readFileSync(new URL("../package.json", import.meta.url), "utf8")
  ) as {
    readonly exports: Readonly<Record<string, { readonly types: string; readonly import: string }>>
  }

  const index = read("index.ts").matchAll(/^export \* as \w+ from "\.\/(.+)\.js"$/gm)
  const listed = [...index].map(([, file = ""]) => `${file}.ts`)

  it("every module of the index has an entry in the package, which names its file", () => {
    expect(listed.length).toBe(Object.keys(Library).length)
    expect(listed.filter((file) => ![...publicModules(src).values()].includes(file))).toEqual([])
  })

  it("the index lists all public modules but those of vendors, stores, fleets, test tools and adapters", () => {
    const bySubpath =
      /^((api|fleet|store|testing)\/|http\/(IdempotencyApi|Rpc)\.ts$|pipeline\/PolicyFile\.ts$)/
    const others = [...publicModules(src).values()].filter((file) =>
      file !== "index.ts" && !listed.includes(file)
    )
    expect(others.filter((file) => !bySubpath.test(file))).toEqual([])
    expect(listed.filter((file) => bySubpath.test(file))).toEqual([])
  })

  it("every entry of the package has a source file", () => {
    expect(packageJson.exports).toEqual(exportsOf(src))
  })
})
