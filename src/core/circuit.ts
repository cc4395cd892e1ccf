/**
 * The state machine of a circuit breaker: which calls are admitted, what an outcome changes, what
 * an operator may command.
 *
 * Every event is `(policy, state, ..., now) -> [answer, state]`, without effect and in constant
 * time (in HalfOpen: in the number of trials). What a caller sees (`visible`) is derived from the
 * state, so a change of it is a transition, and the service, the property tests and the laws all
 * speak of the same machine. Times are monotonic milliseconds.
 *
 *     Closed --(a rate reaches its threshold)--> Open --(time)--> HalfOpen
 *     HalfOpen --(trials succeed)--> Closed
 *     HalfOpen --(a trial fails)--> Open
 *
 * Every admission carries the generation in which it was made, and every change of phase or of
 * control begins a new one: an outcome of an older generation changes nothing.
 */
import * as Backoff from "./backoff.js"
import * as CountWindow from "./countWindow.js"
import * as TimeWindow from "./timeWindow.js"
import * as Trials from "./trials.js"

/**
 * The options of a circuit in plain numbers. `slow` is absent where slowness does not count. `open`
 * is a fixed time, or a backoff over the number of consecutive openings.
 *
 * @since 0.1.0
 */
export interface Policy {
  readonly window:
    | { readonly _tag: "Count"; readonly size: number }
    | { readonly _tag: "Time"; readonly durationMillis: number; readonly buckets: number }
  readonly minimumCalls: number
  readonly failureRate: number
  readonly slow: { readonly overMillis: number; readonly rate: number } | undefined
  readonly open: number | Backoff.Backoff
  readonly maxOpenMillis: number
  readonly halfOpen: Trials.Rules
  /**
   * How long a trial holds its slot; absent: as long as the circuit was open, at least ten seconds.
   */
  readonly trialTimeoutMillis: number | undefined
}

/**
 * The state of the circuit without commands of an operator.
 *
 * @since 0.1.0
 */
export type Phase =
  | { readonly _tag: "Closed"; readonly sinceMillis: number }
  | { readonly _tag: "Open"; readonly untilMillis: number }
  | { readonly _tag: "HalfOpen"; readonly trials: Trials.Trials }

/**
 * A command of an operator besides isolation.
 *
 * @since 0.1.0
 */
export type Order = "ForcedOpen" | "ForcedClosed" | "Disabled"

/**
 * The commands of an operator. Isolation is counted, and outranks an order.
 *
 * @since 0.1.0
 */
export interface Control {
  readonly order: Order | undefined
  readonly isolations: number
}

/**
 * The control without a command.
 *
 * @since 0.1.0
 */
export const uncontrolled: Control = { order: undefined, isolations: 0 }

/**
 * Makes a control; one without a command is `uncontrolled` itself.
 *
 * @since 0.1.0
 */
export const controlled = (control: Control): Control =>
  control.order === undefined && control.isolations === 0 ? uncontrolled : control

/**
 * @since 0.1.0
 */
export interface State extends Control {
  readonly phase: Phase
  readonly generation: number
  /** Consecutive openings, and how long the last of them was. */
  readonly openings: number
  readonly openMillis: number
  readonly window: CountWindow.CountWindow | TimeWindow.TimeWindow
}

/**
 * The state that callers meet.
 *
 * @since 0.1.0
 */
export type Visible = Phase["_tag"] | Order | "Isolated"

/**
 * Proof of admission, to be shown with the outcome. `trial` is -1 where the call is not a trial.
 *
 * @since 0.1.0
 */
export interface Token {
  readonly generation: number
  readonly trial: number
}

/**
 * How a call ended. `retryAfterMillis` is what the server asked for.
 *
 * @since 0.1.0
 */
export interface Result {
  readonly _tag: "Success" | "Failure" | "Ignored"
  readonly retryAfterMillis?: number | undefined
  readonly durationMillis: number
  /** A draw from [0, 1), for an open time with jitter. */
  readonly unit: number
}

/**
 * Whether a call may run. A rejection says when one can at the latest: exactly, where the circuit
 * is open.
 *
 * @since 0.1.0
 */
export type Admission =
  | { readonly _tag: "Admitted"; readonly token: Token }
  | { readonly _tag: "Rejected"; readonly retryAfterMillis: number }

/**
 * A new circuit: closed and empty.
 *
 * @since 0.1.0
 */
export const make = (policy: Policy, nowMillis: number): State => ({
  phase: { _tag: "Closed", sinceMillis: nowMillis },
  order: undefined,
  isolations: 0,
  generation: 0,
  openings: 0,
  openMillis: 0,
  window: policy.window._tag === "Count"
    ? CountWindow.make(policy.window.size)
    : TimeWindow.make(policy.window.durationMillis, policy.window.buckets)
})

/**
 * Computes the state that callers meet: isolation outranks a command, a command outranks the phase.
 *
 * @since 0.1.0
 */
export const visible = (state: State): Visible =>
  state.isolations > 0 ? "Isolated" : state.order ?? state.phase._tag

