/**
 * What a machine of calls is made of: its stages in plain numbers, the state of the guards of a
 * process, calls and their attempts, and the host that keeps the time and the network.
 */
import * as Circuit from "./circuit.js"
import * as Concurrency from "./concurrency.js"
import * as Cooldown from "./cooldown.js"
import type * as CooldownLine from "./cooldownLine.js"
import * as Fifo from "./fifo.js"
import * as Gcra from "./gcra.js"
import * as Latency from "./latency.js"
import * as Permits from "./permits.js"
import type * as RateLine from "./rateLine.js"
import type * as RetryDecision from "./retryDecision.js"
import type * as Throttle from "./throttle.js"
import * as TimeWindow from "./timeWindow.js"
import * as TokenBucket from "./tokenBucket.js"
import type * as Upstream from "./upstream.js"

/**
 * How an attempt may end besides by an answer: by a guard, by a time limit, or because another
 * attempt has won. The codes lie between the answers of `Upstream` and the statuses of HTTP.
 *
 * @since 0.1.0
 */
export const endings = {
  attemptTimeout: 10,
  totalTimeout: 11,
  circuitOpen: 12,
  throttled: 13,
  rateLimited: 14,
  bulkheadFull: 15,
  concurrencyLimited: 16,
  coolingDown: 17,
  queueTimeout: 18,
  interrupted: 19
} as const

/**
 * The number of a timer, an attempt or a place in a table where there is none.
 *
 * @since 0.1.0
 */
export const none = -1

/**
 * What an ending means to each stage. It is found by asking the real functions about a sample of
 * the failure, so what a program says with functions of its own counts here too. `heeds` names the
 * stages that heed a wait which the upstream or a guard asks for.
 *
 * - `circuit`, `throttle`: success, failure or nothing
 * - `concurrency`: a drop, or a success, or nothing
 * - `cooldown`: that the server serves, or nothing
 * - `allowsHedge`: that another try now is neither in vain nor too early
 * - `isAnswer`: that the upstream has judged the request, which pays into the budget
 *
 * @since 0.1.0
 */
export interface Meaning {
  readonly retry: RetryDecision.Verdict["_tag"]
  readonly isAmbiguous: boolean
  readonly circuit: Circuit.Result["_tag"]
  readonly throttle: Circuit.Result["_tag"]
  readonly concurrency: Concurrency.Ending["_tag"]
  readonly cooldown: "serves" | "nothing"
  readonly allowsHedge: boolean
  readonly isAnswer: boolean
  readonly heeds: {
    readonly retry: boolean
    readonly circuit: boolean
    readonly cooldown: boolean
    readonly hedge: boolean
  }
}

/**
 * When a hedge starts: after a fixed time, or at a quantile of the latencies of the process.
 *
 * @since 0.1.0
 */
export type HedgeDelay =
  | { readonly _tag: "Fixed"; readonly millis: number }
  | {
    readonly _tag: "Quantile"
    readonly quantile: number
    readonly atLeastMillis: number
    readonly atMostMillis: number
    readonly initialMillis: number
    readonly samples: number
    readonly minimumCalls: number
  }

/**
 * A guard that a fleet can share.
 *
 * @since 0.1.0
 */
export type Common = "circuit" | "limiter" | "bulkhead" | "cooldown"

/**
 * A circuit, and the number of the process that keeps it.
 *
 * @since 0.1.0
 */
export interface CircuitCell {
  readonly number: number
  state: Circuit.State
}

/**
 * The stages of a pipeline in plain numbers. Those that are absent are `undefined`; a time limit is
 * `Infinity`. `meanings` has an entry for each code that an attempt may end with, success (0)
 * included.
 *
 * @since 0.1.0
 */
export interface Stages {
  readonly totalMillis: number
  readonly attemptMillis: number
  readonly retry: RetryDecision.Policy | undefined
  readonly budget: { readonly bucket: TokenBucket.TokenBucket; readonly ratio: number } | undefined
  readonly hedge: { readonly hedges: number; readonly delay: HedgeDelay } | undefined
  readonly circuit: Circuit.Policy | undefined
  readonly throttle:
    | {
      readonly policy: Throttle.Policy
      readonly windowMillis: number
      readonly buckets: number
    }
    | undefined
  readonly limiter:
    | { readonly policy: Gcra.Policy; readonly maxWaitNanos: bigint | undefined }
    | undefined
  readonly bulkhead:
    | {
      readonly limits: Permits.Limits
      readonly maxWaitMillis: number
      readonly isPerKey: boolean
    }
    | undefined
  readonly concurrency: Concurrency.Policy | undefined
  readonly cooldown:
    | { readonly policy: Cooldown.Policy; readonly maxWaitMillis: number }
    | undefined
  /** The guards that all processes have in common, where a fleet shares any. */
  readonly inCommon: ReadonlySet<Common> | undefined
  readonly meanings: ReadonlyArray<Meaning | undefined>
}

/**
 * What the calls of one process under one key share: the state of each guard. The budget, and the
 * permits unless they are counted by key, are those of the process. Guards in common are those of
 * the first process. `edge` says whose calls they are.
 *
 * @since 0.1.0
 */
