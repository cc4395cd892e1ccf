/**
 * Counts what happens in one replication: calls by their end, requests, executions, latencies, and
 * the same by second.
 *
 * What comes of calls that began in the warm-up is in the series and in no total. Latencies are of
 * whole calls, waits included; those of failed calls stand apart.
 */
import { type Attempt, type Call, endings, type Process } from "./call.js"
import type { Phase } from "./circuit.js"
import * as LogHistogram from "./logHistogram.js"
import type { StopReason } from "./retryDecision.js"
import type { Observer } from "./simulation.js"

/**
 * The totals. Calls: `offered` is `succeeded` + `failed` + `rejected` + `unfinished`. Requests:
 * `sent` is `answered` + `abandoned` + those that are under way at the end. A duplicate is an
 * execution after the first of one call; `byCode` counts the calls that did not succeed; `received`
 * are the requests of each service, the warm-up included.
 *
 * @since 0.1.0
 */
export interface Totals {
  offered: number
  succeeded: number
  failed: number
  rejected: number
  sent: number
  answered: number
  abandoned: number
  hedges: number
  executions: number
  duplicates: number
  peakInProgress: number
  readonly byCode: Map<number, number>
  readonly stops: Map<StopReason, number>
  readonly received: Array<number>
}

/**
 * The same by second. `inProgress` is the highest number of calls under way; `p99` in nanoseconds,
 * of the calls that succeeded, 0 where none did.
 *
 * @since 0.1.0
 */
export interface Series {
  readonly offered: Float64Array
  readonly sent: Float64Array
  readonly goodput: Float64Array
  readonly failed: Float64Array
  readonly rejected: Float64Array
  readonly inProgress: Float64Array
  readonly p99: Float64Array
}

/**
 * The circuit of a process has gone from one phase to another.
 *
 * @since 0.1.0
 */
export interface Transition {
  readonly process: number
  readonly key: number
  readonly atMillis: number
  readonly from: Phase["_tag"]
  readonly to: Phase["_tag"]
}

/**
 * So many transitions are kept of one replication.
 *
 * @since 0.1.0
 */
export const maxTransitions = 10_000

const rejections: ReadonlySet<number> = new Set([
  endings.circuitOpen,
  endings.throttled,
  endings.rateLimited,
  endings.bulkheadFull,
  endings.concurrencyLimited,
  endings.coolingDown,
  endings.queueTimeout
])

/**
 * Tests whether a call that ended with this code was turned away by a guard.
 *
 * @since 0.1.0
 */
export const isRejection = (code: number): boolean => rejections.has(code)

const nanosPerSecond = 1e9

const countIn = <K>(counts: Map<K, number>, key: K): void =>
  void counts.set(key, (counts.get(key) ?? 0) + 1)

/**
 * The recorder of one replication.
 *
 * @since 0.1.0
 */
export class Recorder implements Observer {
  readonly totals: Totals = {
    offered: 0,
    succeeded: 0,
    failed: 0,
    rejected: 0,
    sent: 0,
    answered: 0,
    abandoned: 0,
    hedges: 0,
    executions: 0,
    duplicates: 0,
    peakInProgress: 0,
    byCode: new Map(),
    stops: new Map(),
    received: []
  }
  readonly series: Series
  readonly transitions: Array<Transition> = []
  readonly succeeded = LogHistogram.make()
  readonly unsuccessful = LogHistogram.make()
  readonly #bySecond = LogHistogram.make()
  #second = 0
  #inProgress = 0

  /** `deduplicates`: the upstream knows a repeated call by its key, so nothing is done twice. */
  constructor(
    readonly seconds: number,
    readonly warmUpNanos: number,
    readonly deduplicates: boolean
  ) {
    const row = () => new Float64Array(seconds)
    this.series = {
      offered: row(),
      sent: row(),
      goodput: row(),
      failed: row(),
      rejected: row(),
      inProgress: row(),
      p99: row()
    }
  }

