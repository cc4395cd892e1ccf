/** Applies a fault to an answer on the wire. */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpBody from "@effect/platform/HttpBody"
import { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Fault, responseOf } from "../faults.js"
import { bytesOf } from "../recorded.js"

/**
 * Ends the connection with an RST. Left to itself `resetAndDestroy` says goodbye first (a FIN, in
 * `destroySoon`), and the client could take that for an orderly end. The response that is returned
 * goes nowhere.
 */
export const resetConnection = Effect.map(HttpServerRequest, (request) => {
  const { socket } = NodeHttpServerRequest.toIncomingMessage(request)
  socket.destroySoon = () => void socket.destroy()
  socket.resetAndDestroy()
  return HttpServerResponse.empty()
})

/**
 * The headers and half of the body, under a `content-length` that promises more; then what comes
 * next.
 */
const cutShort = (
  response: HttpServerResponse.HttpServerResponse,
  next: Effect.Effect<unknown, never, HttpServerRequest>
) =>
  Effect.map(HttpServerRequest, (request) => {
    const bytes = bytesOf(response)
    const half = bytes.length === 0
      ? new Uint8Array([0x20])
      : bytes.subarray(0, Math.ceil(bytes.length / 2))
    const written = Effect.async<void>((resume) => {
      NodeHttpServerRequest.toServerResponse(request).write(half, () => resume(Effect.void))
    })
    const body = Stream.execute(Effect.provideService(
      Effect.zipRight(written, next),
      HttpServerRequest,
      request
    ))
    const contentType = response.headers["content-type"] ?? "application/json"
    return HttpServerResponse.setBody(
      response,
      HttpBody.stream(body, contentType, Math.max(bytes.length, 1) + 1)
    )
  })

const slowly = (response: HttpServerResponse.HttpServerResponse, delay: Duration.Duration) => {
  const bytes = bytesOf(response)
  if (bytes.length === 0) return response
  const half = Math.ceil(bytes.length / 2)
  const body = Stream.make(bytes.subarray(0, half)).pipe(
    Stream.concat(Stream.execute(Effect.sleep(delay))),
    Stream.concat(Stream.make(bytes.subarray(half)))
  )
  return HttpServerResponse.setBody(
    response,
    HttpBody.stream(body, response.headers["content-type"], bytes.length)
  )
}

const notJson = HttpBody.text("{\"id\": \"", "application/json")

/** Plays a fault on an answer. Faults that strike before the execution leave the answer alone. */
export const play = (
  fault: Fault,
  answer: HttpApp.Default,
  down: (duration: Duration.DurationInput) => Effect.Effect<void>
): HttpApp.Default => {
  switch (fault._tag) {
    case "None":
      return answer
    case "Status":
      return fault.when === "before"
        ? responseOf(fault)
        : Effect.zipRight(answer, responseOf(fault))
    case "Reset":
      if (fault.when === "before") return resetConnection
      return fault.when === "after"
        ? Effect.zipRight(answer, resetConnection)
        : Effect.flatMap(answer, (response) => cutShort(response, resetConnection))
    case "SlowHeaders":
      return Effect.tap(answer, () => Effect.sleep(fault.delay))
    case "SlowBody":
      return Effect.map(answer, (response) => slowly(response, fault.delay))
    case "Truncated":
      return Effect.flatMap(
        answer,
        (response) =>
          cutShort(HttpServerResponse.setHeader(response, "connection", "close"), Effect.void)
      )
    case "Malformed":
      return Effect.map(answer, HttpServerResponse.setBody(notJson))
    case "Refused":
      return Effect.zipRight(down(fault.for), resetConnection)
  }
}
