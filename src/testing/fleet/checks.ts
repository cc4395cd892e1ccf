/** Checks of a fleet's store that a model cannot make: of time that passes, crowds and pages. */
import * as Effect from "effect/Effect"
import type * as Wire from "../../core/fleetWire.js"
import { membersPage, pageSize } from "../../core/fleetWire.js"
import type { StoreError } from "../../fleet/FleetStore.js"
import type { Talk, Unlawful } from "./talk.js"
import { now, should, wait } from "./talk.js"

/** A check of one fleet. `unit`: a span that is long beside a round trip, in milliseconds. */
type Check = (talk: Talk, unit: number) => Effect.Effect<void, StoreError | Unlawful>

const open = (talk: Talk, openMillis: number, epoch = 0): Wire.Open => ({
  op: "open",
  name: talk.named("circuit"),
  epoch,
  openMillis,
  openings: 1
})

const trial = (talk: Talk, id: string, changes: Partial<Wire.Trial> = {}): Wire.Trial => ({
  op: "trial",
  name: talk.named("circuit"),
  epoch: 1,
  id,
  trials: 1,
  timeout: 1000,
  grace: 0,
  ...changes
})

const trialEnd = (
  talk: Talk,
  id: string,
  changes: Partial<Wire.TrialEnd> = {}
): Wire.TrialEnd => ({
  op: "trialEnd",
  name: talk.named("circuit"),
  epoch: 1,
  id,
  result: "good",
  wait: 0,
  badLimit: 1,
  goodLimit: 1,
  openMillis: 0,
  openings: 2,
  ...changes
})

const count = (talk: Talk, calls: number): Wire.Count => ({
  op: "count",
  name: talk.named("circuit"),
  epoch: 0,
  calls,
  failures: calls,
  slow: 0,
  failing: calls > 0,
  slowing: false
})

const permits = (talk: Talk, need: number, concurrency: number): Wire.Permits => ({
  op: "permits",
  name: talk.named("bulkhead"),
  concurrency,
  held: 0,
  need
})

const tokens = (talk: Talk, changes: Partial<Wire.Tokens>): Wire.Tokens => ({
  op: "tokens",
  name: talk.named("limiter"),
  spacing: 1000,
  burst: 1,
  want: 1,
  first: 1,
  horizon: 0,
  patience: 0,
  back: 0,
  ...changes
})

const trials: Check = (talk, unit) =>
  Effect.gen(function*() {
    yield* talk.asks("done", "a", open(talk, unit))
    const early = yield* talk.asks("lease", "a", trial(talk, "x"))
    yield* should("an open circuit should lease no trial before its end", !early.granted)
    yield* should(
      "a refused trial should say how long the circuit is open yet",
      early.left > 0 && early.left <= unit
    )
    yield* wait(unit * 1.1)
    const first = yield* talk.asks("lease", "a", trial(talk, "x", { timeout: unit }))
    yield* should("a half-open circuit should lease a trial", first.granted)
    const second = yield* talk.asks("lease", "b", trial(talk, "y"))
    yield* should("no more trials should be leased than there are", !second.granted)
    yield* wait(unit * 1.1)
    const third = yield* talk.asks("lease", "b", trial(talk, "y"))
    yield* should("a trial's place should be free after its timeout", third.granted)
    const late = yield* talk.asks("done", "a", trialEnd(talk, "x", { result: "bad" }))
    yield* should("a trial that has lost its place should change nothing", late.epoch === 1)
    const last = yield* talk.asks("done", "b", trialEnd(talk, "y"))
    yield* should("a trial that is good should close the circuit", last.done && last.epoch === 2)
  })

const grace: Check = (talk, unit) =>
  Effect.gen(function*() {
    yield* talk.says("a", [open(talk, 0), trial(talk, "x")])
    yield* talk.says("a", [trialEnd(talk, "x", { result: "bad" })])
    const again = { epoch: 2, grace: 2 * unit }
    const refused = yield* talk.asks("lease", "a", trial(talk, "y", again))
    yield* should("who failed a trial should get none in the grace", !refused.granted)
    const other = yield* talk.asks("lease", "b", trial(talk, "z", again))
    yield* should("others should get a trial in the grace", other.granted)
    const free = { epoch: 2, result: "free", wait: unit } as const
    yield* talk.says("b", [trialEnd(talk, "z", free)])
    const kept = yield* talk.asks("lease", "c", trial(talk, "w", again))
    yield* should("the place of a free trial should be taken for its wait", !kept.granted)
    yield* wait(2.2 * unit)
    const granted = yield* talk.asks("lease", "a", trial(talk, "y", again))
    yield* should("who failed a trial should get one after the grace", granted.granted)
  })

