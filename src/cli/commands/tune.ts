/** `tune`: searches for values of a policy that do better. */
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Pipeline from "../../pipeline/Pipeline.js"
import { visible } from "../../report/visible.js"
import { counted, interval, metricWords } from "../../report/words.js"
import * as Simulation from "../../simulation/Simulation.js"
import { Found, refuse, type Refused } from "../errors.js"
import { policies, scenario, stagesOf } from "../inputs.js"
import { CurrentIo } from "../io.js"
import { broken, type Limit, limits, metric } from "../limits.js"
import { refusals, whole } from "../numbers.js"
import { Tuned } from "../output.js"
import { withProgress } from "../progress.js"
import { columns } from "../table.js"
import { mayWrite, write } from "../write.js"

/** The options as they are written. */
export interface Given {
  readonly scenarios: Arr.NonEmptyReadonlyArray<string>
  readonly set: ReadonlyArray<string>
  readonly minimize: string
  readonly atMost: ReadonlyArray<string>
  readonly trials: string
  readonly seed: string
  readonly write: string | undefined
  readonly json: boolean
  readonly force: boolean
}

const decodeJson = Schema.decodeUnknownOption(Schema.parseJson())

/** A number, `true`, `null` and what stands in quotes as in JSON; anything else is a text. */
const valueOf = (text: string): unknown => Option.getOrElse(decodeJson(text), () => text)

const valuesOf = (text: string): ReadonlyArray<unknown> => {
  const list = text.startsWith("[") ? valueOf(text) : undefined
  return Array.isArray(list) ? list : text.split(",").map((value) => valueOf(value.trim()))
}

/** Reads `retry.retries=0,1,2`. */
const searchOf = (
  given: ReadonlyArray<string>
): Effect.Effect<Readonly<Record<string, ReadonlyArray<unknown>>>, Refused> =>
  Effect.map(
    Effect.forEach(given, (text) => {
      const at = text.indexOf("=")
      const path = text.slice(0, Math.max(0, at)).trim()
      const values = text.slice(at + 1).trim()
      return path === "" || values === ""
        ? refuse(`--set: should be a field and its values, as retry.retries=0,1,2, got ${text}`)
        : Effect.succeed([path, valuesOf(values)] as const)
    }),
    (entries) => Object.fromEntries(entries)
  )

/** The engine names what it searches by its own option. */
const asOption = ({ message }: Refused): Refused =>
  refuse(message.replace(/^search(\.\S+)?: /, "--set: "))

const encodeStages = Schema.encodeSync(Pipeline.Spec)
const encode = Schema.encodeSync(Schema.parseJson(Tuned, { space: 2 }))

const settingsOf = (settings: Readonly<Record<string, unknown>>): string =>
  Object.entries(settings).map(([path, value]) => `${path} = ${JSON.stringify(value)}`).join(", ")

/** What came of the search, and the figures that it was about, scenario by scenario. */
const tableOf = (
  found: Simulation.Tuned,
  names: ReadonlyArray<string>,
  minimize: Simulation.Metric,
  bound: ReadonlyArray<Limit>
): string => {
  const { base, difference, isBetter, results, settings, tried } = found
  const { format, formatDifference = format, name } = metricWords[minimize]
  const shown = [...new Set([minimize, ...bound.map(({ metric }) => metric)])]
  const change = difference.isShown
    ? `${formatDifference(difference.mean)} (${interval(difference, formatDifference)})`
    : `no difference shown (${interval(difference, formatDifference)})`
  const rows = names.flatMap((scenario, index) =>
    shown.map((each) => {
      const write = ({ metrics }: Simulation.Result): string =>
        metricWords[each].format(metrics[each].mean)
      return [
        `${scenario}, ${metricWords[each].name}`,
        write(base[index]!),
        ...isBetter ? [write(results[index]!)] : []
      ]
    })
  )
  return [
    `${found.policy.name} · ${counted(names.length, "scenario")} · ${
      counted(tried, "policy", "policies")
    } tried · ${counted(base[0]?.replications ?? 0, "replication")} · seed ${base[0]?.seed ?? 0}`,
    isBetter
      ? `better under ${names.length === 1 ? "this scenario" : "these scenarios"}: ${
        settingsOf(settings)
      }`
      : "none is shown to be better: the policy stays as it is",
    `${name}, where it is worst: ${change}`,
    columns([["", "before", ...isBetter ? ["tuned"] : []], ...rows]),
    ""
  ].join("\n")
}

/** Tunes the policy in a file, and writes the better one where that is asked for. */
export const tunePolicy = (file: string, given: Given) =>
  Effect.gen(function*() {
    const io = yield* CurrentIo
    const seed = yield* whole("seed", given.seed, 0, 2 ** 31 - 2)
    const trials = yield* whole("trials", given.trials, 1, 10_000)
    const minimize = yield* metric("--minimize", given.minimize)
    const subjectTo = yield* limits(given.atMost)
    const search = yield* searchOf(given.set)
    if (given.write !== undefined) yield* mayWrite(given.write, given.force)
    const [base] = yield* policies([file], stagesOf)
    const named = yield* Effect.forEach(given.scenarios, scenario)
    const names = named.map(({ name }) => name)
    const [first, ...others] = named.map(({ scenario }) => scenario)
    const found = yield* withProgress((onProgress) =>
      refusals(Simulation.tune(base, {
        scenarios: [first!, ...others],
        search,
        minimize,
        subjectTo,
        trials,
        seed,
        onProgress
      }))
    ).pipe(Effect.mapError(asOption))
    const policy = encodeStages(found.policy.stages)
    yield* io.out.write(
      given.json
        ? `${encode({ ...found, policy, scenarios: names })}\n`
        : visible(tableOf(found, names, minimize, subjectTo))
    )
    if (given.write !== undefined) {
      yield* write(given.write, `${JSON.stringify(policy, null, 2)}\n`, given.force)
    }
    const over = [...new Set(broken(found.results, subjectTo))]
    const warnings = found.warnings.map((warning) => `warning: ${warning}`)
    yield* io.err.write(visible([...warnings, ...over].map((line) => `${line}\n`).join("")))
    if (over.length > 0) return yield* new Found()
  })
