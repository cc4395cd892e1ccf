/**
 * The trials of a half-open circuit: a few calls that test whether the upstream works again.
 *
 * Finished successes and running trials together never exceed the number of trials. A place is
 * never lost: whatever becomes of a trial, its place is free again at a time that is known when it
 * is taken. Times are monotonic milliseconds.
 */

/**
 * How trials decide: `Consecutive` closes after that many successes and opens at the first bad one;
 * `Rate` opens when at least `threshold` of them were bad.
 *
 * @since 0.1.0
 */
export type Rules =
  | { readonly _tag: "Consecutive"; readonly trials: number }
  | { readonly _tag: "Rate"; readonly trials: number; readonly threshold: number }

/** A slot: held by a running trial, or kept for a trial that was told to wait. */
interface Slot {
  readonly trial: number
  readonly untilMillis: number
}

/**
 * The results of the trials so far, and the slots that are held.
 *
 * @since 0.1.0
 */
export interface Trials {
  readonly good: number
  readonly bad: number
  readonly slots: ReadonlyArray<Slot>
  readonly nextTrial: number
}

/**
 * No trial yet.
 *
 * @since 0.1.0
 */
export const none: Trials = { good: 0, bad: 0, slots: [], nextTrial: 0 }

/** Marks the slot of a trial that was told to wait: no running trial holds it. */
const noTrial = -1

/**
 * The trials without those that run: what they will say no longer counts. A place that was told to
 * wait goes on waiting.
 *
 * @since 0.1.0
 */
export const abandoned = (trials: Trials): Trials => ({
  ...trials,
  slots: trials.slots.filter(({ trial }) => trial === noTrial)
})

const held = ({ slots }: Trials, nowMillis: number): ReadonlyArray<Slot> =>
  slots.filter(({ untilMillis }) => untilMillis > nowMillis)

/**
 * Tests whether any trial holds a slot. O(trials).
 *
 * @since 0.1.0
 */
export const areHeld = (trials: Trials, nowMillis: number): boolean =>
  held(trials, nowMillis).length > 0

/**
 * Takes a slot for another trial until `untilMillis`, or says how long until one is free at the
 * latest. O(trials).
 *
 * @since 0.1.0
 */
export const take = (
  rules: Rules,
  trials: Trials,
  untilMillis: number,
  nowMillis: number
): { readonly trial: number; readonly trials: Trials } | { readonly freeInMillis: number } => {
  const slots = held(trials, nowMillis)
  if (trials.good + trials.bad + slots.length >= rules.trials) {
    return { freeInMillis: Math.min(...slots.map(({ untilMillis }) => untilMillis)) - nowMillis }
  }
  const trial = trials.nextTrial
  return {
    trial,
    trials: { ...trials, slots: [...slots, { trial, untilMillis }], nextTrial: trial + 1 }
  }
}

/**
 * How many bad trials open the circuit again. A share such as 0.1 * 30 is not exact.
 *
 * @since 0.1.0
 */
export const badLimit = (rules: Rules): number =>
  rules._tag === "Consecutive" ? 1 : Math.max(1, Math.ceil(rules.threshold * rules.trials - 1e-9))

/**
 * How many good trials close it: with those that are left, too few could go badly.
 *
 * @since 0.1.0
 */
export const goodLimit = (rules: Rules): number => rules.trials - badLimit(rules) + 1

/**
 * What a trial showed: it went well, it went badly, or nothing (`waitMillis`: its place stays taken
 * for that long).
 *
 * @since 0.1.0
 */
export type Finding = "good" | "bad" | { readonly waitMillis: number }

/**
 * Applies the result of a trial: the circuit opens or closes as soon as that is certain. A trial
 * that has lost its slot changes nothing, whether or not another has it. O(trials).
 *
 * @since 0.1.0
 */
export const end = (
  rules: Rules,
  trials: Trials,
  trial: number,
  finding: Finding,
  nowMillis: number
): Trials | "open" | "close" => {
  const places = held(trials, nowMillis)
  const slots = places.filter((slot) => slot.trial !== trial)
  if (slots.length === places.length) return trials
  if (typeof finding === "object") {
    const waiting = finding.waitMillis > 0
      ? [{ trial: noTrial, untilMillis: nowMillis + finding.waitMillis }]
      : []
    return { ...trials, slots: [...slots, ...waiting] }
  }
  const bad = trials.bad + (finding === "bad" ? 1 : 0)
  const good = trials.good + (finding === "good" ? 1 : 0)
  if (bad >= badLimit(rules)) return "open"
  // All trials that are left could go badly and would not open it.
  if (good >= goodLimit(rules)) return "close"
  return { ...trials, good, bad, slots }
}
