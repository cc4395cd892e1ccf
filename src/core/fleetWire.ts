/**
 * What a member of a fleet and its store say to each other: plain JSON, without a clock of anyone.
 *
 * All times are spans in milliseconds, counted from the moment at which the store answers. So the
 * clocks of members and store need not agree. All names are what `Service.name` makes of a text.
 *
 * A batch is applied as a whole or not at all, at one moment of the store's time. The pure machine
 * in `fleetStore` says what each command does; a store in another language does the same.
 */

/**
 * A command of an operator, as the store keeps it. `None`: no command.
 *
 * @since 0.1.0
 * @category models
 */
export type FleetOrder = "None" | "ForcedOpen" | "ForcedClosed" | "Disabled"

/**
 * What all members know of a circuit, an operator's order or a cooldown. The higher `epoch` of one
 * name is the newer.
 *
 * @since 0.1.0
 * @category models
 */
export type View =
  | {
    /** Names the case. */
    readonly kind: "circuit"
    /** The name of the record. */
    readonly name: string
    /** Grows with each opening, each close and each reset. */
    readonly epoch: number
    /** True while the circuit is open or half-open. */
    readonly open: boolean
    /** Open: how long it still is; 0 or less means half-open for so long. Closed: 0. */
    readonly left: number
    /** How many times in a row it has opened. */
    readonly openings: number
    /** How long the last opening was. */
    readonly openMillis: number
    /** Closed: for how long. Open: 0. */
    readonly closedFor: number
  }
  | {
    /** Names the case. */
    readonly kind: "order"
    /** The name of the record. */
    readonly name: string
    /** Grows with each order and each isolation that begins or ends. */
    readonly epoch: number
    /** The command that holds. */
    readonly order: FleetOrder
    /** How many times the circuits of this name were reset. */
    readonly resets: number
    /** How long the name is isolated yet; 0 where it is not. */
    readonly isolated: number
  }
  | {
    /** Names the case. */
    readonly kind: "cooldown"
    /** The name of the record. */
    readonly name: string
    /** Grows with each hold and with the success that clears it. */
    readonly epoch: number
    /** False once a trial has succeeded. */
    readonly held: boolean
    /** How long calls are held yet; 0 or less means that a trial may go first. */
    readonly left: number
  }

/**
 * The outcomes of one member in its window, whole. They replace what it said before.
 *
 * @since 0.1.0
 * @category models
 */
export interface Count {
  /** Names the command. */
  readonly op: "count"
  /** The name of the circuit. */
  readonly name: string
  /** The epoch in which the outcomes were counted. Of another epoch they change nothing. */
  readonly epoch: number
  /** How many calls ended. */
  readonly calls: number
  /** How many of them failed. */
  readonly failures: number
  /** How many of them were slow. */
  readonly slow: number
  /** Votes to open for failures. */
  readonly failing: boolean
  /** Votes to open for slowness. */
  readonly slowing: boolean
}

/**
 * Opens a closed circuit of that epoch (a compare-and-set).
 *
 * @since 0.1.0
 * @category models
 */
export interface Open {
  /** Names the command. */
  readonly op: "open"
  /** The name of the circuit. */
  readonly name: string
  /** The epoch that has to be the store's own. */
  readonly epoch: number
  /** How long the circuit will be open. */
  readonly openMillis: number
  /** How many times in a row it has opened, with this one. */
  readonly openings: number
}

/**
 * Closes the circuit of that epoch, in any phase, and forgets earlier openings (a compare-and-set).
 *
 * @since 0.1.0
 * @category models
 */
export interface Close {
  /** Names the command. */
  readonly op: "close"
  /** The name of the circuit. */
  readonly name: string
  /** The epoch that has to be the store's own. */
  readonly epoch: number
}

/**
 * Asks for a trial of a half-open circuit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Trial {
  /** Names the command. */
  readonly op: "trial"
  /** The name of the circuit. */
  readonly name: string
  /** The epoch that has to be the store's own. */
  readonly epoch: number
  /** Names the trial; unique in the fleet. */
  readonly id: string
  /** How many trials the whole fleet has: finished and held ones together. */
  readonly trials: number
  /** How long the trial is held at most. */
  readonly timeout: number
  /** For so long in HalfOpen a member that failed a trial since the last close gets none. */
  readonly grace: number
}

/**
 * Ends a trial. Of one that is not held any more, or of another epoch, it changes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface TrialEnd {
  /** Names the command. */
  readonly op: "trialEnd"
  /** The name of the circuit. */
  readonly name: string
  /** The epoch of the trial. */
  readonly epoch: number
  /** The trial. */
  readonly id: string
  /** `free`: it says nothing. Its place is kept for `wait`, and then free. */
  readonly result: "good" | "bad" | "free"
  /** How long the place of a `free` one stays taken. */
  readonly wait: number
  /** So many bad trials open the circuit again. */
  readonly badLimit: number
  /** So many good trials close it. */
  readonly goodLimit: number
  /** How long it will be open, should this trial open it. */
  readonly openMillis: number
  /** How many times in a row it has opened then. */
  readonly openings: number
}

