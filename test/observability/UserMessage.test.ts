import { HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, FastCheck as fc, Option } from "effect"
import { ApiError, CircuitBreaker, Idempotency, Playbook, Rejection } from "effect-resilience"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as Polling from "effect-resilience/Polling"
import * as UserMessage from "effect-resilience/UserMessage"
import { runs } from "../support/runs.js"

const leak = "SENTINEL key sk_live_1 of host 10.0.0.1"

const common = { message: leak, code: leak, requestId: leak, endpoint: `/v1/${leak}` }

/** One of each, as an API would word it. */
const tenOfThem: ReadonlyArray<ApiError.ApiError> = [
  new ApiError.Auth({ ...common, status: 401 }),
  new ApiError.Policy({ ...common, status: 403 }),
  new ApiError.Validation({ ...common, status: 422, issues: [{ path: leak, message: leak }] }),
  new ApiError.NotFound({ ...common, status: 404 }),
  new ApiError.Conflict({ ...common, status: 409 }),
  new ApiError.Locked({ ...common, status: 423 }),
  new ApiError.RateLimit({ ...common, status: 429 }),
  new ApiError.Server({ ...common, status: 503 }),
  new ApiError.Timeout({ ...common, deadline: "attempt" }),
  new ApiError.Network({ ...common, sent: "unknown" })
]

const generic = "Something went wrong. Please try again later."

class QuotaSpent
  extends Rejection.Error("QuotaSpent")<{ readonly retryAfter: Duration.Duration }>
{}

const rateLimit = (retryAfter: Duration.DurationInput) =>
  new ApiError.RateLimit({ message: leak, retryAfter: Duration.decode(retryAfter) })

// -----------------------------------------------------------------------------
// which sentence
// -----------------------------------------------------------------------------

