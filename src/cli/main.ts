/** The program: a command line of this process. */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import process from "node:process"
import { ended } from "./ended.js"
import { CurrentIo, type Output } from "./io.js"
import { run } from "./run.js"

/** Waits until the text is on its way, so that the end of the process cuts nothing off. */
const outputOf = (stream: NodeJS.WriteStream): Output => {
  // A reader that has seen enough, such as `head`, is no mistake.
  stream.on("error", () => undefined)
  return {
    isTerminal: stream.isTTY === true,
    write: (text) =>
      text === "" ? Effect.void : Effect.async((resume) => {
        stream.write(text, () => resume(Effect.void))
      })
  }
}

/**
 * Runs the arguments and ends the process with the code of the command; with 130 where a signal has
 * interrupted it.
 */
export const main = (args: ReadonlyArray<string>, version: string): void =>
  NodeRuntime.runMain(
    run(args, version).pipe(
      Effect.provideService(CurrentIo, {
        out: outputOf(process.stdout),
        err: outputOf(process.stderr),
        env: process.env
      }),
      Effect.provide(NodeContext.layer)
    ),
    {
      // It would print every error once more, on stdout.
      disableErrorReporting: true,
      disablePrettyLogger: true,
      teardown: (exit, onExit) =>
        onExit(Exit.match(exit, {
          onFailure: (cause) => Cause.isInterrupted(cause) ? ended.interrupted : ended.refused,
          onSuccess: (code) => typeof code === "number" ? code : ended.done
        }))
    }
  )