export interface Process {
  readonly edge: number
  readonly number: number
  readonly key: number
  readonly budget: { tokens: TokenBucket.State } | undefined
  latencies: Latency.Latencies | undefined
  readonly circuit: CircuitCell | undefined
  readonly requests: TimeWindow.TimeWindow | undefined
  readonly rate: RateLine.RateLine<Attempt>
  readonly permits: Permits.Permits<Attempt> | undefined
  concurrency: Concurrency.State | undefined
  readonly cooldown: CooldownLine.CooldownLine<Attempt>
}

/**
 * What the calls of one process share whatever their key.
 *
 * @since 0.1.0
 */
export type Shared = Pick<Process, "edge" | "number" | "budget" | "permits">

/**
 * Makes what a process shares, in the state that a new one has.
 *
 * @since 0.1.0
 */
export const shared = (
  { budget, bulkhead }: Stages,
  edge: number,
  number: number,
  nowNanos: number
): Shared => ({
  edge,
  number,
  budget: budget && { tokens: TokenBucket.full(budget.bucket, nowNanos / 1e6) },
  permits: bulkhead && Permits.make(bulkhead.limits)
})

/**
 * Makes the guards of a process under one key, in the state that new ones have. Those in common it
 * takes from `first`, the first process under this key, which has none.
 *
 * @since 0.1.0
 */
export const process = (
  stages: Stages,
  { budget, edge, number, permits }: Shared,
  key: number,
  nowNanos: number,
  first?: Process
): Process => {
  const { bulkhead, circuit, concurrency, hedge, inCommon, throttle } = stages
  const now = nowNanos / 1e6
  const common = (guard: Common) => inCommon?.has(guard) === true ? first : undefined
  return {
    edge,
    number,
    key,
    budget,
    latencies: hedge?.delay._tag === "Quantile" ? Latency.make(hedge.delay.samples) : undefined,
    circuit: common("circuit")?.circuit ??
      (circuit && { number, state: Circuit.make(circuit, now) }),
    requests: throttle && TimeWindow.make(throttle.windowMillis, throttle.buckets, 2),
    rate: common("limiter")?.rate ?? { taken: Gcra.unused, line: Fifo.make(), ahead: 0 },
    permits: common("bulkhead")?.permits ??
      (bulkhead?.isPerKey ? Permits.make(bulkhead.limits) : permits),
    concurrency: concurrency && Concurrency.make(concurrency),
    cooldown: common("cooldown")?.cooldown ?? { state: Cooldown.clear, line: Fifo.make() }
  }
}

/**
 * One call. `number` says which draws it takes, `draws` how many its stages have taken, `sent` how
 * many requests; `code` is how it ended, after so many `attempts`. `parent` is the attempt that it
 * is made for, while that is worked on.
 *
 * @since 0.1.0
 */
export class Call {
  attempts = 0
  sent = 0
  executions = 0
  draws = 0
  code = 0
  stop: RetryDecision.StopReason | undefined = undefined
  /** Where its host keeps it, and the turn of the timer that it waits for. */
  slot = none
  turn = none
  /** The last delay before a retry; most calls have none. */
  previousMillis: number | undefined = undefined
  queueMillis = 0
  race: Race | undefined = undefined

  constructor(
    readonly number: number,
    readonly process: Process,
    readonly fromNanos: number,
    readonly parent: Attempt | undefined
  ) {}
}

/**
 * An attempt with its hedges. `failed` is that attempt, once it is known to have failed.
 *
 * @since 0.1.0
 */
export interface Race {
  readonly fromMillis: number
  readonly delayMillis: number
  /** In the order in which they began; there are few. */
  running: Array<Attempt>
  hedges: number
  isClosed: boolean
  isOver: boolean
  failed: Attempt | undefined
}

/**
 * Where an attempt stands: before the guards, in a line (`rated`: at the head of the limiter's, for
 * its time to come), on its way, or over.
 *
 * @since 0.1.0
 */
export type Stand = "guards" | "rate" | "rated" | "permits" | "cooldown" | "sent" | "over"

/**
 * What an attempt has of the guards on its way: their tokens, since when, and a permit; how long it
 * has waited in lines, and how long when the circuit admitted it. `isWatched`: it has passed the
 * cooldown.
 *
 * @since 0.1.0
 */
export class Pass {
  circuit: Circuit.Token | undefined = undefined
  circuitMillis = 0
  circuitQueueMillis = 0
  concurrency: Concurrency.Token | undefined = undefined
  concurrencyMillis = 0
  holdsPermit = false
  isWatched = false
  trial: Cooldown.Trial | undefined = undefined
  /** Where it waits; there once it has had to wait in a line. */
  line: Line | undefined = undefined

  constructor(public queueMillis: number) {}
}

/**
 * Where an attempt waits: in which line, since when, and the turn of the timer that ends it. Most
 * attempts wait in none, so this is no part of them.
 *
 * @since 0.1.0
 */