/** A state with something changed, in a generation of its own. */
const next = (state: State, changes: Partial<State>): State => ({
  ...state,
  ...changes,
  generation: state.generation + 1
})

const clear = (window: State["window"]): void =>
  window._tag === "Count" ? CountWindow.clear(window) : TimeWindow.clear(window)

const halfOpen: Phase = { _tag: "HalfOpen", trials: Trials.none }

/**
 * Lets time pass: an open circuit whose time is over is half-open. The answer is when that
 * happened. O(1).
 *
 * @since 0.1.0
 */
export const settle = (
  state: State,
  nowMillis: number
): readonly [happenedMillis: number, state: State] => {
  if (state.phase._tag !== "Open" || state.phase.untilMillis > nowMillis) return [nowMillis, state]
  // Under an operator's control it is invisible, and the calls that run go on to count.
  const settled = visible(state) === "Open"
    ? next(state, { phase: halfOpen })
    : { ...state, phase: halfOpen }
  return [state.phase.untilMillis, settled]
}

/**
 * Consecutive openings: forgotten when the circuit has stayed closed for as long as it was last
 * open.
 */
const openingsAt = (state: State, nowMillis: number): number =>
  state.phase._tag === "Closed" && nowMillis - state.phase.sinceMillis >= state.openMillis
    ? 0
    : state.openings

/**
 * How long an opening lasts after so many before it: what the policy says, or longer where the
 * server asked for it.
 *
 * @since 0.1.0
 */
export const openingMillis = (
  policy: Policy,
  openings: number,
  previousMillis: number,
  result: Pick<Result, "retryAfterMillis" | "unit">
): number => {
  const hint = Math.min(policy.maxOpenMillis, result.retryAfterMillis ?? 0)
  if (typeof policy.open === "number") return Math.max(policy.open, hint)
  const grown = Backoff.delayMillis(policy.open, {
    attempt: openings,
    previousMillis,
    unit: result.unit
  })
  return Math.max(Math.min(policy.maxOpenMillis, grown), hint)
}

const trip = (policy: Policy, state: State, result: Result, nowMillis: number): State => {
  const openings = openingsAt(state, nowMillis)
  const openMillis = openingMillis(policy, openings, state.openMillis, result)
  clear(state.window)
  return next(state, {
    phase: { _tag: "Open", untilMillis: nowMillis + openMillis },
    openings: openings + 1,
    openMillis
  })
}

const close = (state: State, nowMillis: number): State => {
  clear(state.window)
  return next(state, { phase: { _tag: "Closed", sinceMillis: nowMillis } })
}

const trialMillis = (policy: Policy, state: State): number =>
  policy.trialTimeoutMillis ?? Math.max(state.openMillis, 10_000)

const admitTrial = (
  policy: Policy,
  state: State,
  { trials }: Extract<Phase, { _tag: "HalfOpen" }>,
  nowMillis: number
): readonly [Admission, State] => {
  const taken = Trials.take(
    policy.halfOpen,
    trials,
    nowMillis + trialMillis(policy, state),
    nowMillis
  )
  return "freeInMillis" in taken
    ? [{ _tag: "Rejected", retryAfterMillis: taken.freeInMillis }, state]
    : [
      { _tag: "Admitted", token: { generation: state.generation, trial: taken.trial } },
      { ...state, phase: { _tag: "HalfOpen", trials: taken.trials } }
    ]
}

/**
 * Decides whether a call may run now. The state has to be settled. O(1); in HalfOpen, O(trials).
 *
 * @since 0.1.0
 */
export const admit = (
  policy: Policy,
  state: State,
  nowMillis: number
): readonly [Admission, State] => {
  const { generation, phase } = state
  switch (visible(state)) {
    case "Isolated":
    case "ForcedOpen":
      return [{ _tag: "Rejected", retryAfterMillis: Infinity }, state]
    case "ForcedClosed":
    case "Disabled":
      return [{ _tag: "Admitted", token: { generation, trial: -1 } }, state]
    default:
      if (phase._tag === "Closed") {
        return [{ _tag: "Admitted", token: { generation, trial: -1 } }, state]
      }
      return phase._tag === "HalfOpen"
        ? admitTrial(policy, state, phase, nowMillis)
        : [{ _tag: "Rejected", retryAfterMillis: phase.untilMillis - nowMillis }, state]
  }
}

/**
 * Tests whether a call took longer than a call may.
 *
 * @since 0.1.0
 */
export const isSlow = ({ slow }: Policy, result: Result): boolean =>
  slow !== undefined && result.durationMillis > slow.overMillis

/**
 * Tests whether a part is at least this share of the whole. Nothing is a share of nothing, and 0.1
 * * 30 is not exact.
 *
 * @since 0.1.0
 */
export const reaches = (part: number, whole: number, share: number): boolean =>
  part > 0 && part >= share * whole - 1e-9

/**
 * Tests whether the window says that the circuit should open. O(1).
 *
 * @since 0.1.0
 */
