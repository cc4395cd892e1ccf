/**
 * A wire between a program and a server on the loopback that does harm when it is told to.
 */
import * as net from "node:net"

/**
 * What happens to the connection on which the program sends next, `skip` packets later.
 *
 * - `swallow`: the packet arrives, its answer does not; the connection is cut `millis` later
 * - `cut`: the packet does not arrive; `part`: a part of it does; both cut the connection
 * - `delay`: answers on it come `millis` later, once
 * - `refuse`: all connections are cut, and none is taken for `millis`
 * - `duplicate`: connections that are made from now on send all that they are told a second time,
 *   on a second connection to the server, until `calm`
 */
export interface WireFault {
  readonly kind: "swallow" | "cut" | "part" | "delay" | "refuse" | "duplicate"
  readonly skip: number
  readonly millis: number
  /** What the packet has to contain. Default: anything. */
  readonly only?: string | undefined
}

export interface FaultyWire {
  readonly port: number
  readonly arm: (fault: WireFault) => void
  readonly calm: () => void
  /** How many faults have happened. */
  readonly happened: () => number
  readonly stop: () => Promise<void>
}

interface Connection {
  readonly client: net.Socket
  readonly server: net.Socket
  readonly shadow: net.Socket | undefined
  isMute: boolean
  delayMillis: number
}

export const startFaultyWire = (serverPort: number): Promise<FaultyWire> => {
  const connections = new Set<Connection>()
  let armed: WireFault | undefined
  let left = 0
  let happened = 0
  let refusesUntil = 0
  let duplicates = false

  const cut = ({ client, server, shadow }: Connection): void => {
    client.destroy()
    server.destroy()
    shadow?.destroy()
  }

  /** Whether the packet still has to be passed on. */
  const strike = (fault: WireFault, connection: Connection, packet: Buffer): boolean => {
    happened++
    switch (fault.kind) {
      case "swallow":
        connection.isMute = true
        setTimeout(() => cut(connection), fault.millis)
        return true
      case "cut":
        cut(connection)
        return false
      case "part":
        connection.server.write(
          packet.subarray(0, Math.ceil(packet.length / 2)),
          () => cut(connection)
        )
        return false
      case "delay":
        connection.delayMillis = fault.millis
        return true
      case "refuse":
        refusesUntil = performance.now() + fault.millis
        for (const each of connections) cut(each)
        return false
      case "duplicate":
        duplicates = true
        for (const each of connections) cut(each)
        return false
    }
  }

  const connect = (client: net.Socket): void => {
    client.on("error", () => undefined)
    if (performance.now() < refusesUntil) {
      client.destroy()
      return
    }
    const open = () => {
      const socket = net.connect(serverPort, "127.0.0.1")
      socket.on("error", () => undefined)
      return socket
    }
    const connection: Connection = {
      client,
      server: open(),
      shadow: duplicates ? open() : undefined,
      isMute: false,
      delayMillis: 0
    }
    const { server, shadow } = connection
    connections.add(connection)
    shadow?.resume()
    client.on("data", (packet) => {
      if (armed !== undefined && packet.includes(armed.only ?? "") && left-- <= 0) {
        const fault = armed
        armed = undefined
        if (!strike(fault, connection, packet)) return
      }
      server.write(packet)
      shadow?.write(packet)
    })
    server.on("data", (packet) => {
      if (connection.isMute) return
      const millis = connection.delayMillis
      connection.delayMillis = 0
      if (millis === 0) {
        client.write(packet)
        return
      }
      // What comes after it must not overtake it.
      server.pause()
      setTimeout(() => {
        client.write(packet)
        server.resume()
      }, millis)
    })
    for (const socket of [client, server]) {
      socket.on("close", () => {
        connections.delete(connection)
        cut(connection)
      })
    }
  }

  const listener = net.createServer(connect)
  return new Promise((resolve) => {
    listener.listen(0, "127.0.0.1", () => {
      const address = listener.address()
      resolve({
        port: typeof address === "object" && address !== null ? address.port : 0,
        arm: (fault) => {
          armed = fault
          left = fault.skip
        },
        calm: () => {
          armed = undefined
          refusesUntil = 0
          duplicates = false
        },
        happened: () => happened,
        stop: () =>
          new Promise((stopped) => {
            listener.close(() => stopped())
            for (const each of connections) cut(each)
          })
      })
    })
  })
}
