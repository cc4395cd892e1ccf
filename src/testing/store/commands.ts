/**
 * Sequences of commands for an idempotency store: random ones, and those that find mistakes most
 * often.
 */
import * as FastCheck from "effect/FastCheck"

export type Span = "short" | "long"

/**
 * What an owner does to a key. `pick` chooses among those who were ever granted a claim of it, also
 * when they have lost it since.
 */
export type Deed =
  | {
    readonly _tag: "Claim"
    readonly owner: number
    readonly isOther: boolean
    readonly span: Span
  }
  | { readonly _tag: "Complete" | "Extend"; readonly pick: number; readonly span: Span }
  | { readonly _tag: "Release" | "Savepoint"; readonly pick: number }

export type Command =
  | { readonly _tag: "Do"; readonly key: number; readonly deed: Deed }
  | { readonly _tag: "Together"; readonly key: number; readonly deeds: ReadonlyArray<Deed> }
  | { readonly _tag: "Crowd"; readonly key: number; readonly size: number }
  | { readonly _tag: "Pass" }
  | { readonly _tag: "Deadline"; readonly pick: number; readonly off: number }
  | { readonly _tag: "Sweep"; readonly limit: number }

const pick = FastCheck.nat({ max: 5 })

const deedOf = (spans: FastCheck.Arbitrary<Span>): FastCheck.Arbitrary<Deed> =>
  FastCheck.oneof(
    {
      weight: 4,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Claim" as const),
        owner: FastCheck.integer({ min: 1, max: 3 }),
        isOther: FastCheck.oneof(
          { withCrossShrink: true },
          { weight: 7, arbitrary: FastCheck.constant(false) },
          { weight: 1, arbitrary: FastCheck.constant(true) }
        ),
        span: spans
      })
    },
    {
      weight: 3,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constantFrom("Complete" as const, "Complete" as const, "Extend" as const),
        pick,
        span: spans
      })
    },
    {
      weight: 3,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constantFrom("Savepoint" as const, "Release" as const),
        pick
      })
    }
  )

export const commands: FastCheck.Arbitrary<ReadonlyArray<Command>> = (() => {
  const key = FastCheck.constantFrom(0, 0, 0, 0, 1, 2)
  return FastCheck.array(
    FastCheck.oneof(
      {
        weight: 10,
        arbitrary: FastCheck.record({
          _tag: FastCheck.constant("Do" as const),
          key,
          deed: deedOf(FastCheck.constantFrom<Array<Span>>("short", "long"))
        })
      },
      {
        weight: 2,
        arbitrary: FastCheck.record({
          _tag: FastCheck.constant("Together" as const),
          key,
          // Two outcomes or two recovery points of one owner at once: which of them stands is not
          // defined.
          deeds: FastCheck.uniqueArray(deedOf(FastCheck.constant("long" as const)), {
            minLength: 2,
            maxLength: 3,
            selector: (deed) => deed._tag === "Claim" ? deed.owner : deed._tag
          })
        })
      },
      {
        weight: 1,
        arbitrary: FastCheck.record({
          _tag: FastCheck.constant("Crowd" as const),
          key,
          size: FastCheck.constantFrom(2, 10)
        })
      },
      { weight: 3, arbitrary: FastCheck.constant({ _tag: "Pass" as const }) },
      {
        weight: 2,
        arbitrary: FastCheck.record({
          _tag: FastCheck.constant("Deadline" as const),
          pick,
          off: FastCheck.constantFrom(0, -1, 1)
        })
      },
      {
        weight: 1,
        arbitrary: FastCheck.record({
          _tag: FastCheck.constant("Sweep" as const),
          limit: FastCheck.constantFrom(100, 1, 0)
        })
      }
    ),
    { minLength: 1, maxLength: 40, size: "max" }
  )
})()

