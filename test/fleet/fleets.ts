/** Several members of one fleet in virtual time, over one store that can be made to fail. */
import {
  Clock,
  Context,
  Duration,
  Effect,
  ExecutionStrategy,
  Exit,
  Layer,
  Scope,
  Stream,
  TestClock
} from "effect"
import * as Fleet from "effect-resilience/fleet/Fleet"
import * as FleetStore from "effect-resilience/fleet/FleetStore"
import { settle, yields } from "../support/turns.js"

/** What becomes of the questions of one member. */
export interface Wire {
  /** How long a question and its answer are under way together. */
  delay: number
  loseQuestion: boolean
  loseAnswer: boolean
  double: boolean
  freeze: boolean
  refuse: boolean
  blockPushes: boolean
  /** What the answer is replaced with. */
  forge: ((reply: FleetStore.Reply) => unknown) | undefined
  /** Every batch that was sent. */
  readonly sent: Array<FleetStore.Batch>
  /** How many questions are under way, and the most that ever were. */
  inFlight: number
  mostInFlight: number
}

const whole = {
  delay: 0,
  loseQuestion: false,
  loseAnswer: false,
  double: false,
  freeze: false,
  refuse: false,
  blockPushes: false,
  forge: undefined
} as const

export interface MemberOf {
  readonly fleet: Context.Tag.Service<typeof Fleet.Fleet>
  readonly wire: Wire
  /** Provides the member. */
  readonly use: <A, E>(self: Effect.Effect<A, E, Fleet.Fleet>) => Effect.Effect<A, E>
  readonly leave: Effect.Effect<void>
}

const wired = (store: FleetStore.Service, wire: Wire): FleetStore.Service => ({
  name: store.name,
  pushes: Stream.filter(store.pushes, () => !wire.blockPushes && !wire.freeze),
  exchange: (batch) =>
    Effect.ensuring(
      asked(store, wire, batch),
      Effect.sync(() => {
        wire.inFlight--
      })
    )
})

const asked = (store: FleetStore.Service, wire: Wire, batch: FleetStore.Batch) =>
  Effect.gen(function*() {
    wire.sent.push(batch)
    wire.inFlight++
    wire.mostInFlight = Math.max(wire.mostInFlight, wire.inFlight)
    if (wire.refuse) return yield* new FleetStore.StoreError({ retryable: true })
    if (wire.freeze || wire.loseQuestion) return yield* Effect.never
    if (wire.delay > 0) yield* Effect.sleep(wire.delay / 2)
    const reply = yield* store.exchange(batch)
    if (wire.double) yield* store.exchange(batch)
    if (wire.loseAnswer) return yield* Effect.never
    if (wire.delay > 0) yield* Effect.sleep(wire.delay / 2)
    return wire.forge === undefined ? reply : wire.forge(reply) as FleetStore.Reply
  })

/** A store in memory. */
export const memoryStore: Effect.Effect<FleetStore.Service, never, Scope.Scope> = Effect.map(
  Layer.build(FleetStore.layerMemory),
  (context) => Context.get(context, FleetStore.FleetStore)
)

/** Another member joins. */
export const join = (
  store: FleetStore.Service,
  options: Partial<Fleet.Options> & { readonly member: string },
  faults: Partial<Wire> = {}
): Effect.Effect<MemberOf, never, Scope.Scope> =>
  Effect.gen(function*() {
    const wire: Wire = { ...whole, sent: [], inFlight: 0, mostInFlight: 0 }
    const outer = yield* Effect.scope
    const scope = yield* Scope.fork(outer, ExecutionStrategy.sequential)
    const layer = Layer.provide(
      Fleet.layer({ name: "fleet", ...options }),
      Layer.succeed(FleetStore.FleetStore, wired(store, wire))
    )
    const fleet = Context.get(yield* Layer.buildWithScope(layer, scope), Fleet.Fleet)
    // Joining and leaving are not disturbed: virtual time would have to pass meanwhile.
    Object.assign(wire, faults)
    yield* Scope.addFinalizer(outer, Effect.sync(() => Object.assign(wire, whole)))
    return {
      fleet,
      wire,
      use: (self) => Effect.provideService(self, Fleet.Fleet, fleet),
      leave: Scope.close(scope, Exit.void)
    }
  })

/** So many members of one fleet, named m0, m1 and so on. */
export const members = (
  count: number,
  options: Partial<Fleet.Options> = {},
  faults: Partial<Wire> = {}
) =>
  Effect.gen(function*() {
    const store = yield* memoryStore
    const all = yield* Effect.forEach(
      Array.from({ length: count }, (_, n) => `m${n}`),
      (member) => join(store, { ...options, member }, faults)
    )
    // Until all have heard of all.
    yield* pass("2 seconds")
    return { store, all }
  })

/** Lets virtual time pass up to a moment, and everything happen in it at its own time. */
const passUntil = (end: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    while (true) {
      yield* yields(12)
      const next = Math.min(...(yield* TestClock.sleeps()))
      if (next > end) break
      yield* TestClock.setTime(next)
    }
    yield* TestClock.setTime(end)
    yield* settle
  })

/** Lets virtual time pass. */
export const pass = (duration: Duration.DurationInput): Effect.Effect<void> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => passUntil(now + Duration.toMillis(duration))
  )
