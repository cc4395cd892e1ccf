/** Runs a command line and gives the code that the process ends with. */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Terminal from "@effect/platform/Terminal"
import type * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { stripVTControlCharacters } from "node:util"
import { visible } from "../report/visible.js"
import { root } from "./commands.js"
import { ended } from "./ended.js"
import { CurrentIo, type Io } from "./io.js"
import { mistyped } from "./mistyped.js"

const said = (args: ReadonlyArray<unknown>): string => `${args.map(String).join(" ").trimEnd()}\n`

/** What the parser prints: help and versions are results, the rest are mistakes. */
const consoleOf = (console: Console.Console, { env, err, out }: Io): Console.Console => {
  const isColoured = out.isTerminal && (env["NO_COLOR"] ?? "") === ""
  const log = (...args: ReadonlyArray<unknown>): Effect.Effect<void> =>
    out.write(isColoured ? said(args) : stripVTControlCharacters(said(args)))
  const error = (...args: ReadonlyArray<unknown>): Effect.Effect<void> =>
    err.write(visible(stripVTControlCharacters(said(args))))
  return { ...console, log, info: log, error, warn: error, debug: error }
}

/** No command asks anything, and nothing is displayed past the two streams. */
const terminalOf = ({ err }: Io): Terminal.Terminal =>
  Terminal.Terminal.of({
    columns: Effect.succeed(80),
    rows: Effect.succeed(24),
    isTTY: Effect.succeed(err.isTerminal),
    readInput: Effect.dieMessage("no command reads input"),
    readLine: Effect.dieMessage("no command reads input"),
    display: (text) => err.write(text)
  })

const config = CliConfig.make({ showBuiltIns: false, showTypes: true, autoCorrectLimit: 0 })

const refused = ({ err }: Io, lines: ReadonlyArray<string>): Effect.Effect<number> =>
  Effect.as(err.write(visible(`${lines.join("\n")}\n`)), ended.refused)

const firstLineOf = (defect: unknown): string =>
  String(defect instanceof Error ? defect.message : defect).split("\n")[0]!

/**
 * Runs the arguments of a command line, without those of node. Succeeds with the exit code; only an
 * interruption goes on to the caller.
 */
export const run = (
  args: ReadonlyArray<string>,
  version: string
): Effect.Effect<number, never, FileSystem.FileSystem | Path.Path | CurrentIo> =>
  Effect.gen(function*() {
    const io = yield* CurrentIo
    if (args.length === 0) {
      return yield* refused(io, ["A command is missing; --help lists them"])
    }
    const wrong = mistyped(args)
    if (wrong !== undefined) return yield* refused(io, wrong.lines)
    const parsed = Command.run(root, { name: "effect-resilience", version })
    return yield* parsed(["node", "effect-resilience", ...args]).pipe(
      Effect.as<number>(ended.done),
      Effect.provideService(Terminal.Terminal, terminalOf(io)),
      Effect.provide(CliConfig.layer(config)),
      Effect.catchAll((error) => {
        if (ValidationError.isValidationError(error)) return Effect.succeed(ended.refused)
        return error._tag === "Found"
          ? Effect.succeed(ended.found)
          : refused(io, error.lines)
      }),
      Effect.catchAllDefect((defect) =>
        refused(io, [`This is a mistake of effect-resilience itself: ${firstLineOf(defect)}`])
      ),
      (effect) =>
        Effect.consoleWith((console) => Effect.withConsole(effect, consoleOf(console, io))),
      Logger.withMinimumLogLevel(LogLevel.None)
    )
  })