const silence: Check = (talk, unit) =>
  Effect.gen(function*() {
    const said = talk.batch("a", [count(talk, 5), permits(talk, 2, 2)], { memberTimeout: unit })
    yield* talk.store.exchange(said)
    const before = yield* talk.asks("count", "b", count(talk, 1))
    yield* should("the sums should hold what living members said", before.calls === 6)
    const none = yield* talk.asks("permits", "b", permits(talk, 1, 2))
    yield* should("permits that a living member holds should not be granted", none.granted === 0)
    yield* wait(unit * 1.2)
    const late = yield* talk.store.exchange(said)
    yield* should("a silent member's batch should stay stale", late.stale)
    const after = yield* talk.asks("count", "b", count(talk, 1))
    yield* should(
      "what a silent member said should lapse with its timeout",
      after.calls === 1 && after.heard === 1 && after.members === 1 && after.failing === 1
    )
    const some = yield* talk.asks("permits", "b", permits(talk, 2, 2))
    yield* should("permits of a silent member should come back", some.granted === 2)
    const { members } = yield* talk.says("b", [])
    yield* should("a silent member should not count as living", members === 1)
  })

const rate: Check = (talk, unit) =>
  Effect.gen(function*() {
    const sentMillis = now()
    const burst = yield* talk.asks(
      "tokens",
      "a",
      tokens(talk, { spacing: unit, burst: 3, want: 9 })
    )
    yield* should("a rested line should lease its burst", burst.granted === 3)
    let leased = burst.granted
    do {
      const more = yield* talk.asks(
        "tokens",
        "b",
        tokens(talk, { spacing: unit, burst: 3, want: 9 })
      )
      leased += more.granted
      yield* should(
        "no more tokens than burst and rate allow should be leased",
        leased <= 3 + (now() - sentMillis) / unit + 1e-3
      )
      yield* wait(unit / 5)
    } while (now() < sentMillis + 3.5 * unit)
    yield* should("tokens should come due at the rate", leased >= 5)
    const all = { spacing: unit, burst: 3, want: 0, back: 100 }
    yield* talk.says("a", [tokens(talk, all)])
    const given = yield* talk.asks("tokens", "a", tokens(talk, { ...all, want: 99, back: 0 }))
    yield* should("tokens that come back should fill the burst and no more", given.granted === 3)
  })

const held: Check = (talk, unit) =>
  Effect.gen(function*() {
    const name = talk.named("host")
    const probe = (id: string) => ({ op: "probe", name, id, timeout: unit }) as const
    yield* talk.asks("done", "a", { op: "hold", name, epoch: 0, left: unit })
    yield* talk.asks("done", "b", { op: "hold", name, epoch: 0, left: unit / 10 })
    const early = yield* talk.asks("lease", "b", probe("x"))
    yield* should("the end furthest off should count", !early.granted && early.left > unit / 2)
    yield* wait(unit * 1.2)
    const first = yield* talk.asks("lease", "b", probe("x"))
    yield* should("one trial should follow a cooldown", first.granted)
    const second = yield* talk.asks("lease", "a", probe("y"))
    yield* should("one trial only should follow a cooldown", !second.granted)
    yield* talk.says("b", [{ op: "probeEnd", name, id: "x", serves: true }])
    const [view] = yield* talk.views()
    yield* should("the trial's success should clear all", view?.kind === "cooldown" && !view.held)
  })

const isolation: Check = (talk, unit) =>
  Effect.gen(function*() {
    const name = talk.named("orders")
    yield* talk.says("a", [{ op: "isolate", name, epoch: 0, id: "x", hold: unit }])
    const [before] = yield* talk.views()
    yield* should(
      "an isolation should be told with its end",
      before?.kind === "order" && before.isolated > 0 && before.isolated <= unit
    )
    yield* wait(unit * 1.2)
    const [after] = yield* talk.views()
    yield* should(
      "an isolation should end when it is not said again",
      after?.kind === "order" && after.isolated === 0
    )
  })

const crowdSize = 20

