import { HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { expect, it } from "@effect/vitest"
import { Effect, Option, Redacted, Schema } from "effect"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

/**
 * Runs the import against a server; kills it the hard way as soon as it prints a line that fits.
 */
const runImport = (url: string, folder: string, killWhen?: RegExp) =>
  Effect.async<
    {
      readonly signal: string | null
      readonly code: number | null
      readonly lines: ReadonlyArray<string>
    }
  >(
    (resume) => {
      const child = spawn(process.execPath, [
        "--import",
        "tsx",
        "examples/bulk-import.ts",
        url,
        folder
      ], { cwd: root })
      let printed = ""
      child.stdout.on("data", (chunk: Buffer) => {
        printed += chunk.toString()
        if (killWhen?.test(printed) === true) child.kill("SIGKILL")
      })
      child.on(
        "close",
        (code, signal) =>
          resume(Effect.succeed({ code, signal, lines: printed.trimEnd().split("\n") }))
      )
      return Effect.sync(() => void child.kill("SIGKILL"))
    }
  )

const Document = Schema.Struct({ source: Schema.String, text: Schema.String })

const app = HttpServerRequest.schemaBodyJson(Document).pipe(
  Effect.flatMap(({ source }) =>
    HttpServerResponse.json({ document_id: `stored-${source}` }, { status: 201 })
  )
)

it.scopedLive(
  "G50: a thousand documents through a server that fails three in ten for a while, killed and started again: nothing twice, nothing lost",
  () =>
    Effect.gen(function*() {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bulk-"))
      const storm = FlakyApi.seeded({
        seed: "import",
        rate: 0.3,
        faults: [
          FlakyApi.serverError(),
          FlakyApi.serverError({ when: "after" }),
          FlakyApi.unavailable(),
          FlakyApi.reset({ when: "after" })
        ]
      })
      const script: FlakyApi.Script = (call) =>
        call.index >= 300 && call.index < 600 ? storm(call) : FlakyApi.none
      const server = yield* FlakyApi.make({ app, script })

      // It is killed in the middle of the bad time.
      const killed = yield* runImport(server.url, folder, /[34]\d\d sent.* paused/)
      const before = yield* server.executed
      const second = yield* runImport(server.url, folder)
      const executed = yield* server.executed
      const received = yield* server.received
      fs.rmSync(folder, { recursive: true, force: true })

      expect([killed.signal, second.code]).toEqual(["SIGKILL", 0])
      expect(second.lines.at(-1)).toMatch(/^1000 of 1000 documents are stored, 0 failed/)
      const keys = executed.flatMap(({ key, status }) =>
        status < 300 ? Option.toArray(Option.map(key, Redacted.value)) : []
      )
      expect([keys.length, new Set(keys).size]).toEqual([1000, 1000])
      // What had been stored is not even sent again, but for what was under way when it was killed.
      expect(received.length).toBeLessThan(1000 + 300)
      expect(before.length).toBeGreaterThan(250)
      expect(killed.lines.some((line) => line.endsWith("paused"))).toBe(true)
    }),
  180_000
)
