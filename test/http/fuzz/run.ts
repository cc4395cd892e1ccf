/** Runs one case against a client, and says what is wrong with what came of it. */
import { FetchHttpClient, HttpClient, HttpClientError, HttpClientResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Duration, Effect, type Exit, Layer, Schema, type Scope, Stream } from "effect"
import {
  ApiClient,
  ApiError,
  Backoff,
  IdempotencyKey,
  Operation,
  Pipeline,
  Playbook,
  Telemetry
} from "effect-resilience"
import { renderings } from "../../support/renderings.js"
import { type Case, isBodiless } from "./cases.js"
import { options as secretOptions, shown } from "./secrets.js"
import { type RawServer, type Script, serveRaw } from "./server.js"
import { arrivesWhole, type Ending, endingsOf, mayBeSeen, requestsOf, type Seen } from "./table.js"
import { resetHeaders } from "./waits.js"

export const integration = "fuzz"

const playbooks = {
  standard: Playbook.standard,
  rich: Playbook.extend(Playbook.standard, {
    name: "rich",
    resetHeaders,
    retryHeader: "X-Should-Retry",
    byStatus: { 429: Playbook.entry(429, { wait: "30 seconds" }) }
  })
}

const limits = {
  long: { attemptTimeout: Duration.seconds(60), totalTimeout: Duration.seconds(90) },
  short: { attemptTimeout: Duration.millis(80), totalTimeout: Duration.millis(160) },
  none: {}
} as const

/** What an error body may take where the client has no limits of its own. */
const bodyMillis = 5000

/** The machine is busy, and there is but one thread. */
const slackMillis = 10_000

const mostMillis = ({ limits: name }: Case): number =>
  slackMillis + (name === "none" ? bodyMillis : Duration.toMillis(limits[name].totalTimeout))

export interface Bench {
  readonly server: RawServer
  readonly clients: Readonly<Record<Case["wire"], HttpClient.HttpClient>>
  readonly pipelineFor: (at: Case) => Pipeline.Pipeline<unknown, unknown>
  readonly scripts: Map<number, Script>
}

const clientOf = (layer: Layer.Layer<HttpClient.HttpClient>) =>
  Effect.map(Layer.build(layer), (context) => Layer.succeedContext(context)).pipe(
    Effect.flatMap((built) => Effect.provide(HttpClient.HttpClient, built))
  )

const pathId = (path: string): number => Number(/\/c\/(\d+)/.exec(path)?.[1])

/** What all cases share: a server, the three clients, the pipelines. */
export const bench: Effect.Effect<Bench, never, Scope.Scope> = Effect.gen(function*() {
  const scripts = new Map<number, Script>()
  const server = yield* serveRaw((path) => scripts.get(pathId(path)))
  const telemetry = yield* Telemetry.make({ integration })
  const pipelines = new Map<string, Pipeline.Pipeline<unknown, unknown>>()
  for (const name of ["long", "short", "none"] as const) {
    for (const retries of [0, 1]) {
      const pipeline = yield* Pipeline.make({
        operation: Operation.once,
        telemetry,
        ...limits[name],
        retry: { retries, backoff: Backoff.constant(0) }
      })
      pipelines.set(`${name} ${retries}`, pipeline as Pipeline.Pipeline<unknown, unknown>)
    }
  }
  return {
    server,
    scripts,
    clients: {
      undici: yield* clientOf(NodeHttpClient.layerUndici),
      fetch: yield* clientOf(FetchHttpClient.layer),
      node: yield* clientOf(NodeHttpClient.layer)
    },
    pipelineFor: ({ limits, retries }) => pipelines.get(`${limits} ${retries ? 1 : 0}`)!
  }
})

/** The client below ours, which writes down what it sees. */
const watched = (client: HttpClient.HttpClient, seen: Array<Seen>): HttpClient.HttpClient =>
  HttpClient.transform(client, (effect) =>
    Effect.suspend(() => {
      const index = seen.push("nothing") - 1
      return Effect.tapBoth(effect, {
        onSuccess: ({ status }) => Effect.sync(() => void (seen[index] = status)),
        onFailure: () => Effect.sync(() => void (seen[index] = "failed"))
      })
    }))

const Struct = Schema.Struct({ ok: Schema.Boolean })
const Numbers = Schema.Record({ key: Schema.String, value: Schema.Number })

const readers = {
  text: ApiClient.text,
  bytes: ApiClient.bytes,
  struct: ApiClient.json(Struct),
  record: ApiClient.json(Numbers)
} as const

type Response = HttpClientResponse.HttpClientResponse

