import { Redis as Client } from "ioredis"
import { binary, freePort, passes, pause, type Server, start } from "./processes.js"

const server = binary("redis-server")

const cli = binary("redis-cli")

export const isInstalled = server !== undefined && cli !== undefined

const startWith = (options: ReadonlyArray<string>): Promise<Server> =>
  start({
    name: "redis",
    command: (folder, port) => [
      server ?? "",
      "--bind",
      "127.0.0.1",
      "--port",
      String(port),
      "--dir",
      folder,
      "--save",
      "",
      // What was written outlives the process. The disk is not waited for: a slow one would stop
      // the server for seconds.
      "--appendonly",
      "yes",
      "--appendfsync",
      "no",
      "--maxmemory-policy",
      "noeviction",
      ...options
    ],
    answers: (port) => passes([cli ?? "", "-h", "127.0.0.1", "-p", String(port), "-e", "ping"])
  })

export const startRedis = (): Promise<Server> => startWith([])

export const url = (port: number): string => `redis://127.0.0.1:${port}`

/** One server of a cluster, and a client of its own. */
export interface ClusterNode {
  readonly server: Server
  readonly client: Client
  readonly id: string
}

export interface Cluster {
  /** Three masters, each with a third of the slots. */
  readonly masters: ReadonlyArray<ClusterNode>
  /** Of the first master. */
  readonly replica: ClusterNode
  readonly stop: () => Promise<void>
}

/** How many slots a cluster has. */
export const slots = 16_384

/** Asks again until the answer is yes. */
export const until = async (isTrue: () => Promise<boolean>): Promise<void> => {
  for (let tries = 0; tries < 400; tries++) {
    if (await isTrue().catch(() => false)) return
    await pause(25)
  }
  throw new Error("What was waited for did not become true in ten seconds")
}

const startNode = async (): Promise<ClusterNode & { readonly busPort: number }> => {
  const busPort = await freePort()
  const server = await startWith([
    "--cluster-enabled",
    "yes",
    "--cluster-port",
    String(busPort),
    "--cluster-node-timeout",
    "1000",
    "--cluster-require-full-coverage",
    "no",
    "--repl-diskless-sync-delay",
    "0"
  ])
  const client = new Client(url(server.port))
  client.on("error", () => undefined)
  return { server, client, busPort, id: String(await client.cluster("MYID")) }
}

const agrees = (nodes: ReadonlyArray<ClusterNode>) => async () => {
  const infos = await Promise.all(nodes.map(({ client }) => client.cluster("INFO")))
  return infos.every((info) =>
    String(info).includes("cluster_state:ok") &&
    String(info).includes(`cluster_known_nodes:${nodes.length}`)
  )
}

export const startCluster = async (): Promise<Cluster> => {
  const nodes = await Promise.all([0, 1, 2, 3].map(startNode))
  const [first, second, third, replica] = nodes
  if (!first || !second || !third || !replica) throw new Error("four nodes were started")
  const masters = [first, second, third]
  const stop = async () => {
    for (const { client } of nodes) client.disconnect()
    await Promise.all(nodes.map(({ server }) => server.stop()))
  }
  try {
    const share = Math.ceil(slots / masters.length)
    for (const [index, { client }] of masters.entries()) {
      const last = Math.min(slots, (index + 1) * share) - 1
      await client.call("CLUSTER", "ADDSLOTSRANGE", String(index * share), String(last))
    }
    for (const { busPort, server } of nodes.slice(1)) {
      await first.client.call(
        "CLUSTER",
        "MEET",
        "127.0.0.1",
        String(server.port),
        String(busPort)
      )
    }
    await until(agrees(nodes))
    await replica.client.call("CLUSTER", "REPLICATE", first.id)
    await until(async () =>
      (await replica.client.info("replication")).includes("master_link_status:up")
    )
    return { masters, replica, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
