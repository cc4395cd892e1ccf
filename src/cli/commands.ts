/** The commands, their options and what they do. Each ends with the code of the process. */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Option from "effect/Option"
import { checkFiles } from "./commands/check.js"
import { describeFile } from "./commands/describe.js"
import { fitFile } from "./commands/fit.js"
import { initFolder } from "./commands/init.js"
import { comparePolicies, simulatePolicy } from "./commands/simulate.js"
import { tunePolicy } from "./commands/tune.js"
import { refuse } from "./errors.js"
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
      Args.atLeast(1)
    ),
    ...simulating
  },
  ({ policies, ...given }) => {
    const [first, ...others] = policies
    return others.length > 0 && others.length < 12
      ? comparePolicies([first, ...others], options(given))
      : refuse(`compare takes 2 to 12 policies, got ${policies.length}`)
  }
).pipe(
  Command.withDescription("Simulates policies side by side, under the same draws")
)

const tune = Command.make(
  "tune",
  {
    policy,
    scenarios: simulating.scenario.pipe(Options.atLeast(1)),
    set: Options.text("set").pipe(
      Options.atLeast(1),
      Options.withDescription("A field and values to try, such as retry.retries=0,1,2")
    ),
    minimize: Options.text("minimize").pipe(
      Options.withDescription("The figure to make small, such as failedRate")
    ),
    atMost: simulating.atMost,
    trials: Options.text("trials").pipe(
      Options.withPseudoName("number"),
      Options.withDefault("64"),
      Options.withDescription("How many policies are tried at most. Default 64")
    ),
    seed: simulating.seed,
    write: Options.text("write").pipe(
      Options.optional,
      Options.withDescription("Writes the better policy into this file")
    ),
    json,
    force
  },
  ({ policy, scenarios: [first, ...others], write, ...given }) =>
    tunePolicy(policy, {
      ...given,
      scenarios: [first!, ...others],
      write: Option.getOrUndefined(write)
    })
).pipe(
  Command.withDescription("Searches for values with which a policy does better")
)

const fit = Command.make(
  "fit",
  {
    file: Args.text({ name: "telemetry" }).pipe(
      Args.withDescription("A file of JSON lines, one record for each attempt")
    ),
    write: Options.text("write").pipe(
      Options.optional,
      Options.withDescription("Writes the scenario into this file: JSON or YAML by its ending")
    ),
    json,
    force
  },
  ({ file, write, ...given }) => fitFile(file, { ...given, write: Option.getOrUndefined(write) })
).pipe(
  Command.withDescription("Learns a scenario from recorded attempts")
)

const ofSimulations = Object.keys(simulating).map((name) => name === "atMost" ? "at-most" : name)

/** The options of each command, for mistyped ones. */
export const optionsOf: Readonly<Record<string, ReadonlyArray<string>>> = {
  init: ["force"],
  check: ["json"],
  describe: ["mermaid", "json"],
  simulate: ofSimulations,
  compare: ofSimulations,
  tune: ["scenario", "set", "minimize", "at-most", "trials", "seed", "write", "json", "force"],
  fit: ["write", "json", "force"]
}

export const root = Command.make("effect-resilience").pipe(
  Command.withDescription(
    "Checks, describes, simulates, compares and tunes policies. COMMAND --help has its options, " +
      "--version prints the version, --completions SHELL a script for a shell."
  ),
  Command.withSubcommands([init, check, describe, simulate, compare, tune, fit])
)
