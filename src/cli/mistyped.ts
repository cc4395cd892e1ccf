/** Commands and options that are not known, with the one that was probably meant. */
import { nearest } from "../core/nearest.js"
import { optionsOf } from "./commands.js"
import { refuse, type Refused } from "./errors.js"

/** Options of every command. `--completions` takes a value. */
const everywhere = ["help", "version", "completions"]

const unknown = (what: string, given: string, known: ReadonlyArray<string>): Refused => {
  const neighbour = nearest(given, known)
  const guess = neighbour === undefined ? "" : ` did you mean ${neighbour}?`
  return refuse(`${given}: is no ${what};${guess} known are ${known.join(", ")}`)
}

/** The first thing that is not known, if there is one. */
export const mistyped = (args: ReadonlyArray<string>): Refused | undefined => {
  const end = args.indexOf("--")
  const read = end === -1 ? args : args.slice(0, end)
  const [command] = read.filter((arg) => !arg.startsWith("-"))
  const isBuiltIn = read[0] === "--completions"
  if (command !== undefined && !isBuiltIn && !Object.hasOwn(optionsOf, command)) {
    return unknown("command", command, Object.keys(optionsOf))
  }
  const options = [...isBuiltIn || command === undefined ? [] : optionsOf[command]!, ...everywhere]
    .map((name) => `--${name}`)
  const wrong = read.find((arg) =>
    arg.startsWith("-") && arg !== "-h" && arg !== "-" && !/^-\d/.test(arg) &&
    !options.includes(arg.split("=")[0]!)
  )
  return wrong === undefined ? undefined : unknown("option", wrong.split("=")[0]!, options)
}