export const exceeds = (policy: Policy, { calls, failures, slow }: CountWindow.Counts): boolean =>
  calls >= policy.minimumCalls &&
  (reaches(failures, calls, policy.failureRate) ||
    (policy.slow !== undefined && reaches(slow, calls, policy.slow.rate)))

const remember = (window: State["window"], outcome: CountWindow.Outcome, nowMillis: number): void =>
  window._tag === "Count"
    ? CountWindow.record(window, outcome)
    : TimeWindow.record(window, outcome, nowMillis)

const recordClosed = (policy: Policy, state: State, result: Result, nowMillis: number): State => {
  const slow = isSlow(policy, result)
  const failed = result._tag === "Failure"
  if (result._tag === "Ignored" || state.order === "Disabled") return state
  remember(state.window, { failed, slow }, nowMillis)
  return state.order === undefined && exceeds(policy, state.window)
    ? trip(policy, state, result, nowMillis)
    : state
}

const findingOf = (policy: Policy, result: Result): Trials.Finding => {
  if (result._tag === "Ignored") {
    return { waitMillis: Math.min(policy.maxOpenMillis, result.retryAfterMillis ?? 0) }
  }
  return result._tag === "Failure" || isSlow(policy, result) ? "bad" : "good"
}

const recordTrial = (
  policy: Policy,
  state: State,
  { trials }: Extract<Phase, { _tag: "HalfOpen" }>,
  trial: number,
  result: Result,
  nowMillis: number
): State => {
  const ended = Trials.end(policy.halfOpen, trials, trial, findingOf(policy, result), nowMillis)
  if (ended === "open") return trip(policy, state, result, nowMillis)
  if (ended === "close") return close(state, nowMillis)
  return ended === trials ? state : { ...state, phase: { _tag: "HalfOpen", trials: ended } }
}

/**
 * Applies an outcome. The state has to be settled. O(1); in HalfOpen, O(trials).
 *
 * @since 0.1.0
 */
export const record = (
  policy: Policy,
  state: State,
  token: Token,
  result: Result,
  nowMillis: number
): State => {
  if (token.generation !== state.generation) return state
  return state.phase._tag === "HalfOpen" && state.order === undefined
    ? recordTrial(policy, state, state.phase, token.trial, result, nowMillis)
    : recordClosed(policy, state, result, nowMillis)
}

/** Trials that run are of the generation that ends with an order, so their slots end with it. */
const withoutTrials = (phase: Phase): Phase =>
  phase._tag === "HalfOpen" ? { _tag: "HalfOpen", trials: Trials.abandoned(phase.trials) } : phase

/**
 * Adds or removes one isolation. O(1).
 *
 * @since 0.1.0
 */
export const isolate = (state: State, by: 1 | -1): State => {
  const isolations = Math.max(0, state.isolations + by)
  return (isolations > 0) === (state.isolations > 0)
    ? { ...state, isolations }
    : next(state, { isolations, phase: withoutTrials(state.phase) })
}

/**
 * Forces the circuit open or closed, or disables it; the last order counts. O(1).
 *
 * @since 0.1.0
 */
export const order = (state: State, order: Order): State =>
  state.order === order ? state : next(state, { order, phase: withoutTrials(state.phase) })

/**
 * Back to closed and empty, whatever was ordered. Isolation stays until its handles are gone.
 * O(window).
 *
 * @since 0.1.0
 */
export const reset = (state: State, nowMillis: number): State => {
  clear(state.window)
  return next(state, {
    phase: { _tag: "Closed", sinceMillis: nowMillis },
    order: undefined,
    openings: 0,
    openMillis: 0
  })
}

/**
 * Counts the outcomes in the window now. O(1), beside the cost of expired buckets.
 *
 * @since 0.1.0
 */
export const counts = (state: State, nowMillis: number): CountWindow.Counts => {
  const { window } = state
  if (window._tag === "Time") TimeWindow.advance(window, nowMillis)
  return { calls: window.calls, failures: window.failures, slow: window.slow }
}

/**
 * Computes how long until a call could be admitted: undefined where one could be now, infinite
 * where only an operator can end it. O(trials).
 *
 * @since 0.1.0
 */
export const retryAfterMillis = (
  policy: Policy,
  state: State,
  nowMillis: number
): number | undefined => {
  const [admission] = admit(policy, state, nowMillis)
  return admission._tag === "Rejected" ? admission.retryAfterMillis : undefined
}

/**
 * Tests whether nothing would be lost with this circuit but its window: closed for so long that
 * earlier openings are forgotten, or half-open without a trial; under no control but what all
 * circuits are under. O(trials).
 *
 * @since 0.1.0
 */
export const isIdle = (
  state: State,
  nowMillis: number,
  { isolations, order }: Control = uncontrolled
): boolean =>
  state.isolations === isolations && state.order === order &&
  ((state.phase._tag === "Closed" && openingsAt(state, nowMillis) === 0) ||
    (state.phase._tag === "HalfOpen" && !Trials.areHeld(state.phase.trials, nowMillis)))

export { openingsAt as openings }
