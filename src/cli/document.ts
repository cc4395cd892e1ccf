/**
 * Files of data: JSON and YAML, read with limits, and the places of their values.
 *
 * YAML is the core schema of 1.2: no custom tags, no duplicate keys, at most 100 aliases. JSON is
 * what `JSON.parse` takes, without duplicate keys.
 */
import type * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Yaml from "yaml"
import { refuse, type Refused } from "./errors.js"

/** The largest file that is read: 1 MiB. */
export const maxBytes = 1_048_576

const maxAliasCount = 100

/** The parser recurses, and a file of brackets could use up its stack. */
const maxDepth = 64

const options = {
  version: "1.2",
  schema: "core",
  resolveKnownTags: false,
  merge: false,
  // It compares each key with every other: `repeated` looks for them instead.
  uniqueKeys: false,
  stringKeys: true,
  strict: true,
  logLevel: "error",
  prettyErrors: false
} as const

/** A file that has been read. */
export interface Document {
  readonly file: string
  readonly value: unknown
  /** The line and column of a value, `12:5`; of the nearest one around it where it is absent. */
  readonly placeOf: (path: ReadonlyArray<string>) => string
}

const reasons: Readonly<Partial<Record<PlatformError.SystemErrorReason, string>>> = {
  NotFound: "there is no such file",
  PermissionDenied: "it may not be read",
  BadResource: "it is no file"
}

/** Why a file cannot be read. */
export const unreadable = (file: string) => (error: PlatformError.PlatformError): Refused =>
  refuse(
    `${file}: cannot be read: ${
      (error._tag === "SystemError" ? reasons[error.reason] : undefined) ?? "it is no file"
    }`
  )

const joined = (parts: Chunk.Chunk<Uint8Array>): Uint8Array => {
  const bytes = new Uint8Array(Chunk.reduce(parts, 0, (sum, part) => sum + part.length))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** The text of a file, or why it cannot be used. Never reads more than the limit. */
const readText = (file: string): Effect.Effect<string, Refused, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const parts = yield* Stream.runCollect(fs.stream(file, { bytesToRead: maxBytes + 1 })).pipe(
      Effect.mapError(unreadable(file))
    )
    const bytes = joined(parts)
    if (bytes.length > maxBytes) return yield* refuse(`${file}: is larger than 1 MiB`)
    const text = yield* Effect.try({
      try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
      catch: () => refuse(`${file}: is not text in UTF-8`)
    })
    return text.trim() === "" ? yield* refuse(`${file}: is empty`) : text
  })

const isJson = (file: string): boolean => file.toLowerCase().endsWith(".json")

const firstLine = (text: string): string => text.split("\n")[0]!.trim()

/** Why a text is no JSON, with the place that the engine names. */
const jsonMistake = (file: string, text: string, lines: Yaml.LineCounter): Refused | undefined => {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    const message = String((error as Error).message)
    const position = /position (\d+)/.exec(message)?.[1]
    const { col, line } = lines.linePos(position === undefined ? text.length : Number(position))
    const said = firstLine(message.replace(/ in JSON at position .*$/s, ""))
    return refuse(`${file}:${line}:${col}: is not JSON: ${said}`)
  }
}

const yamlMessage = ({ code, message }: Yaml.YAMLParseError | Yaml.YAMLWarning): string => {
  switch (code) {
    case "TAG_RESOLVE_FAILED":
      return `a tag that is not allowed: ${firstLine(message)}`
    default:
      return firstLine(message)
  }
}

const keyOf = (key: unknown): string => String(Yaml.isScalar(key) ? key.value : key)

const startOf = (node: unknown): number | undefined =>
  Yaml.isNode(node) ? node.range?.[0] : undefined

/**
 * Finds where paths lead, or where they can no longer be followed. The fields of a map are looked
 * up once, since each of many may have a finding.
 */
