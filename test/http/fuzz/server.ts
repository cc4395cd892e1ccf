/** Servers that write bytes as they are given: no library stands between them and the socket. */
import { Effect, type Scope } from "effect"
import * as Net from "node:net"

/** What a server writes in answer to one request, and what it does with the connection then. */
export interface Script {
  /** Each part is a write of its own. */
  readonly parts: ReadonlyArray<Buffer>
  /** `keep` and `stall` leave the connection open; `destroy` resets it. */
  readonly end: "keep" | "stall" | "end" | "destroy"
}

/** The end of a body in chunks, or nothing where it is not all there. */
const endOfChunks = (bytes: Buffer, from: number): number | undefined => {
  for (let at = from;;) {
    const line = bytes.indexOf("\r\n", at)
    if (line === -1) return undefined
    const size = Number.parseInt(bytes.toString("latin1", at, line), 16)
    at = line + 2 + size + 2
    if (!(at <= bytes.length)) return undefined
    if (size === 0) return at
  }
}

/** The end of the first request in some bytes, or nothing where it is not all there. */
const endOfRequest = (bytes: Buffer): number | undefined => {
  const head = bytes.indexOf("\r\n\r\n")
  if (head === -1) return undefined
  const text = bytes.toString("latin1", 0, head).toLowerCase()
  const body = head + 4
  if (/\r\ntransfer-encoding: *chunked/.test(text)) {
    return endOfChunks(bytes, body)
  }
  const end = body + Number(/\r\ncontent-length: *(\d+)/.exec(text)?.[1] ?? 0)
  return end <= bytes.length ? end : undefined
}

/** Writes the parts one after another, each when the event loop has come around. */
const play = (socket: Net.Socket, { end, parts }: Script, at = 0): void => {
  const part = parts[at]
  if (socket.destroyed) return
  if (part !== undefined) {
    socket.write(part)
    if (at + 1 < parts.length) return void setImmediate(() => play(socket, { end, parts }, at + 1))
  }
  if (end === "end") socket.end()
  // What was written should arrive before the reset.
  if (end === "destroy") socket.end(() => setImmediate(() => socket.resetAndDestroy()))
}

export interface RawServer {
  readonly port: number
  /** How many connections it has had. */
  readonly connections: () => number
  /** Paths that have been asked for and have no script. */
  readonly unknown: ReadonlyArray<string>
}

/** A server that answers each request by what its path is given. */
export const serveRaw = (
  scriptFor: (path: string) => Script | undefined
): Effect.Effect<RawServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<RawServer & { readonly close: () => void }>((resume) => {
      const sockets = new Set<Net.Socket>()
      const unknown: Array<string> = []
      let connections = 0
      const server = Net.createServer((socket) => {
        connections += 1
        sockets.add(socket)
        socket.setNoDelay()
        let bytes: Buffer = Buffer.alloc(0)
        socket.on("error", () => socket.destroy())
        socket.on("close", () => sockets.delete(socket))
        socket.on("data", (chunk) => {
          bytes = Buffer.concat([bytes, chunk])
          const end = endOfRequest(bytes)
          if (end === undefined) return
          const path = bytes.toString("latin1", 0, bytes.indexOf("\r\n")).split(" ")[1] ?? ""
          bytes = bytes.subarray(end)
          const script = scriptFor(path)
          if (script === undefined) unknown.push(path)
          play(socket, script ?? { parts: [], end: "destroy" })
        })
      })
      server.listen(0, "127.0.0.1", () => {
        resume(Effect.succeed({
          port: (server.address() as Net.AddressInfo).port,
          connections: () => connections,
          unknown,
          close: () => {
            server.close()
            for (const socket of sockets) socket.destroy()
          }
        }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )
