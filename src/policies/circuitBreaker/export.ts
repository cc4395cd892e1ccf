/**
 * Writes the state of circuits as JSON and reads it back, to carry it across a restart.
 *
 * Open circuits keep the time that was left when they were exported, less the time that has passed
 * since by the wall clock. Trials do not survive: a half-open circuit comes back with all of its
 * slots free. Isolation does not survive either, since its handles do not.
 */
import type * as Effect from "effect/Effect"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type * as Circuit from "../../core/circuit.js"
import * as CountWindow from "../../core/countWindow.js"
import * as TimeWindow from "../../core/timeWindow.js"
import { lazily } from "../../runtime/lazily.js"

/** What a bucket of a window can count. */
const most = 2 ** 32 - 1

const isDistinct = <A>(all: ReadonlyArray<A>, by: (each: A) => unknown): boolean =>
  new Set(all.map(by)).size === all.length

/** Times are differences, and a little inexact. */
const isLonger = (millis: number, thanMillis: number): boolean => millis > thanMillis + 1e-3

/** Made when the first state is exported or imported, which most programs never do. */
const schema = lazily(() => {
  const Millis = Schema.Number.pipe(Schema.finite(), Schema.nonNegative())
  const Whole = Schema.Int.pipe(Schema.nonNegative())
  const Counted = Whole.pipe(Schema.lessThanOrEqualTo(most))

  const Bucket = Schema.Struct({
    age: Whole,
    calls: Counted,
    failures: Counted,
    slow: Counted
  }).pipe(
    Schema.filter(({ calls, failures, slow }) =>
      failures <= calls && slow <= calls || "more failures or slow calls than calls"
    )
  )

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
        /** One letter per outcome, oldest first: `.` success, `f` failed, `s` slow, `b` both. */
        outcomes: Schema.String.pipe(Schema.pattern(/^[.fsb]*$/))
      }),
      Schema.TaggedStruct("Time", {
        bucketMillis: Millis,
        /** How long ago the bucket of age 0 began. An export of before has none: just now. */
        intoMillis: Schema.optional(Millis),
        buckets: Schema.Array(Bucket).pipe(
          Schema.filter((buckets) =>
            !isDistinct(buckets, ({ age }) => age)
              ? "two buckets of the same age"
              : buckets.reduce((sum, { calls }) => sum + calls, 0) <= most || "too many calls"
          )
        )
      })
    )
  }).pipe(
    Schema.filter(({ openMillis, openings, phase }) =>
      phase._tag === "Closed"
        ? true
        : openings === 0
        ? `${phase._tag} without an opening`
        : phase._tag === "Open" && isLonger(phase.remainingMillis, openMillis)
        ? "more time left than the opening has"
        : true
    )
  )

  return Schema.Struct({
    format: Schema.Literal("effect-resilience/circuits"),
    version: Schema.Literal(1),
    /** Epoch milliseconds. */
    exportedAt: Schema.Number.pipe(Schema.finite()),
    /** What was ordered of all circuits, those of keys to come included. */
    order: Schema.optional(Order),
    circuits: Schema.Array(ExportedCircuit).pipe(
      Schema.filter((circuits) =>
        isDistinct(circuits, ({ key }) => key) || "two circuits of the same key"
      )
    )
  })
})

/** What was exported, as data. */
export type Exported = ReturnType<typeof schema>["Type"]

/** One circuit of it. */
export type ExportedCircuit = Exported["circuits"][number]

const letter = ({ failed, slow }: CountWindow.Outcome): string =>
  failed ? (slow ? "b" : "f") : slow ? "s" : "."

const exportedWindow = (
  window: Circuit.State["window"],
  nowMillis: number
): ExportedCircuit["window"] => {
  if (window._tag === "Count") {
    return { _tag: "Count", outcomes: CountWindow.outcomes(window).map(letter).join("") }
  }
  // What has been forgotten since the last call is not exported, and the rest is older than it was.
  TimeWindow.advance(window, nowMillis)
  return {
    _tag: "Time",
    bucketMillis: window.bucketMillis,
    intoMillis: TimeWindow.intoMillis(window, nowMillis),
    buckets: TimeWindow.contents(window)
  }
}

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
    window: exportedWindow(window, nowMillis)
  }
}

/** The longest that a circuit is open under a policy. */
const longestOpenMillis = ({ maxOpenMillis, open }: Circuit.Policy): number =>
  typeof open === "number" ? Math.max(open, maxOpenMillis) : maxOpenMillis

/**
 * Reads what `encode` wrote. A foreign or newer state fails with a `ParseError`, and so does one
 * that contradicts itself, or the policy: no circuit of it would be open for so long.
 */
export const decode = (
  json: unknown,
  policy: Circuit.Policy
): Effect.Effect<Exported, ParseResult.ParseError> => {
  const longest = longestOpenMillis(policy)
  return Schema.decodeUnknown(
    schema().pipe(
      Schema.filter(({ circuits }) =>
        !circuits.some(({ openMillis }) => isLonger(openMillis, longest)) ||
        `a circuit is open for longer than maxOpenDuration, ${longest} ms`
      )
    )
  )(json)
}

/** Writes the state as plain JSON. */
export const encode = (
  exportedAt: number,
  circuits: ReadonlyArray<ExportedCircuit>,
  order: Circuit.Order | undefined
): unknown =>
  Schema.encodeSync(schema())({
    format: "effect-resilience/circuits",
    version: 1,
    exportedAt,
    ...(order === undefined ? {} : { order }),
    circuits
  })

const refill = (
  window: Circuit.State["window"],
  from: ExportedCircuit["window"],
  passedMillis: number,
  nowMillis: number
): void => {
  if (window._tag === "Count" && from._tag === "Count") {
    for (const letter of from.outcomes) {
      CountWindow.record(window, {
        failed: letter === "f" || letter === "b",
        slow: letter === "s" || letter === "b"
      })
    }
  } else if (window._tag === "Time" && from._tag === "Time") {
    // Its buckets begin where the exported ones do, so that outcomes leave when they would have.
    TimeWindow.begin(window, nowMillis - passedMillis - (from.intoMillis ?? 0))
    for (const { age, ...counts } of from.buckets) {
      TimeWindow.add(window, counts, Math.ceil(age * from.bucketMillis / window.bucketMillis))
    }
    TimeWindow.advance(window, nowMillis)
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
  refill(fresh.window, from.window, passedMillis, nowMillis)
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