const claim = (owner: number, span: Span, isOther = false): Deed => ({
  _tag: "Claim",
  owner,
  isOther,
  span
})
const complete = (pick: number, span: Span = "long"): Deed => ({ _tag: "Complete", pick, span })
const extend = (pick: number, span: Span = "long"): Deed => ({ _tag: "Extend", pick, span })
const release = (pick: number): Deed => ({ _tag: "Release", pick })
const savepoint = (pick: number): Deed => ({ _tag: "Savepoint", pick })
const pass: Command = { _tag: "Pass" }
const sweep = (limit: number): Command => ({ _tag: "Sweep", limit })
const crowd: Command = { _tag: "Crowd", key: 0, size: 10 }
const deadline = (off: number): Command => ({ _tag: "Deadline", pick: 0, off })
const onKey = (key: number, ...deeds: ReadonlyArray<Deed>): ReadonlyArray<Command> =>
  deeds.map((deed) => ({ _tag: "Do", key, deed }))

/** What goes wrong most easily is tried first, whatever chance has in store. */
export const stories: ReadonlyArray<ReadonlyArray<Command>> = [
  // The owner before comes back when another has taken over, and again when that one is done.
  [
    ...onKey(0, claim(1, "short"), savepoint(0), savepoint(0)),
    pass,
    ...onKey(
      0,
      claim(2, "long"),
      claim(2, "long"),
      complete(0),
      extend(0),
      savepoint(0),
      release(0)
    ),
    ...onKey(
      0,
      complete(1),
      complete(1),
      complete(0),
      release(0),
      release(1),
      claim(1, "long"),
      claim(3, "long", true)
    )
  ],
  // The same owner before, which has taken over in its turn.
  [
    ...onKey(0, claim(1, "short")),
    pass,
    ...onKey(0, claim(2, "short")),
    pass,
    ...onKey(0, claim(1, "long"), release(0), extend(0), savepoint(0), complete(0), complete(2))
  ],
  // A lease that a stale owner has prolonged; a recovery point that it has replaced.
  [
    ...onKey(0, claim(1, "short")),
    pass,
    ...onKey(0, claim(2, "short"), savepoint(1), savepoint(0), extend(0)),
    pass,
    ...onKey(0, claim(3, "long"))
  ],
  // Another payload in flight, lapsed and completed.
  [
    ...onKey(0, claim(1, "short"), claim(2, "long", true)),
    pass,
    ...onKey(0, claim(2, "long", true), complete(0), claim(2, "long", true))
  ],
  // A key that is given up, twice.
  [
    ...onKey(0, claim(1, "long"), savepoint(0), release(0), release(0), claim(2, "long", true)),
    ...onKey(0, release(0), extend(0), savepoint(0), complete(0), complete(1), release(1))
  ],
  // Lapsed claims without a new owner.
  [
    ...onKey(0, claim(1, "short")),
    pass,
    ...onKey(0, savepoint(0), extend(0), claim(2, "long"), complete(0), claim(2, "long"))
  ],
  [
    ...onKey(0, claim(1, "long"), complete(0, "short")),
    pass,
    ...onKey(0, complete(0), claim(2, "long")),
    sweep(100)
  ],
  [
    ...onKey(0, claim(1, "short"), savepoint(0)),
    pass,
    sweep(100),
    ...onKey(0, claim(2, "long"), complete(1)),
    sweep(100)
  ],
  [
    ...onKey(0, claim(1, "long"), complete(0, "short")),
    ...onKey(1, claim(1, "long"), complete(0, "short")),
    pass,
    sweep(1),
    sweep(1)
  ],
  [crowd, ...onKey(1, claim(1, "short")), pass, crowd],
  [...onKey(0, claim(1, "short")), pass, crowd, crowd, ...onKey(0, complete(1)), crowd],
  [...onKey(0, claim(1, "short")), pass, {
    _tag: "Together",
    key: 0,
    deeds: [complete(0), claim(2, "long")]
  }],
  [...onKey(0, claim(1, "short")), pass, {
    _tag: "Together",
    key: 0,
    deeds: [claim(2, "long"), complete(0)]
  }],
  [...onKey(0, claim(1, "long")), ...onKey(1, claim(2, "long")), ...onKey(2, claim(3, "long"))],
  [
    ...onKey(0, claim(1, "short")),
    deadline(-1),
    ...onKey(0, claim(2, "long")),
    deadline(0),
    ...onKey(0, claim(2, "long"))
  ],
  [
    ...onKey(0, claim(1, "long"), complete(0, "short")),
    deadline(-1),
    ...onKey(0, claim(2, "long")),
    deadline(0),
    ...onKey(0, claim(2, "long"))
  ]
]
