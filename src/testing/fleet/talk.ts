/** Members of a fleet that talk to the store under test. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Wire from "../../core/fleetWire.js"
import type { Service } from "../../fleet/FleetStore.js"
import { StoreError } from "../../fleet/FleetStore.js"
import { liveClock, nowMillis } from "../../runtime/clock.js"

/** The time that really passes. */
export const now = (): number => nowMillis(liveClock)

/** Really waits. */
export const wait = (millis: number): Effect.Effect<void> =>
  liveClock.sleep(Duration.millis(Math.max(0, Math.ceil(millis))))

/** Longer than a check takes. */
export const longMillis = 600_000

type AnswerOf<Op extends Wire.Answer["op"]> = Extract<Wire.Answer, { readonly op: Op }>

/** What was expected of the store, in words, where it does something else. */
export class Unlawful {
  readonly _tag = "Unlawful"
  constructor(readonly words: string) {}
}

/** Expects something of the store. */
export const should = (words: string, isSo: boolean): Effect.Effect<void, Unlawful> =>
  isSo ? Effect.void : Effect.fail(new Unlawful(words))

/** One fleet on the store under test. */
export class Talk {
  readonly #sequences = new Map<string, number>()

  constructor(readonly store: Service, readonly fleet: string) {}

  /** What a text is called in the store. */
  named(text: string): string {
    return this.store.name(text)
  }

  batch(
    member: string,
    commands: ReadonlyArray<Wire.Command>,
    changes: Partial<Wire.Batch> = {}
  ): Wire.Batch {
    const sequence = (this.#sequences.get(member) ?? 0) + 1
    this.#sequences.set(member, sequence)
    return {
      v: 1,
      fleet: this.fleet,
      member: this.named(member),
      label: member,
      incarnation: 1,
      sequence,
      memberTimeout: longMillis,
      since: 0,
      knows: "",
      seed: `${member} ${sequence}`,
      last: false,
      circuits: [],
      commands,
      ...changes
    }
  }

  /** Everything that a member has to say. */
  says(
    member: string,
    commands: ReadonlyArray<Wire.Command>,
    changes: Partial<Wire.Batch> = {}
  ): Effect.Effect<Wire.Reply, StoreError> {
    return Effect.suspend(() => this.store.exchange(this.batch(member, commands, changes)))
  }

  /** One command, and its answer. */
  asks<Op extends Wire.Answer["op"]>(
    op: Op,
    member: string,
    command: Wire.Command,
    changes: Partial<Wire.Batch> = {}
  ): Effect.Effect<AnswerOf<Op>, StoreError | Unlawful> {
    return Effect.flatMap(
      this.says(member, [command], changes),
      ({ answers: [answer] }) =>
        answer?.op === op
          ? Effect.succeed(answer as AnswerOf<Op>)
          : Effect.fail(
            new Unlawful(`the command "${command.op}" should be answered with "${op}"`)
          )
    )
  }

  /** The views of one who knows nothing yet. */
  views(): Effect.Effect<ReadonlyArray<Wire.View>, StoreError> {
    return Effect.map(this.says("who joins", []), ({ changes }) => changes)
  }
}

/** Turns what a store does wrong, or that it does not answer at all, into words. */
export const inWords = <E extends StoreError | Unlawful>(
  check: Effect.Effect<void, E>
): Effect.Effect<string | undefined> =>
  check.pipe(
    Effect.as(undefined),
    Effect.catchAll((error: StoreError | Unlawful) =>
      Effect.succeed(error instanceof StoreError ? `it fails: ${error.message}` : error.words)
    ),
    Effect.catchAllDefect((defect) => Effect.succeed(`it dies: ${String(defect)}`))
  )
