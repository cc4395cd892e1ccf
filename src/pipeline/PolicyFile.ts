/**
 * Policies in files: a pipeline that follows one while the program runs.
 *
 * @since 0.1.0
 */
import type * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as ParseResult from "effect/ParseResult"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Validate from "../runtime/validate.js"
import type { TagClass } from "./api.js"

/**
 * How a file is followed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The time between two looks at the file, above zero. Default 5 s. */
  readonly every?: Duration.DurationInput | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** The time between two looks at the file: 5 s. */
  every: Duration.seconds(5)
} as const

/**
 * The layer of a tag with the policy that a JSON file holds, which is looked at again and again.
 *
 * **When to use**
 *
 * Where operators change limits without a restart: a file beside the program, or a Kubernetes
 * ConfigMap that is mounted as a folder.
 *
 * **Details**
 *
 * - The file is in the form of `Pipeline.Spec`; `Pipeline.jsonSchema` gives its JSON Schema to
 *   editors. See `Tag.layerFrom` for what it may say, and for the warning and the metric when it is
 *   refused.
 * - The layer fails when the file cannot be read or is refused at the start. Later on an
 *   unreadable, half-written or invalid file leaves the old policy in force.
 * - Looks at the text, not at the time of the last change, and asks no watcher of the system: these
 *   miss files that are replaced by a rename or behind a symbolic link. Costs one read of the file
 *   every 5 seconds.
 * - Dies with a `RangeError` when `every` is not a finite duration above zero.
 *
 * **Example** (A policy beside the program)
 *
 * ```ts
 * import { FileSystem } from "@effect/platform"
 * import { NodeFileSystem } from "@effect/platform-node"
 * import { Operation, Pipeline } from "effect-resilience"
 * import * as PolicyFile from "effect-resilience/PolicyFile"
 * import { Effect } from "effect"
 *
 * class Sessions extends Pipeline.Tag("Sessions")<Sessions>()({
 *   operation: Operation.read,
 *   circuitBreaker: {}
 * }) {}
 *
 * const program = Effect.gen(function*() {
 *   const fs = yield* FileSystem.FileSystem
 *   const folder = yield* fs.makeTempDirectoryScoped()
 *   const file = `${folder}/sessions.json`
 *   yield* fs.writeFileString(file, `{ "circuitBreaker": { "minimumCalls": 20 } }`)
 *   return yield* Effect.provide(
 *     Sessions.protect(Effect.succeed("called")),
 *     PolicyFile.layer(Sessions, file)
 *   )
 * })
 *
 * const answer = program.pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))
 * await Effect.runPromise(answer) // => "called"
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self, Id extends string, E, R>(
  tag: TagClass<Self, Id, E, R>,
  path: string,
  options: Options = {}
): Layer.Layer<
  Self,
  PlatformError.PlatformError | ParseResult.ParseError,
  FileSystem.FileSystem
> => {
  const every = Validate.positiveDuration("every", options.every ?? defaults.every)
  return tag.layerFrom(
    Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(path)),
    { reloadOn: Stream.fromSchedule(Schedule.spaced(every)) }
  )
}
