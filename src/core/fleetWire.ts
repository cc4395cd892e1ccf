/**
 * What a member of a fleet and its store say to each other: plain JSON, without a clock of anyone.
 *
 * All times are spans in milliseconds, counted from the moment at which the store answers. So the
 * clocks of members and store need not agree. All names are what `Service.name` makes of a text.
 *
 * A batch is applied as a whole or not at all, at one moment of the store's time. The pure machine
 * in `fleetStore` says what each command does; a store in another language does the same.
 */

import type { Command, View } from "./fleetCommands.js"

export type * from "./fleetCommands.js"

/**
 * The question of a member: everything that it has to say, in one round trip.
 *
 * **Details**
 *
 * A store does this, in one atomic step:
 *
 * 1. Lets the fleet's time pass by as much as its clock has advanced since the last batch. Where
 *    the clock shows less than then (it has stepped back, or another server took over), no time
 *    passes. All times below are the fleet's.
 * 2. Compares `(incarnation, sequence)` with the last of this `member`. What is not greater is
 *    `stale`: it changes nothing, and the answer says only that and the stored incarnation. A
 *    member's pair is remembered for twelve `memberTimeout`s.
 * 3. Notes that the member lives: it is one of `Reply.members` until `memberTimeout` after its last
 *    batch. With `last` it is one no longer.
 * 4. Gives a fleet that it does not know the `seed` of this batch, for as long as it remembers the
 *    fleet.
 * 5. Applies the commands in their order. A command that it cannot read has `null` for an answer.
 * 6. Answers, with the views that changed after version `since`, oldest change first, 200 at most.
 *
 * Each record expires an hour after it was last written and after its end, orders after a week.
 *
 * @since 0.1.0
 * @category models
 */
export interface Batch {
  /** The version of this format. */
  readonly v: 1
  /** The name of the fleet. */
  readonly fleet: string
  /** The name of the member. */
  readonly member: string
  /** The member's id as an operator reads it. */
  readonly label: string
  /** Counts the lives of the member. */
  readonly incarnation: number
  /** Counts the batches of this life. */
  readonly sequence: number
  /** How long what a member says holds without its saying more. */
  readonly memberTimeout: number
  /** The version up to which the member knows all changes; 0 for everything. */
  readonly since: number
  /** The seed of the store that `since` speaks of. Where it is another, `since` counts as 0. */
  readonly knows: string
  /** A text that no other batch has, for a store that does not know the fleet. */
  readonly seed: string
  /** Whether the member leaves. */
  readonly last: boolean
  /** Its own circuits that are not closed, by name and state, 32 at most. */
  readonly circuits: ReadonlyArray<readonly [name: string, state: string]>
  /** What it says and asks, 200 commands at most. */
  readonly commands: ReadonlyArray<Command>
}

/**
 * The answer to one command, by its kind. `epoch` is the record's own after the command.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer =
  | {
    /** Names the answer. */
    readonly op: "count"
    /** The epoch of the record. */
    readonly epoch: number
    /** All calls of the epoch that living members count now. */
    readonly calls: number
    /** Failed ones. */
    readonly failures: number
    /** Slow ones. */
    readonly slow: number
    /** How many members have calls. */
    readonly members: number
    /** How many members vote for failures. */
    readonly failing: number
    /** How many members vote for slowness. */
    readonly slowing: number
    /** How many members have said anything of this epoch. */
    readonly heard: number
  }
  | {
    /** Names the answer: to `open`, `close`, `trialEnd`, `order`, `isolate`, `release`, `hold`. */
    readonly op: "done"
    /** The epoch of the record. */
    readonly epoch: number
    /** Whether the command has changed the record. */
    readonly done: boolean
  }
  | {
    /** Names the answer: to `trial` and `probe`. */
    readonly op: "lease"
    /** The epoch of the record. */
    readonly epoch: number
    /** Whether the asker holds it. */
    readonly granted: boolean
    /** Where it does not: how long until it is worth asking again. */
    readonly left: number
  }
  | {
    /** Names the answer. */
    readonly op: "tokens"
    /** How many tokens may be spent at once. */
    readonly granted: number
    /** How many more come due one after the other, each `spacing` after the one before. */
    readonly booked: number
    /** When the first of those is due; where nothing was leased, when `first` could be. */
    readonly due: number
  }
  | {
    /** Names the answer. */
    readonly op: "permits"
    /** How many permits the member holds now. */
    readonly granted: number
    /** How many it should keep to while others want; equal to `concurrency` where none does. */
    readonly fair: number
  }
  | {
    /** Names the answer. */
    readonly op: "members"
    /** Living members: id, how long ago the last batch came, circuits that are not closed. */
    readonly list: ReadonlyArray<
      readonly [
        id: string,
        heard: number,
        circuits: ReadonlyArray<readonly [name: string, state: string]>
      ]
    >
    /** Where the next page begins; empty after the last. */
    readonly next: string
  }
  | {
    /** Names the answer. */
    readonly op: "known"
  }

/**
 * The answer to a batch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reply {
  /** The version of this format. */
  readonly v: 1
  /** Whether a newer batch of the member came before: then nothing was changed. */
  readonly stale: boolean
  /** The incarnation of the member that the store knows. */
  readonly incarnation: number
  /** The seed that the fleet has in the store. Another one: the store has lost all. */
  readonly seed: string
  /** How many members live. */
  readonly members: number
  /** The version up to which `changes` tell all. */
  readonly version: number
  /** Whether there are more changes than were told. */
  readonly more: boolean
  /** Records that changed. */
  readonly changes: ReadonlyArray<View>
  /** One answer for each command, in their order. */
  readonly answers: ReadonlyArray<Answer | null>
}

/**
 * What a store tells all members of a fleet at once. A push may be lost or doubled: what it says
 * comes with the next reply too.
 *
 * @since 0.1.0
 * @category models
 */
export interface Push {
  /** The name of the fleet. */
  readonly fleet: string
  /** Records that changed. */
  readonly changes: ReadonlyArray<View>
}

/** How many commands a batch has at most, and how many changes a reply. */
export const pageSize = 200

/** How many members a page lists. */
export const membersPage = 100
