/**
 * Keeps texts that a call sends out of its errors, in full and in part: documents, messages, form
 * fields.
 *
 * The client takes a secret value out of an error where the API repeats it as a whole or cut short.
 * Of a text an API repeats any part: one line, or the words around a mistake. So the parts are
 * looked for, too, before the error is made: no span and no log line has seen them then.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Redaction from "../../errors/Redaction.js"
import type * as ErrorResponse from "../../http/ErrorResponse.js"

/** How much of a text is looked for, in characters. */
const maxLength = 65_536

/** A shorter line is words that occur by chance. */
const minLine = 8

/** So many characters in a row that are also in a private text are a part of it. */
const minExcerpt = 16

/** A text, or the front of a long one, and its lines. */
const partsOf = (text: string): ReadonlyArray<string> => {
  const front = text.slice(0, maxLength)
  return [front, ...front.split(/[\r\n]+/).filter((line) => line.trim().length >= minLine)]
}

/** Texts and their lines, to be looked for in every spelling. */
export const withLines = (texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  texts.flatMap(partsOf)

/** Letters of both cases are alike, and every character stays where it is. */
const folded = (text: string): string => {
  const lower = text.toLowerCase()
  return lower.length === text.length ? lower : text
}

/** Which characters of a text are within a part of one of the others. O(all texts). */
const excerpted = (text: string, others: ReadonlyArray<string>): ReadonlyArray<boolean> => {
  const found = Array<boolean>(text.length).fill(false)
  const places = new Map<string, Array<number>>()
  const same = folded(text)
  for (let at = 0; at + minExcerpt <= same.length; at++) {
    const part = same.slice(at, at + minExcerpt)
    const known = places.get(part)
    if (known === undefined) places.set(part, [at])
    else known.push(at)
  }
  for (const other of others) {
    const within = folded(other.slice(0, maxLength))
    for (let at = 0; at + minExcerpt <= within.length; at++) {
      const part = within.slice(at, at + minExcerpt)
      for (const place of places.get(part) ?? []) found.fill(true, place, place + minExcerpt)
      places.delete(part)
    }
  }
  return found
}

/** A function that takes private texts and their parts out of another text. */
const scrubberOf = (texts: ReadonlyArray<string>): (text: string) => string => {
  const scrub = Redaction.scrubber(withLines(texts))
  return (text) => {
    const whole = scrub(text)
    const marks = excerpted(whole, texts)
    let clean = ""
    for (let at = 0; at < whole.length; at++) {
      if (marks[at] !== true) clean += whole[at]
      else if (marks[at - 1] !== true) clean += Redaction.mark
    }
    return clean
  }
}

/** The private texts of the call under way. */
class Private extends Context.Reference<Private>()<
  "effect-resilience/api/PrivateTexts",
  { readonly texts: () => ReadonlyArray<string> }
>("effect-resilience/api/PrivateTexts", { defaultValue: () => ({ texts: () => [] }) }) {}

/** Says which texts the call of an effect sends. They are asked for when an error is read. */
export const during =
  (texts: () => ReadonlyArray<string>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(self, Private, { texts })

const clean = (
  body: ErrorResponse.ErrorBody,
  scrub: (text: string) => string
): ErrorResponse.ErrorBody => {
  const text = (said: string | undefined) => said === undefined ? undefined : scrub(said)
  return {
    ...body,
    message: text(body.message),
    code: text(body.code),
    requestId: text(body.requestId),
    issues: body.issues?.map(({ message, path }) => ({
      message: scrub(message),
      path: scrub(path)
    }))
  }
}

/** Reads error bodies, without the private texts of the call. O(texts), when something failed. */
export const errorBody = (decoder: ErrorResponse.Decoder): ErrorResponse.Decoder =>
  Schema.transformOrFail(decoder, Schema.typeSchema(decoder), {
    strict: true,
    decode: (body) =>
      Effect.map(Private, ({ texts }) => {
        const found = texts()
        return found.length === 0 ? body : clean(body, scrubberOf(found))
      }),
    encode: (body) => Effect.succeed(body)
  })
