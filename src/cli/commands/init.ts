/** `init`: files to begin with. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import { visible } from "../../report/visible.js"
import { refuse } from "../errors.js"
import { fileOf } from "../inputs.js"
import { CurrentIo } from "../io.js"
import { mayWrite, write } from "../write.js"

/** What is written, and of which file of the package. */
const files = [
  ["plain.json", "policies/plain.json"],
  ["standard.json", "policies/standard.json"],
  ["scenario.yaml", "scenarios/metastable.yaml"]
] as const

/** Writes the files into a folder: all of them, or none where one of them is there already. */
export const initFolder = (folder: string, isForced: boolean) =>
  Effect.gen(function*() {
    const io = yield* CurrentIo
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    yield* Effect.mapError(
      fs.makeDirectory(folder, { recursive: true }),
      () => refuse(`${folder}: cannot be made a folder`)
    )
    const targets = files.map(([name, source]) => ({ target: path.join(folder, name), source }))
    yield* Effect.forEach(targets, ({ target }) => mayWrite(target, isForced), { discard: true })
    yield* Effect.forEach(targets, ({ source, target }) =>
      fs.readFileString(fileOf(source)).pipe(
        Effect.mapError(() => refuse(`${source} is missing in the package`)),
        Effect.flatMap((content) => write(target, content, isForced)),
        Effect.zipRight(io.out.write(visible(`wrote ${target}\n`)))
      ), { discard: true })
    const [first, second, scenario] = targets.map(({ target }) => target)
    yield* io.err.write(visible(
      `next: npx effect-resilience compare ${first} ${second} --scenario ${scenario}\n`
    ))
  })