/** One call: the response that is handed out, or nothing where it was read within. */
const callOf = (at: Case, options: ApiClient.Options<unknown>) => {
  const { entry, key, request } = at
  const call: Effect.Effect<Response | undefined, unknown, HttpClient.HttpClient> =
    entry === "layer"
      ? Effect.flatMap(HttpClient.HttpClient, (client) => client.execute(request)).pipe(
        Effect.provide(ApiClient.layer(options))
      )
      : Effect.flatMap(
        ApiClient.make(options),
        (client) =>
          entry === "make" || entry === "make.json"
            ? client.execute(request)
            : Effect.as(
              ApiClient.execute(client, request, readers[entry] as typeof ApiClient.text),
              undefined
            )
      )
  return key === undefined ? call : IdempotencyKey.provide(call, key)
}

/** What users do with a response that they were handed. */
const usesOf = ({ entry, id }: Case, response: Response): Effect.Effect<unknown, unknown> => {
  if (entry === "make.json") return response.json
  return [
    response.text,
    response.arrayBuffer,
    Stream.runDrain(response.stream),
    response.json,
    response.urlParamsBody
  ][id % 5]!
}

export interface Outcome {
  /** The tag, `response` or `success`. */
  readonly word: string
  readonly millis: number
  readonly problems: ReadonlyArray<string>
}

/** One of the secrets that are shown, if there are any. */
const leaksIn = (name: string, texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  shown(texts).slice(0, 1).map((text) => `a secret in ${name}: ${text}`)

const wordOf = (exit: Exit.Exit<unknown, unknown> | undefined, error: unknown): string => {
  if (exit === undefined) return "hang"
  if (exit._tag === "Success") return "success"
  return ApiError.isApiError(error) ? error._tag : "defect"
}

/** The `ApiError` of a failure, and whether it came in the form that the entry promises (E26). */
const errorIn = (at: Case, exit: Exit.Exit<unknown, unknown> | undefined): unknown => {
  if (exit?._tag !== "Failure" || exit.cause._tag !== "Fail") return undefined
  const { error } = exit.cause
  if (at.entry !== "layer") return error
  return error instanceof HttpClientError.RequestError && error.reason === "Transport"
    ? error.cause
    : undefined
}

const within = (millis: number | undefined, wait: Ending["wait"]): boolean => {
  if (wait === "anything") return true
  if (wait === undefined || millis === undefined) return wait === undefined && millis === undefined
  return millis >= wait[0] && millis <= wait[1]
}

const same = <A>(actual: A, expected: A | "anything"): boolean =>
  expected === "anything" || actual === expected

/** In which points an error is not what the table says. */
const differences = (error: ApiError.ApiError, ending: Ending): ReadonlyArray<string> => {
  const verdict = ApiError.verdict(error)
  const isTransient = verdict._tag === "Transient"
  const millis = error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter)
  return [
    ...(error._tag === ending.tag ? [] : [`tag ${error._tag}, not ${ending.tag}`]),
    ...(ending.code === undefined || error.code === ending.code || shown([ending.code]).length > 0
      ? []
      : [`code ${error.code}, not ${ending.code}`]),
    ...(same(verdict._tag.toLowerCase(), ending.verdict)
      ? []
      : [`verdict ${verdict._tag}, not ${ending.verdict}`]),
    ...(!isTransient || same(verdict.ambiguous, ending.ambiguous)
      ? []
      : [`ambiguous ${verdict.ambiguous}`]),
    ...(same(ApiError.mayHaveRun(error), ending.mayHaveRun) ? [] : ["mayHaveRun"]),
    ...(within(millis, ending.wait) ? [] : [`wait ${millis}, not ${String(ending.wait)}`])
  ]
}

/** E6, E8, E9, E31: what else stands on every error. */
const fieldProblems = (at: Case, error: ApiError.ApiError): ReadonlyArray<string> => {
  const issues = "issues" in error ? error.issues : []
  const texts = [
    error.message,
    error.code ?? "",
    error.requestId ?? "",
    ...issues.flatMap(({ message, path }) => [message, path]),
    ...Object.entries(error.headers ?? {}).flat()
  ]
  const unkept = Object.keys(error.headers ?? {}).filter((name) =>
    /^(x-echo|set-cookie|location|link|www-authenticate|content-disposition)$/.test(name)
  )
  return [
    ...(error.endpoint === "/v1/c/:id" ? [] : [`endpoint ${error.endpoint}`]),
    ...(error.method === at.request.method ? [] : [`method ${error.method}`]),
    ...texts.filter((text) => /[\p{Cc}\u2028\u2029\u202e]/u.test(text))
      .map((text) => `more than a line: ${JSON.stringify(text).slice(0, 80)}`),
    ...unkept.map((name) => `header ${name} is kept`)
  ]
}

/** E26: what code written against `HttpClient` gets from `layer`. */
const responseProblems = (at: Case, response: Response, seen: Seen): ReadonlyArray<string> => {
  const cookies = Object.keys(response.cookies.cookies).length
  const { request } = response
  const missing = Object.entries(at.request.headers).filter(([name, value]) =>
    request.headers[name] !== value
  )
  return [
    ...(response.status === seen ? [] : [`status ${response.status}, not ${seen}`]),
    ...(at.head !== "sound" || cookies === at.cookies ? [] : [`${cookies} cookies`]),
    ...(request.method === at.request.method ? [] : ["the method of its request"]),
    ...missing.map(([name]) => `its request has lost ${name}`)
  ]
}

