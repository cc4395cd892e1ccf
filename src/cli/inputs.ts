/** Policies and scenarios, by the names of files or of what the package brings. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as ParseResult from "effect/ParseResult"
import { fileURLToPath } from "node:url"
import { nearest } from "../core/nearest.js"
import * as Fleet from "../fleet/Fleet.js"
import * as FleetStore from "../fleet/FleetStore.js"
import * as EveryIssue from "../pipeline/everyIssue.js"
import { findingsOf } from "../pipeline/findings.js"
import * as Pipeline from "../pipeline/Pipeline.js"
import * as Shared from "../pipeline/shared.js"
import * as Scenario from "../simulation/Scenario.js"
import type * as Simulation from "../simulation/Simulation.js"
import { type Document, read } from "./document.js"
import { refuse, Refused } from "./errors.js"
import { lineOf, type Located, located } from "./findings.js"

/** The scenarios that the package brings, in the order of the documentation. */
export const shipped = [
  "spike",
  "outage",
  "brown-out",
  "rate-limit",
  "slow-tail",
  "metastable"
] as const

/** A file that the package brings; the same from the sources and from the built package. */
export const fileOf = (path: string): string =>
  fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** A scenario and what it is called. */
export interface NamedScenario {
  readonly name: string
  readonly scenario: Scenario.Scenario
}

const decodeStages = EveryIssue.decode(Pipeline.Spec)

/** A file without fields cannot be told to be a policy or a scenario. */
const isFields = ({ value }: Document): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const noFields = (document: Document, what: string): ReadonlyArray<Located> =>
  located(document, [{ path: "", message: `should be ${what}, with named fields` }])

type Decoded<A> = Either.Either<A, ReadonlyArray<Located>>

const policyWith =
  (decode: (json: unknown) => Effect.Effect<Pipeline.Stages, ParseResult.ParseIssue>) =>
  (document: Document): Effect.Effect<Decoded<Pipeline.Stages>> =>
    Effect.either(
      !isFields(document) ? Effect.fail(noFields(document, "a policy")) : Effect.mapError(
        decode(document.value),
        (issue) => located(document, findingsOf(issue))
      )
    )

/** The stages of a policy without a fleet, or what is wrong with them. */
export const stagesOf = policyWith(decodeStages)

/** A fleet of this process alone. It exchanges nothing that another could read. */
const alone = Layer.provide(Fleet.layer({ name: "alone" }), FleetStore.layerMemory)

/**
 * The stages of a policy as it is deployed, or what is wrong with them: a fleet may share its
 * guards, which are made for this once.
 */
export const deployedOf = policyWith((json) =>
  Shared.read(json, (plain) => Effect.mapError(decodeStages(plain), ParseResult.parseError)).pipe(
    Effect.provide(alone),
    Effect.mapError(({ issue }) => issue)
  )
)

/** A policy that a scenario names. It is looked for beside the scenario. */
const policyBeside = (
  { file }: Document
) =>
(name: string): Effect.Effect<
  unknown,
  Refused | ReadonlyArray<Located>,
  FileSystem.FileSystem | Path.Path
> =>
  Effect.gen(function*() {
    const path = yield* Path.Path
    const document = yield* read(path.join(path.dirname(file), name))
    yield* yield* stagesOf(document)
    return document.value
  })

/** The scenario in a file, or what is wrong with it or with a policy that it names. */
export const scenarioOf = (
  document: Document
): Effect.Effect<
  Decoded<Scenario.Scenario>,
  Refused,
  FileSystem.FileSystem | Path.Path
> =>
  !isFields(document)
    ? Effect.succeed(Either.left(noFields(document, "a scenario")))
    : Scenario.withPolicies(document.value, policyBeside(document)).pipe(
      Effect.flatMap((whole) =>
        Effect.mapError(Scenario.decode(whole), ({ findings }) => located(document, findings))
      ),
      Effect.map((decoded): Decoded<Scenario.Scenario> => Either.right(decoded)),
      Effect.catchAll((error) =>
        error instanceof Refused ? Effect.fail(error) : Effect.succeed(Either.left(error))
      )
    )

const demand = <A>(
  decoded: Either.Either<A, ReadonlyArray<Located>>
): Effect.Effect<A, Refused> =>
  Either.match(decoded, {
    onLeft: (found) => Effect.fail(new Refused({ lines: found.map(lineOf) })),
    onRight: Effect.succeed
  })

const nameOf = (path: Path.Path, file: string): string => path.parse(file).name

/**
 * Reads policies, by default as they are deployed. They are called as their files are, without
 * folder and ending if that does.
 */
export const policies = (
  files: Arr.NonEmptyReadonlyArray<string>,
  decode = deployedOf
): Effect.Effect<
  Arr.NonEmptyArray<Simulation.Policy>,
  Refused,
  FileSystem.FileSystem | Path.Path
> =>
  Effect.gen(function*() {
    const path = yield* Path.Path
    const names = files.map((file) => nameOf(path, file))
    const isUnique = (name: string) => names.filter((other) => other === name).length === 1
    const twice = files.find((file, index) => files.indexOf(file) !== index)
    if (twice !== undefined) return yield* refuse(`${twice}: is given twice`)
    return yield* Effect.forEach(files, (file, index) =>
      Effect.gen(function*() {
        const stages = yield* demand(yield* decode(yield* read(file)))
        const name = names[index]!
        return { name: isUnique(name) ? name : file, stages }
      }))
  })

const isShipped = (name: string): boolean => (shipped as ReadonlyArray<string>).includes(name)

const unknown = (name: string): Refused => {
  const neighbour = nearest(name, shipped)
  const list = shipped.join(", ")
  return refuse(
    neighbour === undefined
      ? `--scenario: there is no file and no scenario ${name}; known are ${list}`
      : `--scenario: there is no file and no scenario ${name}; did you mean ${neighbour}? ` +
        `Known are ${list}`
  )
}

/** Reads a scenario: one that the package brings, or a file. */
export const scenario = (
  given: string
): Effect.Effect<NamedScenario, Refused, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const file = isShipped(given) ? fileOf(`scenarios/${given}.yaml`) : given
    const isThere = yield* Effect.orElseSucceed(fs.exists(file), () => true)
    if (!isThere) return yield* unknown(given)
    return {
      name: nameOf(path, file),
      scenario: yield* demand(yield* scenarioOf(yield* read(file)))
    }
  })
