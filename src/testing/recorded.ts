/** Keeps answers, to repeat them under the same idempotency key. */
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** Headers of a recorded answer that a replay repeats; its body brings `content-type` along. */
const replayedHeaders = ["content-type", "etag", "last-modified", "location"]

/** The response with its whole body in memory, so that it can be kept, and cut. */
export const collected = (response: HttpServerResponse.HttpServerResponse) => {
  const { body } = response
  const withBytes = (bytes: Uint8Array, contentType: string | null | undefined) =>
    HttpServerResponse.setBody(response, HttpBody.uint8Array(bytes, contentType ?? undefined))
  switch (body._tag) {
    case "Empty":
    case "Uint8Array":
      return Effect.succeed(response)
    case "Stream":
      return Effect.map(
        Stream.runCollect(body.stream),
        (chunks) =>
          withBytes(Buffer.concat(Chunk.toReadonlyArray(chunks)), response.headers["content-type"])
      )
    case "Raw":
    case "FormData": {
      const web = HttpServerResponse.toWeb(response)
      return Effect.map(
        Effect.promise(() => web.arrayBuffer()),
        (bytes) => withBytes(new Uint8Array(bytes), web.headers.get("content-type"))
      )
    }
  }
}

/** Its body, where it is in memory. */
export const bytesOf = ({ body }: HttpServerResponse.HttpServerResponse): Uint8Array =>
  body._tag === "Uint8Array" ? body.body : new Uint8Array()

/** A recorded answer, said again. */
export const replay = (recorded: HttpServerResponse.HttpServerResponse) =>
  HttpServerResponse.empty({
    status: recorded.status,
    headers: {
      ...Object.fromEntries(
        Object.entries(recorded.headers).filter(([name]) => replayedHeaders.includes(name))
      ),
      "idempotent-replayed": "true"
    }
  }).pipe((response) =>
    recorded.body._tag === "Empty" ? response : HttpServerResponse.setBody(response, recorded.body)
  )
