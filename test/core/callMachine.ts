/** A machine of calls with a host that only writes down what it is told. */
import * as Call from "../../src/core/call.js"

/** Stages without any guard, and these. */
export const stagesOf = (changes: Partial<Call.Stages> = {}): Call.Stages => ({
  totalMillis: Infinity,
  attemptMillis: Infinity,
  retry: undefined,
  budget: undefined,
  hedge: undefined,
  circuit: undefined,
  throttle: undefined,
  limiter: undefined,
  bulkhead: undefined,
  concurrency: undefined,
  cooldown: undefined,
  inCommon: undefined,
  meanings: [],
  ...changes
})

/** A host whose timers are numbered from 0, and all that it was told. */
export const hostOf = () => {
  const told: Array<ReadonlyArray<unknown>> = []
  const clock = { nanos: 0 }
  let timers = 0
  const arm = (name: string) => (_: unknown, endNanos: number): number => {
    told.push([name, endNanos])
    return timers++
  }
  const host: Call.Host = {
    clock,
    draw: () => 0.5,
    armCall: arm("armCall"),
    armLine: arm("armLine"),
    armLimit: arm("armLimit"),
    disarmLimit: ({ limit }) => void told.push(["disarmLimit", limit]),
    send: (attempt) => void told.push(["send", attempt.attempt]),
    abandon: (attempt) => void told.push(["abandon", attempt.attempt]),
    attemptEnded: ({ code }) => void told.push(["attemptEnded", code]),
    callEnded: ({ code, stop }) => void told.push(["callEnded", code, stop]),
    transition: (_, from, to, atMillis) => void told.push([from, to, atMillis])
  }
  return { host, clock, told }
}

/** A call of a new process. */
export const callOf = (stages: Call.Stages, nowNanos = 0): Call.Call => {
  const process = Call.process(stages, Call.shared(stages, 0, 0, nowNanos), 0, nowNanos)
  return new Call.Call(0, process, nowNanos, undefined)
}

/** What an ending means that nothing heeds. */
export const nothing: Call.Meaning = {
  retry: "Terminal",
  isAmbiguous: false,
  circuit: "Ignored",
  throttle: "Ignored",
  concurrency: "Ignored",
  cooldown: "nothing",
  allowsHedge: true,
  isAnswer: false,
  heeds: { retry: false, circuit: false, cooldown: false, hedge: false }
}

/** An answer that another try may mend, and a time limit that none can. */
export const failure = 503
export const meanings: Array<Call.Meaning | undefined> = [nothing]
meanings[Call.endings.interrupted] = nothing
meanings[failure] = { ...nothing, retry: "Transient" }
meanings[Call.endings.queueTimeout] = nothing
meanings[Call.endings.totalTimeout] = nothing
meanings[Call.endings.attemptTimeout] = nothing

/** Three retries, each after so long. */
export const retryAfter = (delayMillis: number): Call.Stages["retry"] => ({
  operation: "Read",
  backoff: { _tag: "Constant", delayMillis, jitter: { _tag: "None" } },
  retries: 3,
  withinMillis: Infinity,
  retryAfterCapMillis: 0,
  beyondCap: "clamp",
  waitForRejections: false
})

/** A call that has begun, its requests, and what its host was told. */
export const begun = (changes: Partial<Call.Stages>) => {
  const stages = stagesOf({ meanings, ...changes })
  const { clock, host, told } = hostOf()
  const sent: Array<Call.Attempt> = []
  const send = (attempt: Call.Attempt) => {
    sent.push(attempt)
    host.send(attempt)
  }
  const machine = new Call.Machine(stages, { ...host, send })
  const call = callOf(stages)
  machine.begin(call)
  const [attempt] = sent
  if (attempt === undefined) throw new Error("the first attempt is sent at once")
  return { attempt, call, clock, machine, sent, told }
}
