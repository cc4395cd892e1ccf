import { describe, expect, it } from "@effect/vitest"
import { Effect, Predicate } from "effect"
import * as Library from "effect-resilience"
import * as FaceSign from "effect-resilience/api/FaceSign"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as Messaging from "effect-resilience/api/Messaging"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as fs from "node:fs"
import * as path from "node:path"
import ts from "typescript"

// -----------------------------------------------------------------------------
// the page
// -----------------------------------------------------------------------------

interface Row {
  readonly says: string
  readonly does: string
  readonly shown: string
}

interface Section {
  readonly title: string
  readonly rows: ReadonlyArray<Row>
  readonly counts: string | undefined
}

const cells = (line: string): ReadonlyArray<string> =>
  line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim())

/** The table of one page; its title is that of the API. */
const sectionOf = (file: string): Section => {
  const lines = fs.readFileSync(file, "utf8").split("\n")
  const table = lines.filter((line) => line.startsWith("|")).map(cells)
  return {
    title: /^# (.*): coverage of the document$/.exec(lines[0] ?? "")?.[1] ?? "",
    // The head of the table and the line under it are no rows.
    rows: table.slice(2).map(([says = "", does = "", shown = ""]) => ({ says, does, shown })),
    counts: lines.find((line) => /^\d+ rows/.test(line))
  }
}

const folder = "docs/api"

const sections = ["widget-session", "site-chat", "facesign", "messaging", "field-activities"].map(
  (name) => sectionOf(`${folder}/${name}-coverage.md`)
)

const rows = sections.flatMap(({ rows, title }) => rows.map((row) => ({ ...row, title })))

const spans = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code)

const quotes = (row: Row): ReadonlyArray<readonly [file: string, name: string]> => {
  let file = "no file"
  const found: Array<readonly [string, string]> = []
  for (const [, code, name] of row.shown.matchAll(/`([^`]+)`|"([^"]+)"/g)) {
    if (code !== undefined) file = code
    if (name !== undefined) found.push([file, name])
  }
  return found
}

const links = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, to = ""]) => to)

const isNotHere = ({ does }: Row) => does.startsWith("**Not here:**")

// -----------------------------------------------------------------------------
// what it speaks of
// -----------------------------------------------------------------------------

/** The names that the tests of a file have in it, those of tests that are skipped left out. */
const testNames = (file: string): ReadonlyArray<string> => {
  if (!fs.existsSync(file)) return []
  const source = ts.createSourceFile(file, fs.readFileSync(file, "utf8"), ts.ScriptTarget.Latest)
  const names: Array<string> = []
  const isTest = (node: ts.Expression): boolean => {
    if (ts.isIdentifier(node)) return node.text === "it" || node.text === "describe"
    if (ts.isCallExpression(node)) return isTest(node.expression)
    return ts.isPropertyAccessExpression(node) && !/^(skip|todo|fails)/.test(node.name.text) &&
      isTest(node.expression)
  }
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && isTest(node.expression)) {
      const [name] = node.arguments
      if (name !== undefined && ts.isStringLiteralLike(name)) names.push(name.text)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return names
}

const named = new Map<string, ReadonlyArray<string>>()

/** The beginning of a name is enough, where it is long enough to say which one. */
const isTested = (file: string, name: string): boolean => {
  const names = named.get(file) ?? testNames(file)
  named.set(file, names)
  return names.some((known) => known === name || (name.length >= 15 && known.startsWith(name)))
}

const modules: Readonly<Record<string, unknown>> = {
  ...Library,
  FaceSign,
  FieldActivities,
  Messaging,
  SiteChat,
  WidgetSession,
  Effect
}

const exists = (name: string): boolean => {
  let value: unknown = modules
  for (const part of name.split(".")) {
    if (!Predicate.hasProperty(value, part)) return false
    value = value[part]
  }
  return value !== undefined
}

const isOfLibrary = (code: string): boolean => /^[A-Z]\w*(\.\w+)+$/.test(code)

const sources = fs.readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => fs.readFileSync(path.join("src", file), "utf8"))
  .join("\n")

const isInSources = (word: string): boolean =>
  new RegExp(`(?<![\\w-])${word}(?![\\w-])`).test(sources)

/** The statuses that each document lists, in the order of the documents. */
const documents = [
  ["Widget Session", WidgetSession.playbook, "200 401 403 404 422 429 500 502 503 504"],
  ["Site Chat", SiteChat.playbook, "400 401 403 404 409 429 5xx"],
  ["FaceSign", FaceSign.playbook, "200 201 400 401 403 404 409 429 500"],
  ["Messaging", Messaging.playbook, "400 401 403 404 409 423 429 500 502 503"],
  ["Field Activities", FieldActivities.playbook, "401 403 400 404 409 5xx"]
] as const

const statusOf = ({ says }: Row): string | undefined => /^(?:\d{3}|5xx)\b/.exec(says)?.[0]

/** The row of a playbook behind a status of a document, whose "5xx" are as 500. */
const lookup = (playbook: Library.Playbook.Playbook, status: string) =>
  Library.Playbook.lookup(playbook, Number(status.replace("xx", "00")))

describe("docs/api/*-coverage.md", () => {
  it("has a page for each document", () => {
    expect(sections.map(({ title }) => title)).toEqual(documents.map(([title]) => title))
    expect(sections.filter(({ rows }) => rows.length < 30)).toEqual([])
  })

  it("says in every row what the document says, what does it, and what shows it", () => {
    const silent = rows.filter((row) =>
      row.says === "" || row.does === "" ||
      (quotes(row).length === 0 && links(row.shown).length === 0)
    )
    expect(silent).toEqual([])
  })

  it("quotes tests that are in the file named before them", () => {
    const all = rows.flatMap(quotes)
    expect(all.length).toBeGreaterThan(300)
    expect(all.filter(([file, name]) => !isTested(file, name))).toEqual([])
  })

  it("names nothing of the library that is not there", () => {
    const all = rows.flatMap(({ does }) => spans(does)).filter(isOfLibrary)
    expect(all.length).toBeGreaterThan(150)
    expect(all.filter((name) => !exists(name))).toEqual([])
  })

  it("has no other code in it that the sources do not know", () => {
    const others = rows.flatMap(({ does }) => spans(does)).filter((code) => !isOfLibrary(code))
    expect(others.filter((code) => code.includes("/") ? !fs.existsSync(code) : !isInSources(code)))
      .toEqual([])
  })

  it.each(documents)(
    "%s: has every status of the document, with the tag of the playbook",
    (title, playbook, list) => {
      const here = rows.filter((row) => row.title === title)
      const missing = list.split(" ").filter((status) => {
        const word = status.startsWith("2")
          ? /ession$/
          : new RegExp(`^${lookup(playbook, status).tag}$`)
        return !here.some((row) =>
          statusOf(row) === status && spans(row.does).some((code) => word.test(code))
        )
      })
      expect(missing).toEqual([])
    }
  )

  it.each(documents)(
    "%s: says of a status what the playbook says of repeating it",
    (title, playbook) => {
      const wrong = rows.filter((row) => {
        const status = statusOf(row)
        const said = spans(row.does).filter((code) => code === "never" || code === "transient")
        return row.title === title && status !== undefined &&
          said.some((word) => word !== lookup(playbook, status).repeat)
      })
      expect(wrong).toEqual([])
    }
  )

  it("counts its rows", () => {
    expect(sections.map(({ counts }) => counts)).toEqual(
      sections.map(({ rows }) =>
        `${rows.length} rows, ${rows.filter(isNotHere).length} of them not for a library.`
      )
    )
  })
})
