/**
 * Simulates an upstream: how many requests it works on at once, how long each takes, which it turns
 * away, and how it fails.
 *
 * The upstream decides; its host keeps the time. The host says when a request arrives, when its
 * service ends, when its caller has gone and when a stretch of faults begins or ends. The upstream
 * says when a service will end and what the answer is. Times are whole nanoseconds. Everything is
 * changed in place, and O(1) beside the number of faults.
 */
import * as Distribution from "./distribution.js"
import * as Draw from "./draw.js"
import * as Fifo from "./fifo.js"
import * as Gcra from "./gcra.js"

/**
 * How much the upstream can do at once.
 *
 * - `Unlimited`: everything
 * - `Workers`: so many requests; `queue` more wait, in the order in which they came (`fifo`) or the
 *   last first (`lifo`); others are answered with the status `overflow`
 * - `LoadDependent`: everything, but each request takes `baseMillis + slopeMillis * n ** power`
 *   longer, where `n` requests are worked on when it begins, itself included
 *
 * @since 0.1.0
 */
export type Capacity =
  | { readonly _tag: "Unlimited" }
  | {
    readonly _tag: "Workers"
    readonly workers: number
    readonly queue: number
    readonly order: "fifo" | "lifo"
    readonly overflow: number
  }
  | {
    readonly _tag: "LoadDependent"
    readonly baseMillis: number
    readonly slopeMillis: number
    readonly power: number
  }

/**
 * How the upstream fails.
 *
 * - `Outage`: it answers nothing but that it is down. What it worked on when the outage began is
 *   lost, unless it answers `"503"`.
 * - `Errors`: a share of the answers is this status
 * - `Burst`: a share of the answers is 503, in spells; both kinds of spell have an exponential
 *   length with this mean
 * - `BrownOut`: service takes `latency` times as long, by `capacity` times as many workers, and by
 *   at least one
 *
 * @since 0.1.0
 */
export type Fault =
  | {
    readonly _tag: "Outage"
    readonly fromNanos: number
    readonly toNanos: number
    readonly as: "refused" | "reset" | "503" | "blackHole"
  }
  | { readonly _tag: "Errors"; readonly rate: number; readonly status: number }
  | {
    readonly _tag: "Burst"
    readonly goodMillis: number
    readonly badMillis: number
    readonly rate: number
  }
  | {
    readonly _tag: "BrownOut"
    readonly fromNanos: number
    readonly toNanos: number
    readonly latency: number
    readonly capacity: number
  }

/**
 * `rateLimit` answers 429; `retryAfter` is the wait that goes with it: as long as it takes
 * (`exact`), none, or a fixed number of milliseconds. `noticesAbandonment`: a request whose caller
 * has gone is dropped.
 *
 * @since 0.1.0
 */
export interface Options {
  readonly service: Distribution.Distribution
  readonly capacity: Capacity
  readonly noticesAbandonment: boolean
  readonly rateLimit:
    | { readonly policy: Gcra.Policy; readonly retryAfter: "exact" | "none" | number }
    | undefined
  readonly faults: ReadonlyArray<Fault>
}

/**
 * Answers that are no status of HTTP. A black hole never answers.
 *
 * @since 0.1.0
 */
export const answers = { success: 0, refused: 1, reset: 2, blackHole: 3 } as const

/**
 * A request. `call` and `attempt` say which draws it takes.
 *
 * - `phase`: where it stands at the upstream
 * - `place`: its place in line, while it is queued
 *
 * @since 0.1.0
 */
export interface Request {
  readonly call: number
  readonly attempt: number
  phase: "new" | "queued" | "served" | "over"
  place: Fifo.Place<Request> | undefined
}

/**
 * What the upstream tells. An `answer` is one of `answers` or a status.
 *
 * @since 0.1.0
 */
export interface Host<R extends Request> {
  /** The service of a request has begun and will end then. */
  readonly serve: (request: R, endNanos: number) => void
  /** A request has its answer, with the wait that the upstream asks for. */
  readonly answer: (request: R, answer: number, retryAfterMillis: number | undefined) => void
}

/** The spells of one `Burst`: whether it is a bad one now, and until when. */
interface Spells {
  readonly fault: Extract<Fault, { readonly _tag: "Burst" }>
  readonly number: number
  isBad: boolean
  untilNanos: number
  changes: number
}

/**
 * One upstream of one replication.
 *
 * @since 0.1.0
 */
export class Upstream<R extends Request> {
  readonly #sample: (unit: number) => number
  readonly #spells: ReadonlyArray<Spells | undefined>
  readonly #line = Fifo.make<Request>()
  #served = 0
  #taken: Gcra.Taken = Gcra.unused

