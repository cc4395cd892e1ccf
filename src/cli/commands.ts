/** The commands, their options and what they do. Each ends with the code of the process. */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Option from "effect/Option"
import { checkFiles } from "./commands/check.js"
import { describeFile } from "./commands/describe.js"
import { initFolder } from "./commands/init.js"
import { comparePolicies, simulatePolicy } from "./commands/simulate.js"
import { shipped } from "./inputs.js"

const policy = Args.text({ name: "policy" }).pipe(
  Args.withDescription("A file with a pipeline, in JSON or YAML")
)

const json = Options.boolean("json").pipe(Options.withDescription("Prints JSON"))

const force = Options.boolean("force").pipe(
  Options.withDescription("Writes over files that are there already")
)

const simulating = {
  scenario: Options.text("scenario").pipe(
    Options.withDescription(`A file, or one of ${shipped.join(", ")}`)
  ),
  seed: Options.text("seed").pipe(
    Options.withPseudoName("number"),
    Options.withDefault("1000"),
    Options.withDescription("What the draws begin with. Default 1000")
  ),
  replications: Options.text("replications").pipe(
    Options.withPseudoName("number"),
    Options.withDefault("40"),
    Options.withDescription("How often the scenario is run. Default 40")
  ),
  workers: Options.text("workers").pipe(
    Options.withPseudoName("number"),
    Options.withDefault("1"),
    Options.withDescription("How many threads run it; the result is the same. Default 1")
  ),
  report: Options.text("report").pipe(
    Options.optional,
    Options.withDescription("Writes a page with charts into this file")
  ),
  atMost: Options.text("at-most").pipe(
    Options.repeated,
    Options.withDescription(
      "A limit such as amplification=1.2. Ends with 1 where the mean is above it"
    )
  ),
  json,
  force
} as const

const check = Command.make(
  "check",
  { files: Args.text({ name: "file" }).pipe(Args.atLeast(1)), json },
  ({ files, json }) => checkFiles(files, json)
).pipe(
  Command.withDescription("Says what is wrong with files of policies and scenarios")
)

const describe = Command.make(
  "describe",
  {
    policy,
    mermaid: Options.boolean("mermaid").pipe(
      Options.withDescription("Prints a Mermaid flowchart")
    ),
    json
  },
  ({ json, mermaid, policy }) => describeFile(policy, { json, mermaid })
).pipe(
  Command.withDescription("Says what a policy does, and what one call costs at worst")
)

const init = Command.make(
  "init",
  {
    folder: Args.text({ name: "folder" }).pipe(
      Args.withDefault("."),
      Args.withDescription("Where the files are written. Default: here")
    ),
    force
  },
  ({ folder, force }) => initFolder(folder, force)
).pipe(
  Command.withDescription("Writes two policies and a scenario to begin with")
)

const options = <O extends { readonly report: Option.Option<string> }>(given: O) => ({
  ...given,
  report: Option.getOrUndefined(given.report)
})

const simulate = Command.make(
  "simulate",
  { policy, ...simulating },
  ({ policy, ...given }) => simulatePolicy(policy, options(given))
).pipe(
  Command.withDescription("Simulates a policy under a scenario")
)

const compare = Command.make(
  "compare",
  {
    policies: Args.text({ name: "policy" }).pipe(
      Args.withDescription("A file with a pipeline, in JSON or YAML"),
      Args.between(2, 12)
    ),
    ...simulating
  },
  ({ policies: [first, ...others], ...given }) =>
    comparePolicies([first!, ...others], options(given))
).pipe(
  Command.withDescription("Simulates policies side by side, under the same draws")
)

/** The options of each command, for mistyped ones. */
export const optionsOf: Readonly<Record<string, ReadonlyArray<string>>> = {
  init: ["force"],
  check: ["json"],
  describe: ["mermaid", "json"],
  simulate: Object.keys(simulating).map((name) => name === "atMost" ? "at-most" : name),
  compare: Object.keys(simulating).map((name) => name === "atMost" ? "at-most" : name)
}

export const root = Command.make("effect-resilience").pipe(
  Command.withDescription(
    "Checks, describes, simulates and compares policies. COMMAND --help has its options, " +
      "--version prints the version, --completions SHELL a script for a shell."
  ),
  Command.withSubcommands([init, check, describe, simulate, compare])
)
