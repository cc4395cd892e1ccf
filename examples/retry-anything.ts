/**
 * Trying again without HTTP: any effect, with errors of its own.
 * `npx tsx examples/retry-anything.ts`
 */
import { Data, Effect } from "effect"
import { Backoff, Operation, Retry, RetryBudget, Verdict } from "effect-resilience"

class Busy extends Data.TaggedError("Busy")<{ readonly lockedBy: string }> {}
class Lost extends Data.TaggedError("Lost")<{}> {}
class Full extends Data.TaggedError("Full")<{}> {}
type StoreError = Busy | Lost | Full

/** A store of ours that fails as told, one failure per call, and then works. */
const makeStore = (failures: ReadonlyArray<StoreError>) => {
  let calls = 0
  const append = Effect.suspend(() => {
    const failure = failures[calls++]
    return failure === undefined ? Effect.succeed("stored") : Effect.fail(failure)
  })
  return { append, calls: () => calls }
}

/** What our own errors mean. An error nobody has judged would be final. */
const verdict = (error: StoreError): Verdict.Verdict => {
  switch (error._tag) {
    case "Busy": // turned away before anything was written
      return Verdict.transient({ ambiguous: false, retryAfter: "5 millis" })
    case "Lost": // the connection broke: written or not, nobody knows
      return Verdict.transient({ ambiguous: true })
    case "Full":
      return Verdict.terminal
  }
}

const policy = {
  backoff: Backoff.exponential({ base: "2 millis", cap: "20 millis" }),
  retries: 3,
  verdict
}

const show = (title: string, failures: ReadonlyArray<StoreError>, operation: Operation.Operation) =>
  Effect.gen(function*() {
    const store = makeStore(failures)
    const outcome = yield* store.append.pipe(
      Retry.retry({ ...policy, operation }),
      // The errors are still ours, each with its own tag.
      Effect.catchTags({
        Busy: ({ lockedBy }) => Effect.succeed(`gave up, locked by ${lockedBy}`),
        Lost: () => Effect.succeed("unknown whether it was stored"),
        Full: () => Effect.succeed("no space")
      })
    )
    console.log(`${title}: ${outcome}, calls: ${store.calls()}`)
  })

const busy = new Busy({ lockedBy: "backup" })

const program = Effect.gen(function*() {
  yield* show("busy twice", [busy, busy], Operation.once)
  yield* show("busy for ever", Array.from({ length: 9 }, () => busy), Operation.once)
  yield* show("full", [new Full()], Operation.once)
  yield* show("lost, append once", [new Lost()], Operation.once)
  yield* show("lost, but twice is the same as once", [new Lost()], Operation.idempotent)

  // Ten callers fail together and share one budget of four retries, so six of them stop after one
  // call.
  const budget = yield* RetryBudget.make({ ratio: 0.1, capacity: 4, reservePerSecond: 0 })
  const stores = Array.from({ length: 10 }, () => makeStore([busy]))
  const outcomes = yield* Effect.forEach(
    stores,
    ({ append }) =>
      Effect.option(Retry.retry(append, { ...policy, operation: Operation.once, budget })),
    { concurrency: "unbounded" }
  )
  const stored = outcomes.filter((outcome) => outcome._tag === "Some").length
  console.log(
    `ten at once on a budget of four: stored ${stored}, calls ${
      stores.reduce((n, s) => n + s.calls(), 0)
    }`
  )
})

await Effect.runPromise(program)
