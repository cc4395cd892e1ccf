/** Why a command ends without having done what it was asked for. */
import * as Data from "effect/Data"

/** Wrong use, or a file that cannot be used: each line is one message. Ends with 2. */
export class Refused extends Data.TaggedError("Refused")<{
  readonly lines: ReadonlyArray<string>
}> {
  override get message(): string {
    return this.lines.join("\n")
  }
}

/** A refusal of one line. */
export const refuse = (line: string): Refused => new Refused({ lines: [line] })

/** It did what it was asked for, and found something: a mistake, or a limit that is not kept. */
export class Found extends Data.TaggedError("Found")<{}> {}
