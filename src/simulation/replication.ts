/**
 * Runs one replication of a simulation, on the core alone: a worker loads nothing else.
 */
import * as Draw from "../core/draw.js"
import * as LogHistogram from "../core/logHistogram.js"
import * as Recorder from "../core/recorder.js"
import * as Simulation from "../core/simulation.js"
import type { Fault } from "../core/upstream.js"

/** The figures that are estimated. Latencies in milliseconds. */
export const metrics = [
  "failedRate",
  "p50",
  "p95",
  "p99",
  "amplification",
  "recoverySeconds",
  "duplicates",
  "peakInProgress"
] as const

/** What one replication comes to. */
export type Figures = Readonly<Record<(typeof metrics)[number], number>>

/**
 * All that the replications of a simulation have in common, in plain numbers. `isHarmful`: to
 * execute a call twice does harm; `deduplicates`: the upstream executes it once.
 */
export interface Job {
  readonly setup: Simulation.Setup
  readonly seed: number
  readonly warmUpNanos: number
  readonly deduplicates: boolean
  readonly isHarmful: boolean
}

/** So many events happen before anything else has its turn: some 20 ms. */
export const eventsPerTurn = 20_000

/** The limits of a simulation. */
export const limits = { events: 1e9, bytes: 2 ** 30 } as const

/** What a call under way takes of memory, with its attempts and their events. */
export const bytesPerCall = 700

/** A replication that has been stopped: its estimate was too low. */
export interface Excess {
  readonly of: keyof typeof limits
  readonly estimate: number
}

/** What a worker is asked to do: the replication of this number, of the job of this number. */
export interface Task {
  readonly job: number
  readonly number: number
}

/** How a replication ends. */
export type Reply =
  | { readonly _tag: "Outcome"; readonly outcome: Outcome }
  | { readonly _tag: "Excess"; readonly excess: Excess }

/** What a worker says. */
export type Answer =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Share"; readonly share: number }
  | Reply

/** What is known when a replication is over; it can be sent from thread to thread. */
export interface Outcome {
  readonly figures: Figures
  readonly isStuck: boolean
  readonly totals: Recorder.Totals
  readonly series: Recorder.Series
  readonly transitions: ReadonlyArray<Recorder.Transition>
}

const nanosPerSecond = 1e9

const windowOf = (fault: Fault): ReadonlyArray<number> =>
  fault._tag === "Outage" || fault._tag === "BrownOut" ? [fault.fromNanos, fault.toNanos] : []

/** From the first fault or change to the end of the last one; none without any. */
const faultsOf = ({ changes: { fromNanos }, services }: Simulation.Setup) => {
  const windows = services.flatMap(({ upstream }) => upstream.faults.flatMap(windowOf))
  const moments = [...fromNanos, ...windows]
  return moments.length === 0
    ? undefined
    : { fromNanos: Math.min(...moments), toNanos: Math.max(...moments) }
}

const millisOf = (nanos: number | undefined): number => (nanos ?? 0) / 1e6

const figuresOf = (
  { series, succeeded, totals }: Recorder.Recorder,
  isHarmful: boolean,
  recovery: number | undefined,
  faultsEndNanos: number
): Figures => {
  const quantile = (share: number) => millisOf(LogHistogram.quantile(succeeded, share))
  const ended = totals.succeeded + totals.failed + totals.rejected
  return {
    failedRate: ended === 0 ? 0 : (totals.failed + totals.rejected) / ended,
    p50: quantile(0.5),
    p95: quantile(0.95),
    p99: quantile(0.99),
    amplification: totals.offered === 0 ? 0 : totals.sent / totals.offered,
    recoverySeconds: recovery ??
      Math.max(0, series.goodput.length - faultsEndNanos / nanosPerSecond),
    duplicates: isHarmful ? totals.duplicates : 0,
    peakInProgress: totals.peakInProgress
  }
}

/** One replication, which is run in steps. */
export class Replication {
  readonly #job: Job
  readonly #recorder: Recorder.Recorder
  readonly #simulation: Simulation.Simulation

  constructor(job: Job, number: number) {
    const { deduplicates, seed, setup, warmUpNanos } = job
    const seconds = Math.max(1, Math.ceil(setup.endNanos / nanosPerSecond))
    this.#job = job
    this.#recorder = new Recorder.Recorder(seconds, warmUpNanos, deduplicates)
    this.#simulation = new Simulation.Simulation(setup, Draw.source(seed, number), this.#recorder)
  }

  /** Lets some events happen. The answer comes when the replication is over. */
  step(): Reply | undefined {
    if (!this.#simulation.step(eventsPerTurn)) return { _tag: "Outcome", outcome: this.#finish() }
    const excess = this.#excess()
    return excess && { _tag: "Excess", excess }
  }

  /** The share of the time that has passed. */
  get share(): number {
    return this.#simulation.share
  }

  #excess(): Excess | undefined {
    const { happened, pending } = this.#simulation
    if (happened > limits.events) return { of: "events", estimate: happened }
    const bytes = pending * bytesPerCall
    return bytes > limits.bytes ? { of: "bytes", estimate: bytes } : undefined
  }

  #finish(): Outcome {
    const { isHarmful, setup } = this.#job
    this.#recorder.finish()
    const { series, totals, transitions } = this.#recorder
    const faults = faultsOf(setup)
    const recovery = Recorder.recoverySeconds(series.goodput, faults)
    return {
      figures: figuresOf(this.#recorder, isHarmful, recovery, faults?.toNanos ?? 0),
      isStuck: recovery === undefined,
      totals,
      series,
      transitions
    }
  }
}