  #counts({ fromNanos }: Call): boolean {
    return fromNanos >= this.warmUpNanos
  }

  /** The second that a moment is in. The end of the last one belongs to it. */
  #secondOf(nowNanos: number): number {
    const second = Math.min(this.seconds - 1, Math.floor(nowNanos / nanosPerSecond))
    while (this.#second < second) {
      this.#close()
      this.#second++
      this.series.inProgress[this.#second] = this.#inProgress
    }
    return second
  }

  /** The replication is over: the seconds that are left pass without an event. */
  finish(): void {
    this.#secondOf(this.seconds * nanosPerSecond)
    this.#close()
  }

  /** Takes down the latencies of the present second. */
  #close(): void {
    this.series.p99[this.#second] = LogHistogram.quantile(this.#bySecond, 0.99) ?? 0
    if (this.#bySecond.count > 0) LogHistogram.clear(this.#bySecond)
  }

  began(call: Call): void {
    const second = this.#secondOf(call.fromNanos)
    const { inProgress, offered } = this.series
    this.#inProgress++
    offered[second]!++
    inProgress[second] = Math.max(inProgress[second]!, this.#inProgress)
    if (!this.#counts(call)) return
    this.totals.offered++
    this.totals.peakInProgress = Math.max(this.totals.peakInProgress, this.#inProgress)
  }

  sent(attempt: Attempt, nowNanos: number): void {
    this.series.sent[this.#secondOf(nowNanos)]!++
    if (!this.#counts(attempt.of)) return
    this.totals.sent++
    if (attempt.isHedge) this.totals.hedges++
  }

  answered(attempt: Attempt): void {
    if (this.#counts(attempt.of)) this.totals.answered++
  }

  abandoned(attempt: Attempt): void {
    if (this.#counts(attempt.of)) this.totals.abandoned++
  }

  executed({ of }: Attempt): void {
    if (!this.#counts(of)) return
    this.totals.executions++
    if (of.executions > 1 && !this.deduplicates) this.totals.duplicates++
  }

  transition(
    { key, number }: Pick<Process, "key" | "number">,
    from: Phase["_tag"],
    to: Phase["_tag"],
    atMillis: number
  ): void {
    if (this.transitions.length === maxTransitions) return
    this.transitions.push({ process: number, key, atMillis, from, to })
  }

  received(service: number): void {
    this.totals.received[service] = (this.totals.received[service] ?? 0) + 1
  }

  ended(call: Call, nowNanos: number): void {
    const { code, fromNanos, stop } = call
    const second = this.#secondOf(nowNanos)
    const latency = nowNanos - fromNanos
    const outcome = code === 0 ? "succeeded" : isRejection(code) ? "rejected" : "failed"
    this.#inProgress--
    if (outcome === "succeeded") {
      this.series.goodput[second]!++
      LogHistogram.record(this.#bySecond, latency)
    } else this.series[outcome][second]!++
    if (!this.#counts(call)) return
    this.totals[outcome]++
    LogHistogram.record(code === 0 ? this.succeeded : this.unsuccessful, latency)
    if (code !== 0) countIn(this.totals.byCode, code)
    if (stop !== undefined) countIn(this.totals.stops, stop)
  }
}

/**
 * How many seconds it takes from the end of the last fault to the first of ten in a row with 95 %
 * of the goodput of the ten before the first fault: `undefined` where there are none, 0 where there
 * is nothing to recover from. O(seconds).
 *
 * @since 0.1.0
 */
export const recoverySeconds = (
  goodput: Float64Array,
  faults: { readonly fromNanos: number; readonly toNanos: number } | undefined
): number | undefined => {
  if (faults === undefined) return 0
  const first = Math.floor(faults.fromNanos / nanosPerSecond)
  const last = Math.ceil(faults.toNanos / nanosPerSecond)
  const before = goodput.subarray(Math.max(0, first - 10), first)
  const sum = (values: Float64Array): number => values.reduce((all, value) => all + value, 0)
  const enough = 0.95 * 10 * sum(before) / Math.max(1, before.length)
  for (let from = last; from + 10 <= goodput.length; from++) {
    if (sum(goodput.subarray(from, from + 10)) >= enough - 1e-9) {
      return from - faults.toNanos / nanosPerSecond
    }
  }
  return undefined
}
