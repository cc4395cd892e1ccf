/** What the tests of the circuit share: a circuit on a bench, with a clock that the test moves. */
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Circuit from "../../src/core/circuit.js"
import { policyOf } from "../../src/policies/circuitBreaker/options.js"

export type Ending = Partial<Circuit.Result> | Circuit.Result["_tag"]

/** One circuit and its time. Calls that are not started apart take no time. */
export class Bench {
  readonly policy: Circuit.Policy
  state: Circuit.State
  constructor(options: CircuitBreaker.Options = {}, public now = 0) {
    this.policy = policyOf(options)
    this.state = Circuit.make(this.policy, now)
  }
  /** Lets time pass. */
  pass(millis: number): this {
    this.now += millis
    this.state = Circuit.settle(this.state, this.now)[1]
    return this
  }
  /** A token, or for how long the call is rejected. */
  start(): Circuit.Token | number {
    const [admission, state] = Circuit.admit(this.policy, this.state, this.now)
    this.state = state
    return admission._tag === "Admitted" ? admission.token : admission.retryAfterMillis
  }
  token(): Circuit.Token {
    const token = this.start()
    if (typeof token === "number") throw new Error(`rejected for ${token} ms`)
    return token
  }
  end(token: Circuit.Token, ending: Ending): this {
    const result: Circuit.Result = {
      _tag: "Failure",
      durationMillis: 0,
      unit: 0,
      ...(typeof ending === "string" ? { _tag: ending } : ending)
    }
    this.state = Circuit.record(this.policy, this.state, token, result, this.now)
    return this
  }
  /** Calls one after the other that end so. */
  calls(...endings: ReadonlyArray<Ending>): this {
    for (const ending of endings) this.end(this.token(), ending)
    return this
  }
  times(n: number, ending: Ending): this {
    return this.calls(...Array.from({ length: n }, () => ending))
  }
  change(f: (state: Circuit.State, now: number) => Circuit.State): this {
    this.state = f(this.state, this.now)
    return this
  }
  order(order: Circuit.Order): this {
    return this.change((state) => Circuit.order(state, order))
  }
  isolate(by: 1 | -1): this {
    return this.change((state) => Circuit.isolate(state, by))
  }
  reset(): this {
    return this.change(Circuit.reset)
  }
  get visible() {
    return Circuit.visible(this.state)
  }
  get counts() {
    return Circuit.counts(this.state, this.now)
  }
  get wait() {
    return Circuit.retryAfterMillis(this.policy, this.state, this.now)
  }
  get openings() {
    return Circuit.openings(this.state, this.now)
  }
}

export const none = { calls: 0, failures: 0, slow: 0 }
/** Opens at the first failure, for a second. */
export const touchy: CircuitBreaker.Options = {
  window: CircuitBreaker.count(1),
  openDuration: "1 second"
}
export const opened = (options: CircuitBreaker.Options = {}, ending: Ending = "Failure") =>
  new Bench({ ...touchy, ...options }).calls(ending)
/** As long as it was open, later. */
export const halfOpened = (options: CircuitBreaker.Options = {}, ending: Ending = "Failure") => {
  const bench = opened(options, ending)
  return bench.pass(bench.wait ?? 0)
}
