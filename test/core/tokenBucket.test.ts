import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as TokenBucket from "../../src/core/tokenBucket.js"
import { runs } from "../support/runs.js"

const micro = 1_000_000

interface Plan {
  readonly capacity: number
  /** Millionths of a token that flow in in a millisecond. */
  readonly flow: number
  /** Millionths of a token that a deposit pays in. */
  readonly ratio: number
}

type Command =
  | { readonly _tag: "Wait"; readonly millis: number }
  | { readonly _tag: "Withdraw" | "Deposit" | "Look" }

/** The same bucket in whole millionths, filled millisecond by millisecond. */
class SlowBucket {
  tokens: number
  private filledUntil = 0
  constructor(readonly plan: Plan) {
    this.tokens = plan.capacity * micro
  }
  private pour(amount: number) {
    this.tokens = Math.min(this.plan.capacity * micro, this.tokens + amount)
  }
  flowUntil(now: number) {
    for (; this.filledUntil < now; this.filledUntil++) this.pour(this.plan.flow)
  }
  deposit() {
    this.pour(this.plan.ratio)
  }
  withdraw() {
    if (this.tokens < micro) return false
    this.tokens -= micro
    return true
  }
}

const plans: fc.Arbitrary<Plan> = fc.record({
  capacity: fc.constantFrom(0, 1, 2, 10, 50),
  flow: fc.oneof(fc.constantFrom(0, 1, 1000), fc.nat({ max: 5000 })),
  ratio: fc.oneof(fc.constantFrom(0, 100_000, 333_333, micro), fc.nat({ max: 2 * micro }))
})

const commands: fc.Arbitrary<ReadonlyArray<Command>> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.constant<Command>({ _tag: "Withdraw" }) },
    { weight: 2, arbitrary: fc.constant<Command>({ _tag: "Deposit" }) },
    { weight: 1, arbitrary: fc.constant<Command>({ _tag: "Look" }) },
    {
      weight: 2,
      arbitrary: fc.record({
        _tag: fc.constant("Wait" as const),
        millis: fc.oneof(fc.constantFrom(0, 1, 999, 1000), fc.integer({ min: -500, max: 3000 }))
      })
    }
  ),
  { minLength: 1, maxLength: 60 }
)

const bucketOf = ({ capacity, flow }: Plan): TokenBucket.TokenBucket => ({
  capacity,
  perSecond: flow / 1000
})

