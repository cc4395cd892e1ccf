/**
 * The state of circuits as JSON, to carry it across a restart.
 *
 * Open circuits keep the time that was left when they were exported, less the time that has passed
 * since by the wall clock. Trials do not survive: a half-open circuit comes back with all of its
 * slots free. Isolation does not survive either, since its handles do not.
 */
import type * as ParseResult from "effect/ParseResult"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Circuit from "../../core/circuit.js"
import * as CountWindow from "../../core/countWindow.js"
import * as TimeWindow from "../../core/timeWindow.js"

const Millis = Schema.Number.pipe(Schema.finite(), Schema.nonNegative())
const Whole = Schema.Int.pipe(Schema.nonNegative())
/** What a bucket of a window can count. */
const Counted = Whole.pipe(Schema.lessThanOrEqualTo(2 ** 32 - 1))

const Order = Schema.Literal("ForcedOpen", "ForcedClosed", "Disabled")

const ExportedCircuit = Schema.Struct({
  key: Schema.String,
  phase: Schema.Union(
    Schema.TaggedStruct("Closed", { forMillis: Millis }),
    Schema.TaggedStruct("Open", { remainingMillis: Millis }),
    Schema.TaggedStruct("HalfOpen", {})
  ),
  order: Schema.NullOr(Order),
  openings: Whole,
  openMillis: Millis,
  window: Schema.Union(
    Schema.TaggedStruct("Count", {
      /** One letter for each outcome, oldest first: `.` success, `f` failed, `s` slow, `b` both. */
      outcomes: Schema.String.pipe(Schema.pattern(/^[.fsb]*$/))
    }),
    Schema.TaggedStruct("Time", {
      bucketMillis: Millis,
      buckets: Schema.Array(
        Schema.Struct({ age: Whole, calls: Counted, failures: Counted, slow: Counted })
      )
    })
  )
})

const Exported = Schema.Struct({
  format: Schema.Literal("effect-resilience/circuits"),
  version: Schema.Literal(1),
  /** Epoch milliseconds. */
  exportedAt: Schema.Number.pipe(Schema.finite()),
  /** What was ordered of all circuits, those of keys to come included. */
  order: Schema.optional(Order),
  circuits: Schema.Array(ExportedCircuit)
})

/** What was exported, as data. */
export type Exported = typeof Exported.Type

/** One circuit of it. */
export type ExportedCircuit = typeof ExportedCircuit.Type

const letter = ({ failed, slow }: CountWindow.Outcome): string =>
  failed ? (slow ? "b" : "f") : slow ? "s" : "."

/** A settled state as data. */
export const exported = (key: string, state: Circuit.State, nowMillis: number): ExportedCircuit => {
  const { phase, window } = state
  return {
    key,
    phase: phase._tag === "Closed"
      ? { _tag: "Closed", forMillis: Math.max(0, nowMillis - phase.sinceMillis) }
      : phase._tag === "Open"
      ? { _tag: "Open", remainingMillis: Math.max(0, phase.untilMillis - nowMillis) }
      : { _tag: "HalfOpen" },
    order: state.order ?? null,
    openings: state.openings,
    openMillis: state.openMillis,
    window: window._tag === "Count"
      ? { _tag: "Count", outcomes: CountWindow.outcomes(window).map(letter).join("") }
      : { _tag: "Time", bucketMillis: window.bucketMillis, buckets: TimeWindow.contents(window) }
  }
}

/** Reads what `encode` wrote. A foreign or newer state fails with a `ParseError`. */
export const decode: (json: unknown) => Effect.Effect<Exported, ParseResult.ParseError> = Schema
  .decodeUnknown(Exported)

/** As plain JSON. */
export const encode = (
  exportedAt: number,
  circuits: ReadonlyArray<ExportedCircuit>,
  order: Circuit.Order | undefined
): unknown =>
  Schema.encodeSync(Exported)({
    format: "effect-resilience/circuits",
    version: 1,
    exportedAt,
    ...(order === undefined ? {} : { order }),
    circuits
  })

const refill = (
  window: Circuit.State["window"],
  from: ExportedCircuit["window"],
  passedMillis: number
): void => {
  if (window._tag === "Count" && from._tag === "Count") {
    for (const letter of from.outcomes) {
      CountWindow.record(window, {
        failed: letter === "f" || letter === "b",
        slow: letter === "s" || letter === "b"
      })
    }
  } else if (window._tag === "Time" && from._tag === "Time") {
    for (const { age, ...counts } of from.buckets) {
      const millisAgo = age * from.bucketMillis + passedMillis
      TimeWindow.add(window, counts, Math.floor(millisAgo / window.bucketMillis))
    }
  }
}

/**
 * The state that was exported, `passedMillis` later, in place of a fresh one. What a window of
 * another kind held is left behind.
 */
export const imported = (
  fresh: Circuit.State,
  from: ExportedCircuit,
  passedMillis: number,
  nowMillis: number
): Circuit.State => {
  if (fresh.window._tag === "Time") TimeWindow.advance(fresh.window, nowMillis)
  refill(fresh.window, from.window, passedMillis)
  const { phase } = from
  return {
    ...fresh,
    order: from.order ?? undefined,
    openings: from.openings,
    openMillis: from.openMillis,
    phase: phase._tag === "Closed"
      ? { _tag: "Closed", sinceMillis: nowMillis - phase.forMillis - passedMillis }
      : {
        _tag: "Open",
        untilMillis: nowMillis +
          (phase._tag === "Open" ? Math.max(0, phase.remainingMillis - passedMillis) : 0)
      }
  }
}
