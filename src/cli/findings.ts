/** What is wrong with the content of a file, each with its line. */
import type { Finding } from "../pipeline/findings.js"
import { counted } from "../report/words.js"
import type { Document } from "./document.js"

/** One mistake in a file. */
export interface Located {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly path: string
  readonly value: string
  readonly message: string
}

const valueAt = (given: unknown, path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>(
    (value, field) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, field)
        ? (value as Readonly<Record<string, unknown>>)[field]
        : undefined,
    given
  )

/** The value of what is missing. */
const nothing = "nothing"

const longest = 60

/** A message has the whole value in it, and that may be a whole file. */
const longestMessage = 400

const cut = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text

/** A value in one short line. */
const shown = (value: unknown): string =>
  cut(value === undefined ? nothing : JSON.stringify(value) ?? String(value), longest)

/** So many findings of one file are told; the rest are counted. */
export const maxFindings = 1000

/** Finds the lines of findings. */
export const located = (
  document: Document,
  findings: ReadonlyArray<Finding>
): ReadonlyArray<Located> => {
  const { file, placeOf, value } = document
  const told = findings.slice(0, maxFindings).map(({ message, path }): Located => {
    const fields = path === "" ? [] : path.split(".")
    const [line = 1, column = 1] = placeOf(fields).split(":").map(Number)
    const found = shown(valueAt(value, fields))
    return { file, line, column, path, value: found, message: cut(message, longestMessage) }
  })
  const more = findings.length - told.length
  if (more === 0) return told
  const message = counted(more, "more finding")
  return [...told, { file, line: 1, column: 1, path: "", value: nothing, message }]
}

/** One line for a reader, with the value where the message does not have it. */
export const lineOf = ({ column, file, line, message, path, value }: Located): string => {
  const where = `${file}:${line}:${column}: `
  const named = path === "" ? "" : `${path}: `
  return message.includes("got ") || value === nothing
    ? `${where}${named}${message}`
    : `${where}${named}${message} (it is ${value})`
}