const bodyProblems = (at: Case, bytes: Uint8Array): ReadonlyArray<string> => {
  const isKnown = arrivesWhole(at) === true && at.status !== 205 &&
    (at.status >= 300 || at.limits === "long")
  if (!isKnown) return []
  const expected = isBodiless(at) ? Buffer.alloc(0) : at.body.bytes
  return expected.equals(bytes)
    ? []
    : [`a body of ${bytes.length}, not ${expected.length} bytes`]
}

/** What the table has against an exit. */
const endingProblems = (at: Case, seen: ReadonlyArray<Seen>, word: string, error: unknown) => {
  const last = seen.at(-1) ?? "nothing"
  const wrong = seen.filter((one) => !mayBeSeen(at, one)).map((one) => `the wire saw ${one}`)
  const endings = endingsOf(at, last)
  if (word === "success") {
    const isFine = endings.some(({ tag }) => tag === "success") ||
      (at.entry === "layer" && typeof last === "number")
    return isFine ? wrong : [...wrong, "a success"]
  }
  if (!ApiError.isApiError(error)) return [...wrong, `no ApiError: ${String(error)}`]
  const all = endings.map((ending) => differences(error, ending))
  const best = all.toSorted((a, b) => a.length - b.length)[0] ?? []
  const requests = at.retries && at.honest && endings.length === 1 && endings[0]!.wait === undefined
    ? requestsOf(at, endings[0]!)
    : undefined
  const isCounted = requests === undefined || requests === seen.length
  return [
    ...wrong,
    ...best,
    ...fieldProblems(at, error),
    ...(isCounted ? [] : [`${seen.length} requests, not ${requests}`])
  ]
}

const optionsOf = (at: Case, bench: Bench, port: number): ApiClient.Options<unknown> => ({
  name: "fuzz",
  baseUrl: `http://127.0.0.1:${port}`,
  playbook: playbooks[at.playbook],
  pipeline: bench.pipelineFor(at),
  keyTimeToLive: "100000 days",
  ...secretOptions
})

/** What comes of using a response that was handed out. */
const problemsOfUse = (at: Case, response: Response, seen: Seen) =>
  Effect.gen(function*() {
    let bytes: Uint8Array | undefined
    let isRead = false
    const use = usesOf(at, response).pipe(
      Effect.map((value) => {
        if (value instanceof ArrayBuffer) bytes = new Uint8Array(value)
      }),
      Effect.ensuring(Effect.sync(() => void (isRead = true))),
      Effect.disconnect,
      Effect.timeout(mostMillis(at))
    )
    const judged = HttpClientResponse.filterStatusOk(response)
    const last = at.id % 2 === 0 ? use : Effect.zipRight(Effect.ignore(use), judged)
    const texts = yield* renderings(last)
    return [
      ...leaksIn(`the use of ${at.entry}`, texts),
      ...(isRead ? [] : ["reading hangs"]),
      ...(at.entry === "layer" ? responseProblems(at, response, seen) : []),
      ...(at.entry === "layer" && bytes !== undefined ? bodyProblems(at, bytes) : [])
    ]
  })

/** Runs a case. One that leaves its connection in disorder has a server of its own. */
export const run = (bench: Bench, at: Case): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    bench.scripts.set(at.id, at.script)
    const server = at.honest ? bench.server : yield* serveRaw(() => at.script)
    const seen: Array<Seen> = []
    const started = performance.now()
    let millis = 0
    let exit: Exit.Exit<Response | undefined, unknown> | undefined
    const call = callOf(at, optionsOf(at, bench, server.port)).pipe(
      Effect.provideService(HttpClient.HttpClient, watched(bench.clients[at.wire], seen)),
      Effect.onExit((end) =>
        Effect.sync(() => {
          exit = end
          millis = performance.now() - started
        })
      ),
      Effect.disconnect,
      Effect.timeout(mostMillis(at))
    )
    const texts = yield* renderings(call)
    const error = errorIn(at, exit)
    const word = wordOf(exit, error)
    const response = exit?._tag === "Success" ? exit.value : undefined
    // Without limits, a body that stalls may be waited for as long as one likes.
    const isUsed = response !== undefined && at.limits !== "none"
    const problems = [
      ...endingProblems(at, seen, word, error),
      ...leaksIn(`the end of ${at.entry}`, texts),
      ...(isUsed ? yield* problemsOfUse(at, response, seen.at(-1)!) : [])
    ]
    bench.scripts.delete(at.id)
    return {
      word: response === undefined ? word : `response ${response.status >= 300 ? "refused" : "ok"}`,
      millis,
      problems
    }
  }).pipe(Effect.scoped)
