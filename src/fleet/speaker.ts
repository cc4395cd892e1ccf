/** What a member of a fleet and its guards ask of each other. */
import type { Quorum } from "../core/fleetVote.js"
import type * as Wire from "../core/fleetWire.js"

/** The options of a member in plain numbers. */
export interface Settings {
  readonly fleet: string
  readonly member: string
  readonly intervalMillis: number
  readonly storeTimeoutMillis: number
  readonly memberTimeoutMillis: number
  readonly quorum: Quorum
}

/** When a question was sent and when its answer came. */
export interface Moment {
  readonly sentMillis: number
  readonly receivedMillis: number
}

/** A command, and what its answer does. Undefined: there was none, or it could not be read. */
export interface Question {
  readonly command: Wire.Command
  readonly answered: (answer: Wire.Answer | undefined, moment: Moment) => void
}

/** A guard that has things to say. */
export interface Speaker {
  /**
   * What it has to say now, so many commands at most. It is asked again at once when it uses all of
   * the room.
   */
  readonly say: (now: number, room: number) => ReadonlyArray<Question>
  /** The store has forgotten what this member said: all of it is to be said again. */
  readonly again: (now: number) => void
  /** Gives back what it holds: the member leaves. */
  readonly givesBack: (now: number) => ReadonlyArray<Question>
  /** The member begins to be apart, or is no longer. */
  readonly reconnected?: ((isConnected: boolean, now: number) => void) | undefined
  /** Circuits that are not closed. */
  readonly circuits?: ((now: number) => ReadonlyArray<readonly [string, string]>) | undefined
}

/** What is told to those who count. */
export interface Watcher {
  readonly exchanged: (isAnswered: boolean, commands: number) => void
  readonly heard: (members: number, millis: number) => void
  readonly connected: (isConnected: boolean) => void
}
