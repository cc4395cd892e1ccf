import { binary, passes, type Server, start } from "./processes.js"

const server = binary("redis-server")

const cli = binary("redis-cli")

export const isInstalled = server !== undefined && cli !== undefined

export const startRedis = (): Promise<Server> =>
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
      "--appendonly",
      "yes",
      "--maxmemory-policy",
      "noeviction"
    ],
    answers: (port) => passes([cli ?? "", "-h", "127.0.0.1", "-p", String(port), "-e", "ping"])
  })

export const url = (port: number): string => `redis://127.0.0.1:${port}`
