/** `check`: what is wrong with files. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { visible } from "../../report/visible.js"
import { counted } from "../../report/words.js"
import { type Document, read } from "../document.js"
import { Found } from "../errors.js"
import { lineOf, type Located } from "../findings.js"
import { deployedOf, scenarioOf } from "../inputs.js"
import { CurrentIo } from "../io.js"
import { Checked } from "../output.js"

/** Fields that scenarios have and policies do not. */
const scenarioFields = ["duration", "clients", "services"]

const isScenario = ({ value }: Document): boolean =>
  typeof value === "object" && value !== null &&
  scenarioFields.some((field) => Object.hasOwn(value, field))

const problems = <A, E, R>(
  decoded: Effect.Effect<Either.Either<A, ReadonlyArray<Located>>, E, R>
): Effect.Effect<ReadonlyArray<Located>, E, R> =>
  Effect.map(decoded, Either.match({ onLeft: (found) => found, onRight: () => [] }))

const encode = Schema.encodeSync(Schema.parseJson(Checked, { space: 2 }))

/** Checks files: policies, and scenarios by their fields. */
export const checkFiles = (files: ReadonlyArray<string>, asJson: boolean) =>
  Effect.gen(function*() {
    const io = yield* CurrentIo
    const found = yield* Effect.forEach(
      files,
      (file) =>
        Effect.flatMap(
          read(file),
          (document) =>
            isScenario(document) ? problems(scenarioOf(document)) : problems(deployedOf(document))
        )
    )
    const findings = found.flat()
    if (asJson) yield* io.out.write(`${encode({ findings })}\n`)
    else {
      const said = findings.length === 0
        ? [`${counted(files.length, "file")}: nothing found`]
        : findings.map(lineOf)
      yield* io.out.write(visible(`${said.join("\n")}\n`))
    }
    if (findings.length > 0) return yield* new Found()
  })