  constructor(
    readonly options: Options,
    readonly source: Draw.Source,
    readonly host: Host<R>
  ) {
    this.#sample = Distribution.sampler(options.service)
    this.#spells = options.faults.map((fault, number) =>
      fault._tag === "Burst"
        ? { fault, number, isBad: true, untilNanos: 0, changes: 0 }
        : undefined
    )
  }

  /** How many requests are worked on. */
  get served(): number {
    return this.#served
  }

  /** How many requests wait in line. */
  get queued(): number {
    return this.#line.size
  }

  /** A request has reached the upstream. */
  arrive(request: R, nowNanos: number): void {
    const outage = this.#outage(nowNanos)
    if (outage !== undefined) {
      return this.#over(request, outage === "503" ? 503 : answers[outage], undefined)
    }
    const { rateLimit } = this.options
    if (rateLimit !== undefined) {
      const now = BigInt(nowNanos)
      const wait = Gcra.waitNanos(rateLimit.policy, this.#taken, 0, 1, now)
      if (wait > 0n) return this.#over(request, 429, retryAfterMillis(rateLimit.retryAfter, wait))
      this.#taken = Gcra.take(rateLimit.policy, this.#taken, 1, now)
    }
    const { capacity } = this.options
    if (capacity._tag !== "Workers" || this.#served < this.#workers(capacity.workers, nowNanos)) {
      return this.#serve(request, nowNanos)
    }
    if (this.#line.size >= capacity.queue) return this.#over(request, capacity.overflow, undefined)
    this.#join(request)
  }

  /**
   * The service of a request has ended; it may have failed by `cause`, the status that answers it
   * unless the upstream is down. One that was dropped meanwhile has no answer.
   */
  end(request: R, nowNanos: number, cause: number): void {
    if (request.phase !== "served") return
    this.#served--
    this.#over(request, this.#answer(request, nowNanos, cause), undefined)
    this.change(nowNanos)
  }

  /**
   * The upstream has noticed that the caller of a request has gone. The request leaves its place,
   * in line or at work.
   */
  drop(request: R, nowNanos: number): void {
    if (request.phase === "queued") {
      this.#leave(request)
    } else if (request.phase === "served") {
      this.#served--
      this.change(nowNanos)
    }
    request.phase = "over"
  }

  /** There may be room for requests in line: a worker is free, or a brown-out has ended. */
  change(nowNanos: number): void {
    const { capacity } = this.options
    if (capacity._tag !== "Workers") return
    const workers = this.#workers(capacity.workers, nowNanos)
    while (this.#served < workers) {
      const next = capacity.order === "fifo" ? this.#line.first : this.#line.last
      if (next === undefined) return
      this.#leave(next.value)
      // Only requests of this kind ever join the line.
      this.#serve(next.value as R, nowNanos)
    }
  }

  #over(request: R, answer: number, retryAfterMillis: number | undefined): void {
    request.phase = "over"
    this.host.answer(request, answer, retryAfterMillis)
  }

  #serve(request: R, nowNanos: number): void {
    const { capacity, faults } = this.options
    this.#served++
    request.phase = "served"
    const { attempt, call } = request
    let millis = this.#sample(Draw.unit(this.source, call, Draw.purposes.service, attempt))
    if (capacity._tag === "LoadDependent") {
      millis += capacity.baseMillis + capacity.slopeMillis * this.#served ** capacity.power
    }
    for (const fault of faults) {
      if (fault._tag === "BrownOut" && isDuring(fault, nowNanos)) millis *= fault.latency
    }
    this.host.serve(request, nowNanos + Math.round(millis * 1e6))
  }

  /** The end of a service: what was worked on when an outage began is lost. */
  #answer(request: Request, nowNanos: number, cause: number): number {
    const outage = this.#outage(nowNanos)
    if (outage === "blackHole") return answers.blackHole
    if (outage === "refused" || outage === "reset") return answers.reset
    if (cause !== answers.success) return cause
    const { faults } = this.options
    for (let number = 0; number < faults.length; number++) {
      const fault = faults[number] as Fault
      if (fault._tag === "Errors" && this.#falls(request, number, fault.rate)) return fault.status
      const spells = this.#spells[number]
      if (spells === undefined) continue
      this.#settle(spells, nowNanos)
      if (spells.isBad && this.#falls(request, number, spells.fault.rate)) return 503
    }
    return answers.success
  }

  #falls({ attempt, call }: Request, number: number, rate: number): boolean {
    const index = attempt * this.options.faults.length + number
    return Draw.unit(this.source, call, Draw.purposes.fault, index) < rate
  }

  /** Lets spells pass that have ended. The first spell is a good one. */
  #settle(spells: Spells, nowNanos: number): void {
    while (spells.untilNanos <= nowNanos) {
      spells.isBad = !spells.isBad
      const mean = spells.isBad ? spells.fault.badMillis : spells.fault.goodMillis
      const unit = Draw.unit(this.source, spells.number, Draw.purposes.burst, spells.changes++)
      spells.untilNanos += Math.max(1, Math.round(-mean * Math.log(1 - unit) * 1e6))
    }
  }

  #outage(nowNanos: number): "refused" | "reset" | "503" | "blackHole" | undefined {
    for (const fault of this.options.faults) {
      if (fault._tag === "Outage" && isDuring(fault, nowNanos)) return fault.as
    }
    return undefined
  }

  #workers(workers: number, nowNanos: number): number {
    let left = workers
    for (const fault of this.options.faults) {
      if (fault._tag === "BrownOut" && isDuring(fault, nowNanos)) left *= fault.capacity
    }
    // 0.3 * 10 is not exact.
    return Math.max(1, Math.floor(left + 1e-9))
  }

  #join(request: Request): void {
    request.phase = "queued"
    request.place = Fifo.join(this.#line, request)
  }

  #leave(request: Request): void {
    if (request.place !== undefined) Fifo.leave(this.#line, request.place)
    request.place = undefined
  }
}

const isDuring = (
  { fromNanos, toNanos }: { readonly fromNanos: number; readonly toNanos: number },
  nowNanos: number
): boolean => fromNanos <= nowNanos && nowNanos < toNanos

const retryAfterMillis = (
  retryAfter: "exact" | "none" | number,
  waitNanos: bigint
): number | undefined => {
  if (retryAfter === "none") return undefined
  return retryAfter === "exact" ? Number(waitNanos) / 1e6 : retryAfter
}

/**
 * The moments at which `change` has to be called: the ends of brown-outs, when there are workers
 * again.
 *
 * @since 0.1.0
 */
export const changesNanos = ({ faults }: Options): ReadonlyArray<number> =>
  faults.flatMap((fault) => fault._tag === "BrownOut" ? [fault.toNanos] : [])