describe("tokenBucket", () => {
  it("R20: it agrees with a bucket in whole numbers, filled millisecond by millisecond", () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(plans, commands, (plan, commands) => {
        const bucket = bucketOf(plan)
        const slow = new SlowBucket(plan)
        let state = TokenBucket.full(bucket, 0)
        let now = 0
        for (const command of commands) {
          // A moment between two looks did not happen: a clock may pass it and come back.
          if (command._tag === "Withdraw" || command._tag === "Look") slow.flowUntil(now)
          switch (command._tag) {
            case "Wait":
              now += command.millis
              break
            case "Deposit":
              slow.deposit()
              state = TokenBucket.deposit(bucket, state, plan.ratio / micro)
              break
            case "Withdraw": {
              const [granted, next] = TokenBucket.withdraw(bucket, state, now)
              state = next
              seen.add(String(granted))
              expect(granted).toBe(slow.withdraw())
              break
            }
            case "Look":
              state = TokenBucket.refill(bucket, state, now)
              expect(Math.abs(state.tokens - slow.tokens / micro)).toBeLessThan(1e-7)
          }
        }
      }),
      { numRuns: runs(1000) }
    )
    expect([...seen].toSorted()).toEqual(["false", "true"])
  })

  it("R20: it never holds less than nothing nor more than its capacity", () => {
    fc.assert(
      fc.property(plans, commands, (plan, commands) => {
        const bucket = bucketOf(plan)
        let state = TokenBucket.full(bucket, 0)
        let now = 0
        for (const command of commands) {
          if (command._tag === "Wait") now += command.millis
          else if (command._tag === "Deposit") {
            state = TokenBucket.deposit(bucket, state, plan.ratio / micro)
          } else if (command._tag === "Withdraw") {
            state = TokenBucket.withdraw(bucket, state, now)[1]
          } else state = TokenBucket.refill(bucket, state, now)
          expect(state.tokens >= 0 && state.tokens <= bucket.capacity).toBe(true)
        }
      }),
      { numRuns: runs(500) }
    )
  })

  it("R20: initially full, it grants its capacity and not one more", () => {
    const bucket = { capacity: 10, perSecond: 0 }
    let state = TokenBucket.full(bucket, 5)
    const granted = Array.from({ length: 12 }, () => {
      const [granted, next] = TokenBucket.withdraw(bucket, state, 5)
      state = next
      return granted
    })
    expect(granted).toEqual([...Array.from({ length: 10 }, () => true), false, false])
  })

  it.each([[1 / 3, 3], [0.1, 10], [1 / 7, 7], [0.3, 4]])(
    "R20: deposits of %d pay for exactly one withdrawal from the %dth on",
    (ratio, needed) => {
      const bucket = { capacity: 10, perSecond: 0 }
      let state: TokenBucket.State = { tokens: 0, atMillis: 0 }
      const granted: Array<boolean> = []
      for (let deposits = 1; deposits <= needed; deposits++) {
        state = TokenBucket.deposit(bucket, state, ratio)
        granted.push(TokenBucket.withdraw(bucket, state, 0)[0])
      }
      const [, left] = TokenBucket.withdraw(bucket, state, 0)
      expect([granted.indexOf(true) + 1, TokenBucket.withdraw(bucket, left, 0)[0]]).toEqual([
        needed,
        false
      ])
    }
  )

  it("R20: a withdrawal succeeds from 1 - 1e-9 on, and leaves no debt", () => {
    const bucket = { capacity: 10, perSecond: 0 }
    const from = (tokens: number) => TokenBucket.withdraw(bucket, { tokens, atMillis: 0 }, 0)
    expect([from(1 - 1e-9), from(1 - 1.1e-9)]).toEqual([
      [true, { tokens: 0, atMillis: 0 }],
      [false, { tokens: 1 - 1.1e-9, atMillis: 0 }]
    ])
  })

  it("R20: ten deposits of a tenth are a token, and nine are not", () => {
    const bucket = { capacity: 10, perSecond: 0 }
    const after = (deposits: number) => {
      let state: TokenBucket.State = { tokens: 0, atMillis: 0 }
      for (let i = 0; i < deposits; i++) state = TokenBucket.deposit(bucket, state, 0.1)
      return TokenBucket.withdraw(bucket, state, 0)[0]
    }
    expect([after(9), after(10)]).toEqual([false, true])
  })

  it("R20: ten deposits of a tenth are shown as one token, three of a third as they are", () => {
    const bucket = { capacity: 10, perSecond: 0 }
    const tokensAfter = (deposits: number, amount: number) =>
      Array.from({ length: deposits }).reduce<TokenBucket.State>(
        (state) => TokenBucket.deposit(bucket, state, amount),
        { tokens: 0, atMillis: 0 }
      ).tokens
    expect([
      tokensAfter(10, 0.1),
      tokensAfter(30, 0.1),
      tokensAfter(1, 1 / 3),
      tokensAfter(1, 1e-12)
    ]).toEqual([1, 3, 1 / 3, 1e-12])
  })

  it("R20: the reserve of one per second grants a token at the thousandth millisecond", () => {
    const bucket = { capacity: 10, perSecond: 1 }
    const empty = { tokens: 0, atMillis: 0 }
    expect([999, 1000].map((now) => TokenBucket.withdraw(bucket, empty, now)[0])).toEqual([
      false,
      true
    ])
  })

  it("R20: a refusal takes nothing, so what flows in piecemeal adds up", () => {
    const bucket = { capacity: 10, perSecond: 1 }
    let state: TokenBucket.State = { tokens: 0, atMillis: 0 }
    const granted = [300, 600, 900, 1000].map((now) => {
      const [granted, next] = TokenBucket.withdraw(bucket, state, now)
      state = next
      return granted
    })
    expect(granted).toEqual([false, false, false, true])
  })

  it("R20: a clock that goes back neither fills nor drains it, and does not fill it twice", () => {
    const bucket = { capacity: 10, perSecond: 1 }
    let state: TokenBucket.State = { tokens: 2, atMillis: 5000 }
    const tokens = [4000, 5000, 6000, 1000, 6000].map((now) => {
      state = TokenBucket.refill(bucket, state, now)
      return state.tokens
    })
    expect(tokens).toEqual([2, 2, 3, 3, 3])
  })
})
