/**
 * Describes a pipeline for an operator: what it does in which order, what it retries, and what one
 * call costs at worst.
 */
import * as Duration from "effect/Duration"
import * as WorstCase from "../core/worstCase.js"
import type * as Operation from "../idempotency/Operation.js"
import type { Line, Stage, Stages } from "../policies/stage/definition.js"
import { counted, time } from "../policies/stage/words.js"

/**
 * - `text`: the stages in their order, what is retried, the worst case.
 * - `mermaid`: the stages as a flowchart.
 * - `worstCaseCalls`: how many requests one call makes at most. Budgets and breakers can only lower
 *   it, and do not count.
 * - `worstCaseTime`: how long one call takes at most, waits for Retry-After at their cap included;
 *   infinite where nothing bounds it. Finalizers of what a deadline cuts are not part of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Description {
  /** The stages in their order, what is retried, the worst case. */
  readonly text: string
  /** The stages as a Mermaid flowchart. */
  readonly mermaid: string
  /** How many requests one call makes at most. Budgets and breakers can only lower it. */
  readonly worstCaseCalls: number
  /**
   * How long one call takes at most, waits for `Retry-After` at their cap included. Infinite where
   * nothing limits it.
   */
  readonly worstCaseTime: Duration.Duration
}

const operations: Readonly<Record<Operation.Operation["_tag"], string>> = {
  Read: "a read: it changes nothing",
  Idempotent: "idempotent: twice is the same as once",
  Keyed:
    "keyed: it may change something, under one idempotency key that is the same on every attempt",
  Once: "once: it may change something, and a repeat cannot be recognised"
}

/** What a call costs without any stage. */
const bare: WorstCase.Plan = {
  retries: 0,
  backoff: { _tag: "Constant", delayMillis: 0, jitter: { _tag: "None" } },
  retryAfterCapMillis: Infinity,
  withinMillis: Infinity,
  totalMillis: Infinity,
  hedges: 0,
  hedgeDelayMillis: Infinity,
  queueMillis: 0,
  attemptMillis: Infinity
}

const planOf = (stages: ReadonlyArray<Stage>, given: Stages): WorstCase.Plan =>
  stages.reduce((plan, stage) => {
    const cost = stage.cost(given)
    return { ...plan, ...cost, queueMillis: plan.queueMillis + (cost.queueMillis ?? 0) }
  }, bare)

const padded = (lines: ReadonlyArray<Line>): ReadonlyArray<string> => {
  const width = Math.max(...lines.map(({ title }) => title.length))
  return lines.map(({ says, title }) => `  ${title.padEnd(width)}  ${says}`)
}

const textOf = (
  stages: ReadonlyArray<Stage>,
  given: Stages,
  lines: ReadonlyArray<Line>,
  worst: WorstCase.WorstCase
): string =>
  [
    `The operation is ${operations[given.operation._tag]}.`,
    ...(lines.length === 0
      ? ["No stages: one attempt, without a limit."]
      : ["Outermost first:", ...padded(lines)]),
    ...stages.flatMap((stage) => stage.remarks(given)),
    `Worst case of one call: ${counted(worst.calls, "request", "requests")}, ${
      worst.millis === Infinity ? "no limit of time" : time(worst.millis)
    }.`,
    ...stages.flatMap((stage) => stage.summary(given, worst))
  ].join("\n")

const label = (text: string): string => text.replaceAll("\"", "#quot;")

const mermaidOf = (lines: ReadonlyArray<Line>): string => {
  const nodes = [...lines, { title: "call", says: "" }].map(({ says, title }, index) =>
    `  s${index}["${label(title)}${says === "" ? "" : `<br>${label(says)}`}"]`
  )
  const arrows = lines.map((_, index) => `  s${index} --> s${index + 1}`)
  return ["flowchart TD", ...nodes, ...arrows].join("\n")
}

/** Describes a pipeline of these stages, and the worst case of one call through it. */
export const describe = (stages: ReadonlyArray<Stage>, given: Stages): Description => {
  const lines = stages.flatMap((stage) => stage.lines(given))
  const worst = WorstCase.worstCase(planOf(stages, given))
  return {
    text: textOf(stages, given, lines, worst),
    mermaid: mermaidOf(lines),
    worstCaseCalls: worst.calls,
    worstCaseTime: Duration.millis(worst.millis)
  }
}
