/** `fit`: learns a scenario from attempts that telemetry has recorded. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Yaml from "yaml"
import type * as Distribution from "../../core/distribution.js"
import { Lines, textOf } from "../../core/lines.js"
import { findingsOf } from "../../pipeline/findings.js"
import { timeWords } from "../../report/assumptions.js"
import { decimal, latency, percent, short } from "../../report/numbers.js"
import { visible } from "../../report/visible.js"
import { counted, rate } from "../../report/words.js"
import * as Simulation from "../../simulation/Simulation.js"
import { unreadable } from "../document.js"
import { refuse, type Refused } from "../errors.js"
import { CurrentIo } from "../io.js"
import { mayWrite, write } from "../write.js"

/** The options as they are written. */
export interface Given {
  readonly write: string | undefined
  readonly json: boolean
  readonly force: boolean
}

const decodeLine = Schema.decodeUnknown(Schema.parseJson(Simulation.AttemptRecord))

/** What is wrong with a line, the first thing only. */
const mistakeOf = ({ issue }: ParseResult.ParseError): string => {
  const [first] = findingsOf(issue)
  return first === undefined || first.path === ""
    ? `is no record: ${first?.message ?? ""}`
    : `${first.path}: ${first.message}`
}

/** The longest line that is read, in bytes: a record has some hundred. */
export const maxLineBytes = 65_536

/** The lines of a file. One that is too long is not kept, however long it goes on. */
const linesOf = (file: string): Stream.Stream<string, Refused, FileSystem.FileSystem> =>
  Stream.unwrap(Effect.map(FileSystem.FileSystem, (fs) => {
    const lines = new Lines("any")
    let count = 0
    const take = (line: Uint8Array): string => textOf(line, count++ === 0)
    return Stream.mapEffect(Stream.mapError(fs.stream(file), unreadable(file)), (bytes) => {
      const found: Array<string> = []
      const isShort = lines.push(bytes, (line) => {
        if (line.length > maxLineBytes) return false
        found.push(take(line))
        return true
      })
      return isShort && lines.pending <= maxLineBytes
        ? Effect.succeed(found)
        : refuse(`${file}:${count + 1}: is longer than ${maxLineBytes / 1024} KiB`)
    }).pipe(
      Stream.concat(Stream.sync(() => [take(lines.rest())])),
      Stream.mapConcat((found) => found)
    )
  }))

/** The records of a file with one JSON object in each line. Empty lines are left out. */
const recordsOf = (
  file: string
): Stream.Stream<Simulation.AttemptRecord, Refused, FileSystem.FileSystem> =>
  linesOf(file).pipe(
    Stream.zipWithIndex,
    Stream.filter(([text]) => text.trim() !== ""),
    Stream.mapEffect(([text, index]) =>
      Effect.mapError(
        decodeLine(text),
        (error) => refuse(`${file}:${index + 1}: ${mistakeOf(error)}`)
      )
    )
  )

const asDurations = (given: Distribution.Distribution): Parameters<typeof timeWords>[0] => {
  const { millis } = Duration
  switch (given._tag) {
    case "Constant":
      return { ...given, value: millis(given.value) }
    case "Uniform":
      return { ...given, min: millis(given.min), max: millis(given.max) }
    case "Exponential":
      return { ...given, mean: millis(given.mean) }
    case "LogNormal":
      return { ...given, p50: millis(given.p50), p99: millis(given.p99) }
    case "Pareto":
      return { ...given, min: millis(given.min) }
    case "Weibull":
      return { ...given, scale: millis(given.scale) }
    case "Hyper": {
      const [first, ...others] = given.branches
        .map(({ mean, weight }) => ({ weight, mean: millis(mean) }))
      return { ...given, branches: [first!, ...others] }
    }
    case "Empirical": {
      const [first, ...others] = given.values.map((value) => millis(value))
      return { ...given, values: [first!, ...others] }
    }
  }
}

const capacityWords = (capacity: Simulation.FittedCapacity): string =>
  capacity._tag === "Unknown"
    ? capacity.reason
    : `${latency(capacity.slopeMillis)} more for each further request in progress${
      capacity.power === 1 ? "" : `, to the power of ${short(capacity.power)}`
    }; accounts for ${percent(capacity.explained)} of the variance`

const endpointWords = (found: Simulation.FittedEndpoint): ReadonlyArray<string> => [
  `${found.endpoint}: ${counted(found.attempts, "attempt")}, ${rate(found.perSecond)}, ${
    decimal(found.givenUp, 0)
  } given up`,
  `  latency: ${timeWords(asDurations(found.latency))} (distance ${
    short(found.distance)
  }, fits up to ${short(found.tolerance)})`,
  `  outcomes: ${
    Object.entries(found.outcomes).map(([outcome, share]) => `${outcome} ${percent(share)}`)
      .join(", ")
  }`,
  ...found.retryAfterMillis === undefined
    ? []
    : [`  asks to wait: ${latency(found.retryAfterMillis)}`],
  `  load: ${capacityWords(found.capacity)}`
]

const encode = Schema.encodeSync(Schema.parseJson(Simulation.Fitted, { space: 2 }))

const fileText = (file: string, scenario: Simulation.Fitted["scenario"]): string =>
  file.toLowerCase().endsWith(".json")
    ? `${JSON.stringify(scenario, null, 2)}\n`
    : Yaml.stringify(scenario)

/** Fits the attempts in a file, and writes the scenario where that is asked for. */
export const fitFile = (file: string, given: Given) =>
  Effect.gen(function*() {
    const io = yield* CurrentIo
    if (given.write !== undefined) yield* mayWrite(given.write, given.force)
    const found = yield* Effect.catchTag(
      Simulation.fit(recordsOf(file)),
      "FitError",
      ({ message }) => refuse(`${file}: ${message}`)
    )
    yield* io.out.write(
      given.json
        ? `${encode(found)}\n`
        : visible(`${found.endpoints.flatMap(endpointWords).join("\n")}\n`)
    )
    if (given.write !== undefined) {
      yield* write(given.write, fileText(given.write, found.scenario), given.force)
    }
    const said = found.warnings.map((warning) => `warning: ${warning}\n`)
    yield* io.err.write(visible(said.join("")))
  })