describe("UserMessage.of", () => {
  it("T8: a small set of sentences, one for each tag", () => {
    expect(tenOfThem.map((error) => [error._tag, UserMessage.of(error)])).toEqual([
      ["Auth", "We could not reach a partner service. Our team has been told."],
      ["Policy", "This is not available for your account."],
      ["Validation", "Some of the details are not valid. Please check them and try again."],
      ["NotFound", "We could not find what you asked for."],
      ["Conflict", "This has been submitted already."],
      ["Locked", "This is closed at the moment."],
      ["RateLimit", "We are a little busy. Please try again in a moment."],
      ["Server", "A partner service has a problem. Please try again in a moment."],
      ["Timeout", "This is taking longer than usual. Please try again in a moment."],
      ["Network", "We could not reach a partner service. Please try again in a moment."]
    ])
  })

  it("T8: in English, what the standard playbook says", () => {
    const said = tenOfThem.flatMap((error) =>
      error.status === undefined ? [] : [[
        error._tag,
        UserMessage.of(error),
        Playbook.lookup(Playbook.standard, error.status).userMessage
      ]]
    )
    expect(said.filter(([, ours, theirs]) => ours !== theirs)).toEqual([])
  })

  it.each(UserMessage.locales)("T8: never the API's raw text, in %s", (locale) => {
    const all = [
      ...tenOfThem,
      ...tenOfThem.map((error) => new Polling.SubmitFailed({ error })),
      ...tenOfThem.map((error) =>
        new Polling.PollFailed({ error, requestId: leak, lastStatus: Option.some(leak) })
      ),
      new Polling.PollingTimeout({
        requestId: leak,
        lastStatus: Option.some(leak),
        elapsed: Duration.zero
      }),
      new Error(leak),
      leak,
      { _tag: "Auth", message: leak },
      Cause.die(leak),
      rateLimit("5 minutes")
    ]
    expect(
      all.map((error) => UserMessage.of(error, { locale })).filter((text) =>
        /SENTINEL|sk_live|10\.0/.test(text)
      )
    )
      .toEqual([])
  })

  it("T8: anything unknown is one generic sentence, and it never throws", () => {
    fc.assert(
      fc.property(fc.anything(), fc.string(), (thing, locale) => {
        const text = UserMessage.of(thing, { locale })
        return text.length > 0 && UserMessage.kindOf(thing) === "Other"
      }),
      { numRuns: runs(500) }
    )
    expect(
      [undefined, null, "text", new Error("x"), {
        _tag: "RateLimit",
        retryAfter: Duration.seconds(1)
      }].map((error) => UserMessage.of(error))
    ).toEqual(Array(5).fill(generic))
  })

  it("T8: rejections of any guard, by their brand", () => {
    expect([
      UserMessage.of(
        new CircuitBreaker.CircuitOpen({ key: leak, retryAfter: Duration.seconds(30) })
      ),
      UserMessage.of(new CircuitBreaker.CircuitOpen({ key: leak, retryAfter: Duration.infinity })),
      UserMessage.of(new QuotaSpent({ retryAfter: Duration.minutes(5) }))
    ]).toEqual([
      "This is not available at the moment. Please try again in 30 seconds.",
      "This is not available at the moment. Please try again in a moment.",
      "This is not available at the moment. Please try again in 5 minutes."
    ])
  })

  it("T8: idempotency errors", () => {
    const retryAfter = Duration.seconds(8)
    expect([
      UserMessage.of(new Idempotency.InFlight({ retryAfter })),
      UserMessage.of(new Idempotency.UnknownOutcome()),
      UserMessage.of(new Idempotency.StoreUnavailable({ retryAfter })),
      UserMessage.of(new Idempotency.Mismatch()),
      UserMessage.of(new Idempotency.CorruptRecord()),
      UserMessage.of(new Idempotency.ResultUnavailable()),
      UserMessage.of(new Idempotency.FingerprintError({ path: leak, reason: leak }))
    ]).toEqual([
      "We are working on this already. Please try again in 8 seconds.",
      "We are not sure whether this went through. Please check before you try again.",
      generic,
      generic,
      generic,
      generic,
      generic
    ])
  })

  it("T8: a conflict with a call that is still running is not the same as one with a finished one", () => {
    const conflict = (inFlight: boolean) =>
      new ApiError.Conflict({
        message: leak,
        status: 409,
        inFlight,
        retryAfter: Duration.seconds(1)
      })
    expect([UserMessage.of(conflict(true)), UserMessage.of(conflict(false))]).toEqual([
      "We are working on this already. Please try again in 1 second.",
      "This has been submitted already."
    ])
  })

  it("T8: polling errors are worded by what is behind them, and a timeout does not ask to submit again", () => {
    const [auth] = tenOfThem
    expect([
      UserMessage.of(new Polling.SubmitFailed({ error: auth })),
      UserMessage.of(
        new Polling.PollFailed({
          error: rateLimit("5 seconds"),
          requestId: "r",
          lastStatus: Option.none()
        })
      ),
      UserMessage.of(
        new Polling.PollingTimeout({
          requestId: "r",
          lastStatus: Option.none(),
          elapsed: Duration.zero
        })
      )
    ]).toEqual([
      "We could not reach a partner service. Our team has been told.",
      "We are a little busy. Please try again in 5 seconds.",
      "This is taking longer than usual. We are still working on it."
    ])
  })

  it("T8: errors of the platform's client", () => {
    const request = HttpClientRequest.get(`http://${encodeURIComponent(leak)}`)
    const response = HttpClientResponse.fromWeb(request, new Response(leak, { status: 404 }))
    const transport = (cause: unknown) =>
      new HttpClientError.RequestError({ request, reason: "Transport", cause })
    expect([
      UserMessage.kindOf(
        new HttpClientError.ResponseError({ request, response, reason: "StatusCode" })
      ),
      UserMessage.kindOf(
        new HttpClientError.ResponseError({ request, response, reason: "Decode" })
      ),
      UserMessage.kindOf(transport(new Error(leak))),
      UserMessage.kindOf(transport(rateLimit("1 second"))),
      UserMessage.kindOf(new HttpClientError.RequestError({ request, reason: "InvalidUrl" })),
      UserMessage.kindOf(new Cause.TimeoutException(leak))
    ]).toEqual(["NotFound", "Other", "Network", "RateLimit", "Other", "Timeout"])
  })

  it("T8: a Cause, and what a promise is rejected with", async () => {
    const error = rateLimit("5 seconds")
    const rejected: unknown = await Effect.runPromise(Effect.fail(error)).catch((error: unknown) =>
      error
    )
    expect([
      UserMessage.of(Cause.fail(error)),
      UserMessage.of(Cause.sequential(Cause.die(leak), Cause.fail(error))),
      UserMessage.of(rejected),
      UserMessage.of(Cause.empty)
    ]).toEqual([
      ...Array<string>(3).fill("We are a little busy. Please try again in 5 seconds."),
      generic
    ])
  })
})

// -----------------------------------------------------------------------------
// how long
// -----------------------------------------------------------------------------

describe("UserMessage.of: how long to wait", () => {
  const waits: ReadonlyArray<readonly [Duration.DurationInput, string]> = [
    ["1 millis", "in 1 second."],
    ["1 second", "in 1 second."],
    ["1001 millis", "in 2 seconds."],
    ["60 seconds", "in 60 seconds."],
    ["2 minutes", "in 120 seconds."],
    ["121 seconds", "in 3 minutes."],
    ["2 hours", "in 120 minutes."],
    ["121 minutes", "in 3 hours."],
    ["3 days", "in 3 days."],
    [0, "in a moment."],
    ["400 days", "in a moment."],
    [Duration.infinity, "in a moment."]
  ]

  it.each(waits)("T8: %s is said as \"%s\", never too early", (retryAfter, text) => {
    expect(UserMessage.of(rateLimit(retryAfter))).toBe(
      `We are a little busy. Please try again ${text}`
    )
  })

  it("T8: a sentence that does not speak of trying again gets one that does", () => {
    const locked = new ApiError.Locked({
      message: leak,
      status: 423,
      retryAfter: Duration.seconds(20)
    })
    expect(UserMessage.of(locked)).toBe(
      "This is closed at the moment. Please try again in 20 seconds."
    )
  })

  it("T8: where another try is pointless nobody is told when to make it", () => {
    const never = new ApiError.Server({
      message: leak,
      status: 501,
      retryAfter: Duration.seconds(20)
    })
    expect(UserMessage.of(never)).toBe(
      "A partner service has a problem. Please try again in a moment."
    )
  })

  it("T8: in every locale the sentence of a rate limit names the time instead of a moment", () => {
    const texts = UserMessage.locales.map((locale) =>
      UserMessage.of(rateLimit("60 seconds"), { locale })
    )
    expect(texts.map((text) => [/60/.test(text), text.split(/[.!?]/).length])).toEqual(
      UserMessage.locales.map(() => [true, 3])
    )
  })
})

