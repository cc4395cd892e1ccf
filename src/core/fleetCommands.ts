/**
 * What a member of a fleet tells its store and asks of it, command by command, and what all members
 * hear of a record. Plain JSON.
 *
 * All times are spans in milliseconds, counted from the moment at which the store answers. All
 * names are what `Service.name` makes of a text.
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
 * Asks for a trial of a half-open circuit. Granted where the epoch is the store's own, the open
 * time is over, and good, bad and held trials together are fewer than `trials`.
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
 * **Details**
 *
 * The record is a time up to which the line is taken (GCRA). `taken` is that time less
 * `back * spacing`, and not before now; `room` is `burst * spacing - (taken - now)`. So many as
 * `(room + t) / spacing` tokens (whole, not fewer than 0, at most `want`) are due within `t`.
 * Those due within `horizon` are leased, and the `first` ones also where they come due later,
 * within `patience`. Where fewer than `first` can be leased, or `want` is 0, none are. The line is
 * taken further by `spacing` for each.
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
 * **Details**
 *
 * With `others` what the other members hold, `wanting` the line of members that want more, without
 * this one, and `before` how many of them stand before it (all, where it does not stand in line):
 *
 * - `fair` is `concurrency`, or `concurrency / members` (whole) where `wanting` is not empty.
 * - `granted` is `need`, and at most `held + concurrency - others - held - before`, at most
 *   `max(1, fair)`, and at least `held` in any case.
 * - It stands in line while `granted < min(need, max(1, fair))`, at the place of its first asking.
 * - The answer's `fair` is 0 while all hold more than `concurrency` together.
 * - A `need` of 0 takes the member out of the record.
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