const offsets = (root: unknown): (path: ReadonlyArray<string>) => number => {
  const fields = new Map<Yaml.YAMLMap, ReadonlyMap<string, Yaml.Pair>>()
  const fieldsOf = (map: Yaml.YAMLMap): ReadonlyMap<string, Yaml.Pair> => {
    const known = fields.get(map) ?? new Map(map.items.map((pair) => [keyOf(pair.key), pair]))
    fields.set(map, known)
    return known
  }
  return (path) => {
    let node = root
    let offset = startOf(root) ?? 0
    for (const name of path) {
      const pair = Yaml.isMap(node) ? fieldsOf(node).get(name) : undefined
      const next = Yaml.isSeq(node) ? node.items[Number(name)] : pair?.value
      if (pair === undefined && next === undefined) return offset
      offset = startOf(pair?.key ?? next) ?? offset
      node = next
    }
    return offset
  }
}

/** Where the first key stands that its map has already. O(keys). */
const repeated = (document: Yaml.Document.Parsed): number | undefined => {
  let found: number | undefined
  Yaml.visit(document, {
    Map: (_, { items }) => {
      const keys = new Set<string>()
      const twice = items.find(({ key }) => keys.size === keys.add(keyOf(key)).size)
      if (twice === undefined) return undefined
      found = startOf(twice.key)
      return Yaml.visit.BREAK
    }
  })
  return found
}

/** How deep collections are nested. Not a recursion itself. O(tokens). */
const depthOf = (tokens: ReadonlyArray<Yaml.CST.Token>): number => {
  let level: ReadonlyArray<Yaml.CST.Token> = tokens
  let depth = -1
  while (level.length > 0) {
    depth++
    level = level.flatMap((token): ReadonlyArray<Yaml.CST.Token> =>
      token.type === "document"
        ? token.value === undefined ? [] : [token.value]
        : "items" in token
        ? token.items.flatMap(({ key, value }) => [key ?? [], value ?? []].flat())
        : []
    )
    // Of what is too deep the rest need not be counted.
    if (depth > maxDepth + 1) return depth
  }
  return depth
}

const parse = (file: string, text: string): Effect.Effect<Document, Refused> =>
  Effect.suspend(() => {
    const lineCounter = new Yaml.LineCounter()
    const tokens = [...new Yaml.Parser(lineCounter.addNewLine).parse(text)]
    if (depthOf(tokens) > maxDepth) {
      return Effect.fail(refuse(`${file}: is nested more than ${maxDepth} levels deep`))
    }
    const [parsed, second] = new Yaml.Composer({ ...options, lineCounter })
      .compose(tokens, true, text.length)
    if (parsed === undefined) return Effect.fail(refuse(`${file}: is empty`))
    const placeAt = (offset: number): string => {
      const { col, line } = lineCounter.linePos(offset)
      return `${line}:${col}`
    }
    if (second !== undefined) {
      return Effect.fail(
        refuse(`${file}:${placeAt(second.range[0])}: there should be one document, got more`)
      )
    }
    const wrong = isJson(file) ? jsonMistake(file, text, lineCounter) : undefined
    if (wrong !== undefined) return Effect.fail(wrong)
    const [first] = isJson(file) ? [] : [...parsed.errors, ...parsed.warnings]
    if (first !== undefined) {
      return Effect.fail(refuse(`${file}:${placeAt(first.pos[0])}: ${yamlMessage(first)}`))
    }
    // JSON.parse takes the last of two equal keys.
    const twice = repeated(parsed)
    if (twice !== undefined) {
      return Effect.fail(refuse(`${file}:${placeAt(twice)}: the key stands twice`))
    }
    const value: unknown = isJson(file) ? JSON.parse(text) : parsed.toJS({ maxAliasCount })
    const offsetOf = offsets(parsed.contents)
    return Effect.succeed({
      file,
      value,
      placeOf: (path: ReadonlyArray<string>) => placeAt(offsetOf(path))
    })
  }).pipe(
    // Aliases are counted while they are followed.
    Effect.catchSomeDefect((defect) =>
      defect instanceof ReferenceError
        ? Option.some(refuse(`${file}: has more than ${maxAliasCount} aliases`))
        : Option.none()
    )
  )

/** Reads a file of JSON (by its ending) or YAML (any other). */
export const read = (file: string): Effect.Effect<Document, Refused, FileSystem.FileSystem> =>
  Effect.flatMap(readText(file), (text) => parse(file, text))