export interface Line {
  turn: number
  fromNanos: number
  isWaiting: boolean
  rate: Fifo.Place<RateLine.Waiter<Attempt>> | undefined
  permit: Fifo.Place<Attempt> | undefined
  cooldown: Fifo.Place<CooldownLine.Waiter<Attempt>> | undefined
}

/**
 * How many calls an upstream has made for a request, and the code of the one that failed.
 *
 * @since 0.1.0
 */
export interface Errands {
  calls: number
  cause: number
}

/**
 * One attempt of a call, and the request that it sends. There may be a million at once, so it has
 * no more than every attempt needs: what only some need stands apart.
 *
 * @since 0.1.0
 */
export class Attempt implements Upstream.Request {
  attempt = none
  phase: Upstream.Request["phase"] = "new"
  place: Upstream.Request["place"] = undefined
  errands: Errands | undefined = undefined
  /** Where its host keeps it, and how many events of its request are to come. */
  slot = none
  events = 0
  /** The timer of its time limit, by the number that its host has given it. */
  limit = none
  /** How it has ended, or the answer that is on its way back. */
  code = 0
  retryAfterMillis: number | undefined = undefined
  stand: Stand = "guards"
  /** Its time limits run it in a fiber of its own, which has had to wait for something. */
  isForked = false
  isTotal = false
  /** Its fiber has been told to leave, and hears of it before anything else. */
  isLeaving = false

  /**
   * `race` is the one that it takes part in, where there are hedges; `pass` is there where there
   * are guards.
   */
  constructor(
    readonly of: Call,
    readonly race: Race | undefined,
    readonly isHedge: boolean,
    readonly pass: Pass | undefined
  ) {}

  get call(): number {
    return this.of.number
  }
}

/**
 * What keeps the time and the network for the machine. A timer is known by its turn, or by another
 * number that is not negative; an event of a number that the call or the attempt does not wait for
 * is out of date.
 *
 * @since 0.1.0
 */
export interface Host {
  /** The time now; it changes between events. */
  readonly clock: { readonly nanos: number }
  /** The next draw of the stages of a call, from `[0, 1)`. */
  readonly draw: (call: Call) => number
  /** Arms the timer of a call: for a delay before a retry, or for a hedge. */
  readonly armCall: (call: Call, endNanos: number) => number
  /** Arms a timer of an attempt: for a wait in a line, or for its time limit. */
  readonly armLine: (attempt: Attempt, endNanos: number) => number
  readonly armLimit: (attempt: Attempt, endNanos: number) => number
  /** The time limit of an attempt, of the number `limit`, no longer counts. */
  readonly disarmLimit: (attempt: Attempt) => void
  /** Sends the request of an attempt. */
  readonly send: (attempt: Attempt) => void
  /** The caller of a request that was sent no longer waits for its answer. */
  readonly abandon: (attempt: Attempt) => void
  /** Nothing more comes of an attempt, beside its request where that was abandoned. */
  readonly attemptEnded: (attempt: Attempt) => void
  /** A call has ended with `code`. */
  readonly callEnded: (call: Call) => void
  /** The circuit that a process keeps has gone from one phase to another, at that moment. */
  readonly transition: (
    of: Pick<Process, "key" | "number">,
    from: Circuit.Phase["_tag"],
    to: Circuit.Phase["_tag"],
    atMillis: number
  ) => void
}

/**
 * What a step in line does with its attempt, or with the call of the attempt.
 *
 * @since 0.1.0
 */
export type Step = "wake" | "expire" | "leave" | "leaveChild" | "outer" | "settle"

/**
 * The steps that wait for their turn, within one event. O(1) each.
 *
 * @since 0.1.0
 */
export class Steps {
  readonly #steps: Array<Step> = []
  readonly #attempts: Array<Attempt> = []
  #pending = 0

  push(step: Step, attempt: Attempt): void {
    this.#steps[this.#pending] = step
    this.#attempts[this.#pending++] = attempt
  }

  /** Takes all of them, those that join meanwhile too. */
  drain(take: (step: Step, attempt: Attempt) => void): void {
    for (let next = 0; next < this.#pending; next++) {
      take(this.#steps[next] as Step, this.#attempts[next] as Attempt)
    }
    this.#pending = 0
  }
}

/**
 * A time that has gone through a `Duration`, which has whole nanoseconds.
 *
 * @since 0.1.0
 */
export const rounded = (millis: number): number =>
  Number.isInteger(millis) ? millis : Math.round(millis * 1e6) / 1e6

/**
 * The moment so many milliseconds later, in whole nanoseconds.
 *
 * @since 0.1.0
 */
export const later = (nowNanos: number, millis: number): number =>
  nowNanos + Math.round(millis * 1e6)

/**
 * What an ending means under these stages. Throws for a code that `meanings` has no entry for.
 *
 * @since 0.1.0
 */
export const meaningOf = ({ meanings }: Stages, code: number): Meaning => {
  const meaning = meanings[code]
  if (meaning === undefined) throw new RangeError(`meanings should have an entry for ${code}`)
  return meaning
}
