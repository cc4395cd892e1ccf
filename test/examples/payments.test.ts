/**
 * A payment whose client is killed while the bank is at work, and whose server is killed and
 * started again: all in processes of their own.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as readline from "node:readline"
import { afterEach, expect, it } from "vitest"

const children = new Set<ChildProcess>()
const folders: Array<string> = []

afterEach(() => {
  for (const child of children) child.kill("SIGKILL")
  children.clear()
  for (const folder of folders.splice(0)) fs.rmSync(folder, { recursive: true, force: true })
})

const folder = () => {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), "payments-"))
  folders.push(made)
  return made
}

const run = (example: string, ...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, ["--import", "tsx", `examples/${example}.ts`, ...args], {
    stdio: ["ignore", "pipe", "pipe"]
  })
  children.add(child)
  let errors = ""
  child.stderr.on("data", (data: Buffer) => errors += data.toString())
  const lines: Array<string> = []
  const firstLine = new Promise<string>((resolve, reject) => {
    readline.createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line)
      resolve(line)
    })
    child.once(
      "close",
      (code) => reject(new Error(`${example} ended with ${code} and said nothing: ${errors}`))
    )
  })
  const ended = new Promise<
    { readonly lines: ReadonlyArray<string>; readonly signal: string | null }
  >((resolve) => {
    child.once("close", (_, signal) => resolve({ lines, signal }))
  })
  return { firstLine, ended, kill: () => child.kill("SIGKILL") }
}

const charges = async (url: string): Promise<ReadonlyArray<{ readonly customer_order: string }>> =>
  (await fetch(`${url}/charges`)).json() as Promise<
    ReadonlyArray<{ readonly customer_order: string }>
  >

/** Asks until the bank has taken the money. */
const charged = async (url: string): Promise<void> => {
  while ((await charges(url)).length === 0);
}

it(
  "I1, I30, I41: a client that is killed while it is charged and started again is charged once, also by a server that was killed since",
  async () => {
    const [data, outbox] = [folder(), folder()]
    const server = run("payment-server", data)
    const url = await server.firstLine
    const pay = () => run("payment-client", url, "order-1", "1999", outbox)

    const killed = pay()
    await killed.firstLine
    await charged(url)
    killed.kill()
    const second = await pay().ended

    server.kill()
    await server.ended
    const restarted = run("payment-server", data, new URL(url).port)
    await restarted.firstLine
    const third = await pay().ended
    const { key } = JSON.parse(fs.readFileSync(path.join(outbox, "order-1.json"), "utf8")) as {
      readonly key: string
    }
    const files = fs.readdirSync(data).map((name) =>
      fs.readFileSync(path.join(data, name), "latin1")
    )

    expect({
      killed: await killed.ended,
      second: second.lines,
      third: third.lines,
      charges: (await charges(url)).map(({ customer_order }) => customer_order),
      keyInFiles: files.some((text) => text.includes(key)),
      orderInFiles: files.some((text) => text.includes("order-1"))
    }).toEqual({
      killed: { lines: ["order-1: sending"], signal: "SIGKILL" },
      second: ["order-1: sending", "order-1: receipt 1, charged by an earlier attempt"],
      third: ["order-1: sending", "order-1: receipt 1, charged by an earlier attempt"],
      charges: ["order-1"],
      keyInFiles: false,
      orderInFiles: true
    })
  },
  120_000
)

it.each(["payment-server", "payment-client", "payments/outbox"])("%s is under 80 lines", (name) => {
  expect(fs.readFileSync(`examples/${name}.ts`, "utf8").split("\n").length).toBeLessThan(80)
})
