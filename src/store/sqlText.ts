/**
 * Statements with named parameters, whose text is written once for each dialect.
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { Query } from "./sqlParts.js"
import type { Dialect } from "./sqlTable.js"

/** The values of a statement's parameters, by name. */
export type Values = Readonly<Record<string, unknown>>

/** Makes the statement for these values. */
export type Text = (values: Values) => Query

/**
 * Reads a template in which `:name` is a parameter. PostgreSQL and SQLite number their parameters,
 * so that one may stand in several places; MySQL is sent it once for each. O(length), once.
 */
export const text = (sql: SqlClient.SqlClient, dialect: Dialect, template: string): Text => {
  const names: Array<string> = []
  const numbered = dialect === "pg" ? "$" : "?"
  const written = template.replaceAll(/:([a-z]\w*)/gi, (_, name: string) => {
    if (dialect === "mysql") {
      names.push(name)
      return "?"
    }
    const at = names.indexOf(name)
    return `${numbered}${at === -1 ? names.push(name) : at + 1}`
  })
  return (values) => sql.unsafe(written, names.map((name) => values[name]))
}