/**
 * An operator's order for the circuits of a name.
 *
 * @since 0.1.0
 * @category models
 */
export interface OrderCommand {
  /** Names the command. */
  readonly op: "order"
  /** The name of the order. */
  readonly name: string
  /** The epoch that the member knows. The record's next one is greater than it. */
  readonly epoch: number
  /** The order that holds from now on. */
  readonly order: FleetOrder
  /** Counts one reset more. */
  readonly reset: boolean
}

/**
 * Begins an isolation, or keeps it for longer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Isolate {
  /** Names the command. */
  readonly op: "isolate"
  /** The name of the order. */
  readonly name: string
  /** The epoch that the member knows. The record's next one is greater than it. */
  readonly epoch: number
  /** Names the handle; unique in the fleet. */
  readonly id: string
  /** How long it holds without being said again. */
  readonly hold: number
}

/**
 * Ends an isolation.
 *
 * @since 0.1.0
 * @category models
 */
export interface Release {
  /** Names the command. */
  readonly op: "release"
  /** The name of the order. */
  readonly name: string
  /** The epoch that the member knows. The record's next one is greater than it. */
  readonly epoch: number
  /** The handle. */
  readonly id: string
}

/**
 * Leases tokens of a rate, and gives unspent ones back.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tokens {
  /** Names the command. */
  readonly op: "tokens"
  /** The name of the limiter's line. */
  readonly name: string
  /** How much of the line one token takes: interval / limit. */
  readonly spacing: number
  /** How many tokens may be taken at once after a rest. */
  readonly burst: number
  /** How many tokens the member could use. 0: it only gives back. */
  readonly want: number
  /** How many of them at least, or none: the cost of the call that waits first. */
  readonly first: number
  /** Tokens that come due within this time are booked ahead. */
  readonly horizon: number
  /** The `first` ones are booked even when they come due later, up to this time. */
  readonly patience: number
  /** How many tokens were leased and not used. */
  readonly back: number
}

/**
 * Holds all calls of a name, for longer if it is held already and never for less.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hold {
  /** Names the command. */
  readonly op: "hold"
  /** The name of the cooldown. */
  readonly name: string
  /** The epoch that the member knows. The record's next one is greater than it. */
  readonly epoch: number
  /** For how long. */
  readonly left: number
}

/**
 * Asks to be the one trial after a cooldown.
 *
 * @since 0.1.0
 * @category models
 */
export interface Probe {
  /** Names the command. */
  readonly op: "probe"
  /** The name of the cooldown. */
  readonly name: string
  /** Names the trial; unique in the fleet. */
  readonly id: string
  /** How long the trial is held at most. */
  readonly timeout: number
}

/**
 * Ends the trial of a cooldown. Of one that is not held any more it changes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProbeEnd {
  /** Names the command. */
  readonly op: "probeEnd"
  /** The name of the cooldown. */
  readonly name: string
  /** The trial. */
  readonly id: string
  /** Whether the server serves again; otherwise the next call is the trial. */
  readonly serves: boolean
}

/**
 * Says how many permits a member needs, whole. It replaces what the member said before, and holds
 * for the batch's `memberTimeout`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Permits {
  /** Names the command. */
  readonly op: "permits"
  /** The name of the bulkhead. */
  readonly name: string
  /** How many calls of the whole fleet may run at once. */
  readonly concurrency: number
  /** How many permits it holds on to, running calls included; others it has given up already. */
  readonly held: number
  /** How many it needs, those that it holds included. */
  readonly need: number
}

/**
 * Puts back what a store has lost. The higher epoch wins; the same epoch changes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Known {
  /** Names the command. */
  readonly op: "known"
  /** What the member knows. */
  readonly view: View
}

/**
 * Lists living members, a page at a time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Members {
  /** Names the command. */
  readonly op: "members"
  /** The `next` of the page before; empty for the first. */
  readonly after: string
}

/**
 * One thing that a member says or asks.
 *
 * @since 0.1.0
 * @category models
 */
export type Command =
  | Count
  | Open
  | Close
  | Trial
  | TrialEnd
  | OrderCommand
  | Isolate
  | Release
  | Tokens
  | Hold
  | Probe
  | ProbeEnd
  | Permits
  | Known
  | Members

/**
 * The question of a member: everything that it has to say, in one round trip.
 *
 * **Details**
 *
 * A store does this, in one atomic step:
 *
 * 1. Reads its clock; where it shows less than at an earlier batch of the fleet, the earlier time
 *    stands.
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
