/** What a command line has around it: where it prints, and whether a person looks on. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/** One of the two streams that a program prints to. */
export interface Output {
  /** Prints a text as it is. */
  readonly write: (text: string) => Effect.Effect<void>
  /** Whether it is a terminal. */
  readonly isTerminal: boolean
}

/** The surroundings. Files come from the `FileSystem` service. */
export interface Io {
  /** Results, and nothing else. */
  readonly out: Output
  /** Everything else: progress, warnings, mistakes. */
  readonly err: Output
  /** The environment of the process. */
  readonly env: Readonly<Record<string, string | undefined>>
}

export class CurrentIo extends Context.Tag("effect-resilience/cli/Io")<CurrentIo, Io>() {}
