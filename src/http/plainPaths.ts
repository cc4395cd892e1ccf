/**
 * Tells, without a search, that the path of a request holds no secret.
 *
 * Most requests carry none, or an idempotency key alone. To look for it in each spelling that a
 * secret can have costs as much as a whole stage of the pipeline.
 */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Redaction from "../errors/Redaction.js"
import { mayOccur } from "../errors/redaction/spellings.js"

/** Headers that a request carries besides credentials, unless the caller names one as secret. */
const ordinary = ["accept", "accept-language", "content-length", "content-type", "user-agent"]

/** A path without escapes, and without a mark that could stand between a name and its value. */
const isPlain = (path: string): boolean => /^[\w./~-]*$/.test(path)

export class PlainPaths {
  readonly #headers: ReadonlySet<string>
  readonly #hasSecrets: boolean

  constructor(names: Redaction.Names, secrets: ReadonlyArray<string>, keyHeader: string) {
    this.#hasSecrets = secrets.length > 0
    this.#headers = new Set([
      keyHeader,
      ...ordinary.filter((name) => !Redaction.isSecretName(name, names))
    ])
  }

  /** Whether a path shows no secret of its request. A false answer says nothing. */
  shows(
    { hash, headers, url, urlParams }: HttpClientRequest.HttpClientRequest,
    path: string,
    key: string | undefined
  ): boolean {
    if (this.#hasSecrets || urlParams.length > 0 || hash._tag === "Some") return false
    // Without query, fragment and user info.
    if (!isPlain(path) || !url.endsWith(path) || url.includes("@")) return false
    for (const name in headers) {
      if (!this.#headers.has(name) || /^\s*[[{]/.test(headers[name] ?? "")) return false
    }
    return key === undefined || !mayOccur(key, path)
  }
}
