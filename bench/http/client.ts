/**
 * Measures one kind of call in a process of its own: the platform's client, a second copy of it and
 * ours, each with its own connections, one round after the other. Prints the rounds as JSON.
 */
import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Context, Effect, Layer, Schema, Scope } from "effect"
import { ApiClient, IdempotencyKey, Pipeline } from "effect-resilience"
import { type Kind, type Rounds, settingsOf } from "./settings.js"

const Thing = Schema.Struct({
  id: Schema.Number,
  name: Schema.String,
  tags: Schema.Array(Schema.String),
  createdAt: Schema.String,
  price: Schema.Struct({ amount: Schema.Number, currency: Schema.String })
})

const order = { item: "tea", amount: 3, note: "the green one" }

/** A client with connections of its own. */
const upstream = (): Promise<HttpClient.HttpClient> =>
  Effect.runPromise(Effect.map(
    Effect.flatMap(
      Scope.make(),
      (scope) => Layer.buildWithScope(NodeHttpClient.layerUndici, scope)
    ),
    Context.get(HttpClient.HttpClient)
  ))

const getOf = (url: string) => HttpClientRequest.get(url)
const postOf = (url: string) => HttpClientRequest.bodyUnsafeJson(HttpClientRequest.post(url), order)

/** As the platform's documentation has it: send, then decode the response. */
const platform = async (
  kind: Kind,
  baseUrl: string
): Promise<Effect.Effect<unknown, unknown>> => {
  const client = await upstream()
  const decode = HttpClientResponse.schemaBodyJson(Thing)
  const requestOf = kind === "post" ? postOf : getOf
  return Effect.suspend(() =>
    Effect.flatMap(client.execute(requestOf(`${baseUrl}/v1/things`)), decode)
  )
}

/** As the README has it: `ApiClient.execute` with the standard pipeline. */
const ours = async (kind: Kind, baseUrl: string): Promise<Effect.Effect<unknown, unknown>> => {
  const options = { name: "things", baseUrl }
  const making = kind === "bare"
    ? ApiClient.make(options)
    : ApiClient.make({ ...options, pipeline: Pipeline.standard })
  const client: HttpClient.HttpClient.With<unknown> = await Effect.runPromise(
    Effect.provideService(making, HttpClient.HttpClient, await upstream())
  )
  const decode = ApiClient.json(Thing)
  const requestOf = kind === "post" ? postOf : getOf
  const call = Effect.suspend(() => ApiClient.execute(client, requestOf("/v1/things"), decode))
  return kind === "post" ? IdempotencyKey.provideNew(call) : call
}

/** 32 callers at a time, as `forEach` starts them. */
const round = (call: Effect.Effect<unknown, unknown>, calls: number, callers: number) =>
  Effect.runPromise(Effect.forEach(
    Array.from({ length: calls }),
    () => call,
    { concurrency: callers, discard: true }
  ))

const cpuMicros = (): number => {
  const { system, user } = process.cpuUsage()
  return user + system
}

const { callers, calls, kind, mode, rounds, url, warmUp } = settingsOf(process.argv.slice(2))

const clients = {
  platform: await platform(kind, url),
  control: await platform(kind, url),
  ours: await ours(kind, url)
}

/** Microseconds of CPU for each call, of all threads. */
const cpu = async (call: Effect.Effect<unknown, unknown>): Promise<number> => {
  const before = cpuMicros()
  await round(call, calls, callers)
  return (cpuMicros() - before) / calls
}

/**
 * Bytes of heap that each call allocates. New objects have room for all calls of a round, so nothing
 * is collected in between.
 */
const heap = async (call: Effect.Effect<unknown, unknown>): Promise<number> => {
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  await round(call, calls, callers)
  return (process.memoryUsage().heapUsed - before) / calls
}

const names = Object.keys(clients) as Array<keyof typeof clients>
const found: Record<keyof typeof clients, Array<number>> = { platform: [], control: [], ours: [] }
const measured = mode === "cpu" ? cpu : heap
for (let index = -warmUp; index < rounds; index++) {
  // Each client comes first, second and last equally often.
  const shift = (index + warmUp) % names.length
  for (const name of [...names.slice(shift), ...names.slice(0, shift)]) {
    const value = await measured(clients[name])
    if (index >= 0) found[name].push(value)
  }
}
const result: Rounds = found
console.log(JSON.stringify(result))
process.exit()
