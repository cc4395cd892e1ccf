/** The words in which stages describe themselves. */
import * as Duration from "effect/Duration"
import type * as Backoff from "../../retry/Backoff.js"

export const time = (duration: Duration.DurationInput): string => {
  const decoded = Duration.decode(duration)
  return Duration.isFinite(decoded) ? Duration.format(decoded) : "for ever"
}

export const percent = (share: number): string => `${Number((share * 100).toFixed(2))} %`

export const counted = (count: number, one: string, many: string): string =>
  `${count} ${count === 1 ? one : many}`

/** The most that a call waits. */
export const waitSays = (wait: Duration.DurationInput): string =>
  Duration.isFinite(Duration.decode(wait)) ? `at most ${time(wait)}` : "as long as it takes"

/** Of an instance that was made elsewhere. */
export const shared = "as it was made, shared with others"

const jitters: Readonly<Record<Backoff.Jitter["_tag"], string>> = {
  None: "no jitter",
  Full: "full jitter",
  Equal: "equal jitter",
  Additive: "additive jitter"
}

export const backoffSays = (backoff: Backoff.Backoff): string => {
  switch (backoff._tag) {
    case "Constant":
      return `${time(backoff.delay)} apart, ${jitters[backoff.jitter._tag]}`
    case "Linear":
      return `linear from ${time(backoff.base)}, at most ${time(backoff.cap)}, ${
        jitters[backoff.jitter._tag]
      }`
    case "Exponential":
      return `exponential from ${time(backoff.base)}, times ${backoff.factor}, at most ${
        time(backoff.cap)
      }, ${jitters[backoff.jitter._tag]}`
    case "Decorrelated":
      return `decorrelated from ${time(backoff.base)}, at most ${time(backoff.cap)}`
  }
}