const crowd: Check = (talk) =>
  Effect.gen(function*() {
    const all = (commands: (index: number) => ReadonlyArray<Wire.Command>) =>
      Effect.map(
        Effect.forEach(
          Array.from({ length: crowdSize }, (_, index) => index),
          (index) => talk.says(`m${index}`, commands(index)),
          { concurrency: "unbounded" }
        ),
        (replies) => replies.flatMap(({ answers }) => answers)
      )
    const opened = yield* all(() => [open(talk, 0)])
    yield* should(
      "of openings at the same time exactly one should be done",
      opened.filter((answer) => answer?.op === "done" && answer.done).length === 1
    )
    const leased = yield* all((index) => [trial(talk, `t${index}`, { trials: 3 })])
    yield* should(
      "of trials at the same time as many should be leased as there are",
      leased.filter((answer) => answer?.op === "lease" && answer.granted).length === 3
    )
    const granted = yield* all(() => [permits(talk, 2, 7)])
    yield* should(
      "permits at the same time should fit the concurrency",
      granted.reduce((sum, answer) => sum + (answer?.op === "permits" ? answer.granted : 0), 0) ===
        7
    )
    const taken = yield* all(() => [tokens(talk, { burst: 9, spacing: 3_600_000 })])
    yield* should(
      "tokens at the same time should fit the burst",
      taken.reduce((sum, answer) => sum + (answer?.op === "tokens" ? answer.granted : 0), 0) === 9
    )
  })

const pages: Check = (talk) =>
  Effect.gen(function*() {
    const names = Array.from({ length: pageSize + 5 }, (_, n) => talk.named(`c${n}`))
    const opens = names.map((name) => ({ ...open(talk, 1000), name }))
    const first = yield* talk.says("a", opens.slice(0, pageSize))
    yield* should("200 commands should be answered", first.answers.length === pageSize)
    yield* talk.says("a", opens.slice(pageSize))
    const seen: Array<string> = []
    let asked = { since: 0, knows: "" }
    for (let page = 0; page < 2; page++) {
      const { changes, more, seed, version } = yield* talk.says("b", [], asked)
      yield* should(`page ${page + 1} of 2 should say whether there is more`, more === (page === 0))
      yield* should("a reply should tell 200 changes at most", changes.length <= pageSize)
      seen.push(...changes.map(({ name }) => name))
      asked = { since: version, knows: seed }
    }
    yield* should(
      "the pages should tell each change once, oldest first",
      seen.length === names.length && names.every((name, index) => seen[index] === name)
    )
    const { changes } = yield* talk.says("b", [], asked)
    yield* should("what is known should not be told again", changes.length === 0)
    const lost = yield* talk.says("b", [], { since: asked.since, knows: "another" })
    yield* should("who knows another seed should hear all", lost.changes.length === pageSize)
    const ids = Array.from({ length: membersPage + 1 }, (_, n) => `m${n}`)
    yield* Effect.forEach(ids, (id) => talk.says(id, []), { concurrency: 10 })
    yield* talk.says("m7", [], { last: true })
    const listed: Array<string> = []
    let after = ""
    for (let page = 0; page < 3 && (page === 0 || after !== ""); page++) {
      const { list, next } = yield* talk.asks("members", "a", { op: "members", after })
      yield* should("a page should list 100 members at most", list.length <= membersPage)
      listed.push(...list.map(([id]) => id))
      after = next
    }
    const expected = ["a", "b", ...ids].filter((id) => id !== "m7").sort()
    yield* should(
      "the pages should list each living member once",
      listed.length === expected.length && listed.sort().every((id, at) => id === expected[at])
    )
  })

const foreign: Check = (talk) =>
  Effect.gen(function*() {
    const newer = { op: "a command of a newer member", name: talk.named("x") }
    const { answers } = yield* talk.says("a", [newer as unknown as Wire.Command, open(talk, 1000)])
    yield* should(
      "a command that cannot be read should have null for an answer, and others theirs",
      answers.length === 2 && answers[0] === null && answers[1]?.op === "done"
    )
  })

const names: Check = (talk) =>
  should(
    "a name should be the same for the same text, and another for another",
    talk.named("a") === talk.named("a") && talk.named("a") !== talk.named("b") &&
      talk.named("a") !== ""
  )

/** Each runs on a fleet of its own. */
export const checks: ReadonlyArray<Check> = [names, foreign, crowd, pages]

/** Checks of what ends by itself. Where the program stalls for a unit, they find too much over. */
export const timed: ReadonlyArray<Check> = [trials, grace, silence, rate, held, isolation]

/** Two fleets that use the same names. */
export const apart = (
  one: Talk,
  other: Talk
): Effect.Effect<void, StoreError | Unlawful> =>
  Effect.gen(function*() {
    yield* one.says("a", [open(one, 1000), count(one, 0)])
    const { changes, members } = yield* other.says("b", [])
    yield* should(
      "fleets should see nothing of each other",
      changes.length === 0 && members === 1
    )
  })
