/** `simulate` and `compare`: what policies come to under a scenario. */
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { assumptions } from "../../report/assumptions.js"
import * as Report from "../../report/Report.js"
import { visible } from "../../report/visible.js"
import * as Simulation from "../../simulation/Simulation.js"
import { Found, type Refused } from "../errors.js"
import { type NamedScenario, policies, scenario } from "../inputs.js"
import { CurrentIo } from "../io.js"
import { broken, limits } from "../limits.js"
import { refusals, whole } from "../numbers.js"
import { withProgress } from "../progress.js"
import * as Table from "../table.js"
import { mayWrite, write } from "../write.js"

/** The options as they are written. */
export interface Given {
  readonly scenario: string
  readonly seed: string
  readonly replications: string
  readonly workers: string
  readonly report: string | undefined
  readonly atMost: ReadonlyArray<string>
  readonly json: boolean
  readonly force: boolean
}

/** What the engine is given besides the scenario. */
interface Numbers {
  readonly seed: number
  readonly replications: number
  readonly workers: number
}

const numbersOf = ({ replications, seed, workers }: Given): Effect.Effect<Numbers, Refused> =>
  Effect.all({
    seed: whole("seed", seed, 0, 2 ** 31 - 1),
    replications: whole("replications", replications, 1, 100_000),
    workers: whole("workers", workers, 1, 256)
  })

/** What the reader of figures has to know besides them. */
const remarks = (
  results: ReadonlyArray<Simulation.Result>,
  { scenario }: NamedScenario
): string => {
  const warnings = results.flatMap(({ policy, warnings }) =>
    warnings.map((warning) => `warning: ${policy}: ${warning}`)
  )
  const assumed = assumptions(scenario).map(({ name, says }) => `  ${name}: ${says}`)
  return [...warnings, "under this scenario:", ...assumed, ""].join("\n")
}

interface Simulated<A> {
  readonly found: A
  readonly results: ReadonlyArray<Simulation.Result>
  /** Those that the limits are for. */
  readonly limited: ReadonlyArray<Simulation.Result>
  readonly json: string
  readonly table: string
}

const told = <A extends Simulation.Result | Simulation.Comparison>(
  given: Given,
  simulated: (named: NamedScenario, numbers: Numbers) => Effect.Effect<
    Simulated<A>,
    Refused,
    FileSystem.FileSystem | Path.Path | CurrentIo
  >
) =>
  Effect.gen(function*() {
    const io = yield* CurrentIo
    const numbers = yield* numbersOf(given)
    const bound = yield* limits(given.atMost)
    const { report } = given
    if (report !== undefined) yield* mayWrite(report, given.force)
    const named = yield* scenario(given.scenario)
    const { found, json, limited, results, table } = yield* simulated(named, numbers)
    if (report !== undefined) {
      yield* write(report, Report.html(found, named), given.force)
    }
    yield* io.out.write(given.json ? `${json}\n` : visible(table))
    if (!given.json) yield* io.err.write(visible(remarks(results, named)))
    const kept = broken(limited, bound)
    yield* io.err.write(visible(kept.map((line) => `${line}\n`).join("")))
    if (kept.length > 0) return yield* new Found()
  })

const encodeResult = Schema.encodeSync(Schema.parseJson(Simulation.Result, { space: 2 }))
const encodeComparison = Schema.encodeSync(Schema.parseJson(Simulation.Comparison, { space: 2 }))

/** Simulates the policy in a file. */
export const simulatePolicy = (file: string, given: Given) =>
  told(given, (named, numbers) =>
    Effect.gen(function*() {
      const [policy] = yield* policies([file])
      const found = yield* withProgress((onProgress) =>
        refusals(Simulation.run(policy, { ...numbers, scenario: named.scenario, onProgress }))
      )
      return {
        found,
        results: [found],
        limited: [found],
        json: encodeResult(found),
        table: Table.result(found, named)
      }
    }))

/** Simulates the policies in files side by side. The limits are for those after the first. */
export const comparePolicies = (files: Arr.NonEmptyReadonlyArray<string>, given: Given) =>
  told(given, (named, numbers) =>
    Effect.gen(function*() {
      const read = yield* policies(files)
      const found = yield* withProgress((onProgress) =>
        refusals(Simulation.compare(read, { ...numbers, scenario: named.scenario, onProgress }))
      )
      const { results } = found
      return {
        found,
        results,
        limited: results.slice(1),
        json: encodeComparison(found),
        table: Table.comparison(found, named)
      }
    }))
