/**
 * Plain servers on the loopback, each gone with its scope, connections and all.
 */
import type { HttpApp, HttpServerRequest } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, type Scope } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

const addressOf = (port: number): string => `http://127.0.0.1:${port}`

/** Starts a server on a free port, which is the result. */
const listen = (server: Http.Server): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        resume(Effect.succeed((server.address() as AddressInfo).port))
      })
    }),
    () =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )

/** A port on which no server listens: one that was just given back. */
export const closedPort: Effect.Effect<number> = Effect.scoped(
  Effect.suspend(() => listen(Http.createServer()))
)

/** An address at which no server listens. */
export const closedUrl: Effect.Effect<string> = Effect.map(closedPort, addressOf)

interface WireRequest {
  readonly method: string
  readonly url: string
  readonly headers: Http.IncomingHttpHeaders
  readonly rawHeaders: ReadonlyArray<string>
  readonly body: string
}

export interface Wire {
  readonly url: string
  readonly port: number
  readonly requests: ReadonlyArray<WireRequest>
  readonly connections: () => number
}

export type Handler = (response: Http.ServerResponse, request: WireRequest, index: number) => void

/** A server that answers as the handler says, and keeps what has arrived. */
export const serve = (handler: Handler): Effect.Effect<Wire, never, Scope.Scope> =>
  Effect.suspend(() => {
    const requests: Array<WireRequest> = []
    let connections = 0
    const server = Http.createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("error", () => response.destroy())
      response.on("error", () => response.destroy())
      request.on("end", () => {
        const { headers, method = "", rawHeaders, url = "" } = request
        const body = Buffer.concat(chunks).toString("utf8")
        const arrived = { method, url, headers, rawHeaders, body }
        requests.push(arrived)
        handler(response, arrived, requests.length - 1)
      })
    })
    server.on("connection", () => connections++)
    return Effect.map(listen(server), (port) => ({
      url: addressOf(port),
      port,
      requests,
      connections: () => connections
    }))
  })

/** An app of the platform behind a server; the result is its address. */
export const serveApp = <E, R>(app: HttpApp.Default<E, R>) =>
  NodeHttpServer.makeHandler(app).pipe(
    Effect.flatMap((handler) => listen(Http.createServer(handler))),
    Effect.map(addressOf)
  ) as Effect.Effect<
    string,
    never,
    Scope.Scope | Exclude<R, HttpServerRequest.HttpServerRequest | Scope.Scope>
  >
