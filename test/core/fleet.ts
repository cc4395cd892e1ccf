/** Batches of a few members to one store, for tests of the store's machine. */
import * as Machine from "../../src/core/fleetStore.js"
import type * as Wire from "../../src/core/fleetWire.js"

export const memberTimeout = 5000

/** A batch with one thing to say. */
export const batch = (
  member: string,
  sequence: number,
  commands: ReadonlyArray<Wire.Command>,
  changes: Partial<Wire.Batch> = {}
): Wire.Batch => ({
  v: 1,
  fleet: "fleet",
  member,
  label: member,
  incarnation: 1,
  sequence,
  memberTimeout,
  since: 0,
  knows: "",
  seed: `seed of ${member} ${sequence}`,
  last: false,
  circuits: [],
  commands,
  ...changes
})

/** A store and members that count their batches. */
export const fleet = () => {
  const state = Machine.make()
  const sequences = new Map<string, number>()
  const next = (member: string): number => {
    const sequence = (sequences.get(member) ?? 0) + 1
    sequences.set(member, sequence)
    return sequence
  }
  const reply = (at: number, asked: Wire.Batch): Wire.Reply => Machine.exchange(state, at, asked)[0]
  return {
    state,
    reply,
    /** Everything that a member has to say. */
    says: (at: number, member: string, ...commands: ReadonlyArray<Wire.Command>): Wire.Reply =>
      reply(at, batch(member, next(member), commands)),
    /** One command, and its answer. */
    asks: <Op extends Wire.Answer["op"]>(
      at: number,
      member: string,
      op: Op,
      command: Wire.Command
    ): Extract<Wire.Answer, { readonly op: Op }> => {
      const [answer] = reply(at, batch(member, next(member), [command])).answers
      if (answer?.op !== op) throw new Error(`expected ${op}, got ${answer?.op ?? "nothing"}`)
      return answer as Extract<Wire.Answer, { readonly op: Op }>
    }
  }
}

export const count = (
  calls: number,
  failures: number,
  changes: Partial<Wire.Count> = {}
): Wire.Count => ({
  op: "count",
  name: "circuit",
  epoch: 0,
  calls,
  failures,
  slow: 0,
  failing: calls > 0 && failures * 2 >= calls,
  slowing: false,
  ...changes
})

export const open = (epoch: number, openMillis = 1000, openings = 1): Wire.Open => ({
  op: "open",
  name: "circuit",
  epoch,
  openMillis,
  openings
})

export const trial = (
  epoch: number,
  id: string,
  changes: Partial<Wire.Trial> = {}
): Wire.Trial => ({
  op: "trial",
  name: "circuit",
  epoch,
  id,
  trials: 2,
  timeout: 1000,
  grace: 500,
  ...changes
})

export const trialEnd = (
  epoch: number,
  id: string,
  result: Wire.TrialEnd["result"],
  changes: Partial<Wire.TrialEnd> = {}
): Wire.TrialEnd => ({
  op: "trialEnd",
  name: "circuit",
  epoch,
  id,
  result,
  wait: 0,
  badLimit: 1,
  goodLimit: 2,
  openMillis: 1000,
  openings: 2,
  ...changes
})

export const tokens = (changes: Partial<Wire.Tokens> = {}): Wire.Tokens => ({
  op: "tokens",
  name: "line",
  spacing: 100,
  burst: 5,
  want: 1,
  first: 1,
  horizon: 0,
  patience: 0,
  back: 0,
  ...changes
})

export const permits = (held: number, need: number, concurrency = 4): Wire.Permits => ({
  op: "permits",
  name: "permits",
  concurrency,
  held,
  need
})
