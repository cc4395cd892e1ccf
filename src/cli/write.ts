/**
 * Writes files whole or not at all: into a new file beside the target, which then takes its name.
 * Whatever ends the program in between, the target is as it was or complete.
 */
import type * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { refuse, type Refused } from "./errors.js"

const exists = (file: string): Refused =>
  refuse(`${file}: is there already; --force writes over it`)

const isTaken = (error: PlatformError.PlatformError): boolean =>
  error._tag === "SystemError" && error.reason === "AlreadyExists"

const reasonOf = (error: PlatformError.PlatformError): string =>
  error._tag !== "SystemError"
    ? "the name is not valid"
    : error.reason === "NotFound"
    ? "there is no such folder"
    : error.reason === "PermissionDenied"
    ? "it may not be written"
    : "the system refuses it"

const unwritable = (file: string) => (error: PlatformError.PlatformError): Refused =>
  isTaken(error) ? exists(file) : refuse(`${file}: cannot be written: ${reasonOf(error)}`)

/**
 * Looks whether a file may be written, before the work that makes its content. The answer can be
 * out of date when the file is written, which looks again.
 */
export const mayWrite = (
  file: string,
  isForced: boolean
): Effect.Effect<void, Refused, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const isThere = (name: string) => Effect.orElseSucceed(fs.exists(name), () => false)
    if (!(yield* isThere(path.dirname(path.resolve(file))))) {
      return yield* refuse(`${file}: cannot be written: there is no such folder`)
    }
    if (!(yield* isThere(file))) return
    if (!isForced) return yield* exists(file)
    const { type } = yield* Effect.mapError(fs.stat(file), unwritable(file))
    if (type !== "File") return yield* refuse(`${file}: cannot be written: it is no file`)
  })

/** A file name is taken only if it is free, where the file system can do that in one step. */
const settle = (
  fs: FileSystem.FileSystem,
  from: string,
  to: string,
  isForced: boolean
): Effect.Effect<void, PlatformError.PlatformError | Refused> =>
  isForced ? fs.rename(from, to) : Effect.catchIf(
    fs.link(from, to),
    (error) => !isTaken(error),
    // No hard links here: look, then rename.
    (): Effect.Effect<void, PlatformError.PlatformError | Refused> =>
      Effect.flatMap(
        fs.exists(to),
        (is): Effect.Effect<void, PlatformError.PlatformError | Refused> =>
          is ? exists(to) : fs.rename(from, to)
      )
  )

/** Writes a file. Without `isForced` it is refused where the file is there already. */
export const write = (
  file: string,
  content: string,
  isForced: boolean
): Effect.Effect<void, Refused, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const number = yield* Random.nextIntBetween(0, 2 ** 31)
    const target = path.resolve(file)
    const beside = path.join(
      path.dirname(target),
      `.${path.basename(target)}.${number.toString(36)}.part`
    )
    const written = Effect.zipRight(
      fs.writeFileString(beside, content, { flag: "wx" }),
      settle(fs, beside, target, isForced)
    )
    // A write that is cut short could still make its file after that was removed; it takes
    // milliseconds, and an interruption waits for it.
    yield* Effect.uninterruptible(
      Effect.ensuring(written, Effect.ignore(fs.remove(beside, { force: true })))
    ).pipe(
      Effect.mapError((error) => error._tag === "Refused" ? error : unwritable(file)(error))
    )
  })
