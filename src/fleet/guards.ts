/** The shared guards of one member: one for each kind and name. */
import * as Effect from "effect/Effect"
import type { Kind, Runtime } from "../policies/fleet.js"
import { behindOf, withBehind } from "../runtime/instances.js"
import * as Validate from "../runtime/validate.js"
import { bulkhead } from "./bulkhead.js"
import { cooldown } from "./cooldown.js"
import { rateLimiter } from "./limiter.js"
import type { Member } from "./member.js"
import type { Plan } from "./plan.js"
import { breaker } from "./sharedBreaker.js"

type Planner = (member: Member, options: never) => Plan

const planners: Record<Kind<never, unknown>["name"], Planner> = {
  breaker,
  bulkhead,
  cooldown,
  rateLimiter
}

/** What a guard is made with stands behind it, and the name that the fleet shares it under. */
const sharedAs = (name: string, guard: object, options: object): object =>
  withBehind(guard, { options, ...behindOf(guard), sharedAs: name })

/** What guards ask of a member. */
export const guardsOf = (member: Member): Runtime => {
  const made = new Map<string, { readonly numbers: string; readonly guard: object }>()
  return {
    shared: <Options extends { readonly name: string }, Guard>(
      kind: Kind<Options, Guard>,
      options: Options
    ) =>
      Effect.sync(() => {
        const name = Validate.text(
          "name",
          options.name,
          "a text of 1 to 200 characters",
          (text) => typeof text === "string" && text.length > 0 && text.length <= 200
        )
        const { make, numbers } = planners[kind.name](member, options as never)
        const id = `${kind.name}|${name}`
        const before = made.get(id)
        if (before !== undefined && before.numbers !== numbers) {
          throw new RangeError(
            `name should be used with equal options only, got ${JSON.stringify(name)} with others`
          )
        }
        const guard = before?.guard ?? sharedAs(name, make(), options)
        made.set(id, { numbers, guard })
        return guard as Guard
      })
  }
}
