import { HttpClientRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as Redaction from "../../src/errors/Redaction.js"
import { PlainPaths } from "../../src/http/plainPaths.js"

const paths = new PlainPaths(Redaction.defaultNames, [], "idempotency-key")

const shows = (
  path: string,
  headers: Record<string, string> = {},
  key?: string,
  names: Redaction.Names = Redaction.defaultNames
): boolean =>
  new PlainPaths(names, [], "idempotency-key").shows(
    HttpClientRequest.get(`https://api.example.com${path}`, { headers }),
    path,
    key
  )

const uuid = "6f1e6d3c-9a54-4c1b-8f57-3c0a4b9d2e11"

describe("PlainPaths", () => {
  it("an ordinary request needs no search", () => {
    expect([
      shows("/v1/things"),
      shows("/v1/things/7/parts", { accept: "application/json" }),
      shows("/v1/things", { "idempotency-key": uuid }, uuid)
    ]).toEqual([true, true, true])
  })

  it("T1: a credential, an escape, a named value, a list in a header and a short key need one", () => {
    expect([
      shows("/v1/things", { authorization: "Bearer abc" }),
      shows("/v1/th%69ngs"),
      shows("/v1/token=abc"),
      shows("/v1/token:abc"),
      shows("/v1/things", { accept: "{\"token\":\"things\"}" }),
      shows("/v1/things", { accept: "things" }, undefined, ["accept"]),
      shows("/v1/things", {}, "thing"),
      shows(`/v1/${uuid}`, {}, uuid),
      shows(`/v1/${btoa(uuid)}`, {}, uuid),
      shows(`/v1/${btoa(`x${uuid}`)}`, {}, uuid)
    ]).toEqual([false, false, false, false, false, false, false, false, false, false])
  })

  it.prop(
    "T1: where it says that a path shows no key, a search finds none",
    [
      FastCheck.stringMatching(/^[\w.:-]{16,40}$/),
      FastCheck.stringMatching(/^[\w.~-]{0,12}$/),
      FastCheck.nat({ max: 40 }),
      FastCheck.constantFrom(
        (text: string) => text,
        (text: string) => text.toUpperCase(),
        (text: string) => btoa(text),
        (text: string) => btoa(`a${text}`).replaceAll("/", "_"),
        (text: string) => btoa(`ab${text}`).replaceAll("/", "_")
      )
    ],
    ([key, front, length, written]) => {
      const path = `/v1/${front}/${written(key).slice(0, length)}`
      const request = HttpClientRequest.get(`https://api.example.com${path}`)
      if (!paths.shows(request, path, key)) return
      expect(Redaction.scrubber([key])(path)).toBe(path)
    },
    { fastCheck: { numRuns: 1000 } }
  )
})
