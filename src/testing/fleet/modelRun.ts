/** Runs one sequence of batches on a store and on the pure machine side by side. */
import * as Effect from "effect/Effect"
import * as Machine from "../../core/fleetStore.js"
import type * as Wire from "../../core/fleetWire.js"
import type { Service, StoreError } from "../../fleet/FleetStore.js"
import type { Step } from "./batches.js"
import { Members } from "./batches.js"
import { replyDiffers } from "./compare.js"
import { inWords, longMillis, now, should } from "./talk.js"

/** How many batches are sent together at most. */
const togetherMax = 3

/**
 * Of two holds the later end counts: which one is later must not depend on when each of them came.
 */
const apartMillis = 5000

/** Spans may be off by this, and by how long an exchange has taken. */
const slackMillis = 1000

/** Every order of a few things. */
const ordersOf = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  items.length < 2
    ? [items]
    : items.flatMap((first, at) => ordersOf(items.toSpliced(at, 1)).map((rest) => [first, ...rest]))

/** What of a reply a member remembers. */
interface Known {
  readonly version: number
  readonly seed: string
}

const nothing: Known = { version: 0, seed: "" }

interface Sent {
  readonly step: Step
  readonly toStore: Wire.Batch
  readonly toModel: Wire.Batch
}

interface Answered extends Sent {
  readonly found: Wire.Reply
}

/** Steps that are sent together, of members that differ. */
const groupsOf = (steps: ReadonlyArray<Step>): ReadonlyArray<ReadonlyArray<Step>> => {
  const groups: Array<Array<Step>> = []
  for (const step of steps) {
    const group = groups.at(-1)
    const isTogether = step.together && group !== undefined && group.length < togetherMax &&
      group.every(({ member }) => member !== step.member)
    if (isTogether) group.push(step)
    else groups.push([step])
  }
  return groups
}

const said = ({ step, toStore: { commands } }: Sent): string =>
  `member ${step.member} ${step.how === "next" ? "says" : `(${step.how}) says`} ${
    commands.length === 0 ? "nothing" : commands.map(({ op }) => op).join(" + ")
  }`

/** One sequence of batches. */
export class ModelRun {
  #state = Machine.make()
  readonly #members: Members
  readonly #stored = new Map<number, Known>()
  readonly #modelled = new Map<number, Known>()
  readonly #last = new Map<number, Sent>()
  readonly #words: Array<string> = []
  #slackMillis = slackMillis
  #sentMillis = 0

  constructor(readonly store: Service, fleet: string) {
    this.#members = new Members(fleet, longMillis, (text) => store.name(text), apartMillis)
  }

  /** What went wrong, in words, if anything did. */
  run(steps: ReadonlyArray<Step>): Effect.Effect<string | undefined> {
    const groups = Effect.forEach(
      groupsOf(steps),
      (group) =>
        Effect.flatMap(this.#sent(group), (answered) => {
          const wrong = this.#judged(answered)
          return wrong === undefined ? Effect.void : should(wrong, false)
        }),
      { discard: true }
    )
    return Effect.map(
      inWords(groups),
      (wrong) => wrong === undefined ? undefined : `After ${this.#words.join(", ")}: ${wrong}`
    )
  }

  /** The same batch for both; each speaks of the changes in versions of its own. */
  #batches(step: Step): Sent {
    const known = this.#modelled.get(step.member) ?? nothing
    const before = this.#last.get(step.member)
    const toModel = this.#members.batch(step, this.#state, known)
    if (step.how === "again" && before !== undefined) return { ...before, step }
    const { seed, version } = this.#stored.get(step.member) ?? nothing
    const toStore = { ...toModel, since: toModel.since === 0 ? 0 : version, knows: seed }
    const sent = { step, toModel, toStore }
    this.#last.set(step.member, sent)
    return sent
  }

  #sent(group: ReadonlyArray<Step>): Effect.Effect<ReadonlyArray<Answered>, StoreError> {
    return Effect.suspend(() => {
      const sent = group.map((step) => this.#batches(step))
      this.#words.push(sent.map(said).join(" and at the same time "))
      this.#sentMillis = now()
      return Effect.forEach(
        sent,
        (each) => Effect.map(this.store.exchange(each.toStore), (found) => ({ ...each, found })),
        { concurrency: "unbounded" }
      )
    })
  }

  /** Some order of what was sent together has to explain the answers. */
  #judged(answered: ReadonlyArray<Answered>): string | undefined {
    const atMillis = now()
    this.#slackMillis = Math.max(this.#slackMillis, slackMillis + 2 * (atMillis - this.#sentMillis))
    let wrong: string | undefined
    for (const order of ordersOf(answered)) {
      const state = answered.length === 1 ? this.#state : structuredClone(this.#state)
      const replies: Array<readonly [Answered, Wire.Reply]> = []
      const differs = order.map((each) => {
        const [expected] = Machine.exchange(state, atMillis, each.toModel)
        replies.push([each, expected])
        return replyDiffers(each.toModel, each.found, expected, this.#slackMillis)
      }).find((words) => words !== undefined)
      if (differs === undefined) {
        this.#state = state
        for (const [{ found, step }, expected] of replies) {
          if (expected.stale) continue
          this.#stored.set(step.member, found)
          this.#modelled.set(step.member, expected)
        }
        return undefined
      }
      wrong ??= differs
    }
    return answered.length === 1
      ? wrong
      : `no order of these explains the answers: in one ${wrong ?? ""}`
  }
}