// -----------------------------------------------------------------------------
// languages and overrides
// -----------------------------------------------------------------------------

describe("UserMessage.of: locale", () => {
  const notFound = new ApiError.NotFound({ message: leak, status: 404 })
  const german = "Wir konnten das Gesuchte nicht finden."
  const english = "We could not find what you asked for."

  it.each<readonly [string | ReadonlyArray<string>, string]>([
    ["de", german],
    ["de-AT", german],
    ["de-Latn-AT", german],
    ["DE_at", german],
    ["en-GB", english],
    ["ja", english],
    ["", english],
    ["not a locale!", english],
    ["__proto__", english],
    ["constructor", english],
    [["ja", "de-CH"], german],
    [[], english]
  ])("T8: %j", (locale, text) => {
    expect(UserMessage.of(notFound, { locale })).toBe(text)
  })

  it("T8: every locale has its own sentence for every kind", () => {
    const texts = UserMessage.locales.map((locale) =>
      tenOfThem.map((error) => UserMessage.of(error, { locale }))
    )
    expect(new Set(texts.flat()).size).toBe(UserMessage.locales.length * tenOfThem.length)
  })
})

describe("UserMessage.of: per API", () => {
  const auth = new ApiError.Auth({ message: leak, status: 401 })
  const playbook = WidgetSession.playbook

  it("T8: the playbook's sentence for the status", () => {
    expect(UserMessage.of(auth, { playbook })).toBe(
      "The widget could not be opened. Our team has been told."
    )
  })

  it("T8: the playbook is in English unless it says otherwise: other languages keep ours", () => {
    expect([
      UserMessage.of(auth, { playbook, locale: "de" }),
      UserMessage.of(auth, { playbook, locale: "ja" }),
      UserMessage.of(auth, { playbook, locale: "de", playbookLocale: "de" })
    ]).toEqual([
      "Wir konnten einen Partnerdienst nicht erreichen. Unser Team ist informiert.",
      "The widget could not be opened. Our team has been told.",
      "The widget could not be opened. Our team has been told."
    ])
  })

  it("T8: a row whose tag the body has corrected does not speak", () => {
    const corrected = new ApiError.Auth({ message: leak, status: 403 })
    expect(UserMessage.of(corrected, { playbook })).toBe(
      "The widget could not be opened. Our team has been told."
    )
  })

  it("T8: what a code says goes before what its status says", () => {
    const coded = Playbook.extend(playbook, {
      byCode: { key_expired: { userMessage: "Please sign in again." } }
    })
    const error = new ApiError.Auth({ message: leak, status: 401, code: "key_expired" })
    expect(UserMessage.of(error, { playbook: coded })).toBe("Please sign in again.")
  })

  it("T8: a code of the wire that is a name of Object.prototype is no code", () => {
    const error = new ApiError.Auth({ message: leak, status: 401, code: "constructor" })
    expect(UserMessage.of(error, { playbook })).toBe(
      "The widget could not be opened. Our team has been told."
    )
  })

  it("T8: a catalogue goes before all, by status, then by kind, in its language only", () => {
    const catalogue: UserMessage.Catalogue = {
      en: { 401: "Four-oh-one.", Auth: "No entry.", Other: "Oops." },
      "pt-BR": { Auth: "Sem acesso.", againIn: "Tente de novo em {wait}.", RateLimit: "Ocupado." }
    }
    const options = { catalogue, playbook }
    expect([
      UserMessage.of(auth, options),
      UserMessage.of(new ApiError.Auth({ message: leak, status: 407 }), options),
      UserMessage.of(auth, { ...options, locale: "pt-br" }),
      UserMessage.of(rateLimit("60 seconds"), { ...options, locale: "pt-BR" }),
      UserMessage.of(auth, { ...options, locale: "de" }),
      UserMessage.of("?", options)
    ]).toEqual([
      "Four-oh-one.",
      "No entry.",
      "Sem acesso.",
      "Ocupado. Tente de novo em 60 segundos.",
      "Wir konnten einen Partnerdienst nicht erreichen. Unser Team ist informiert.",
      "Oops."
    ])
  })

  it("T8: an empty sentence is none", () => {
    expect(UserMessage.of(auth, { catalogue: { en: { Auth: " " } } })).toBe(
      "We could not reach a partner service. Our team has been told."
    )
  })
})
