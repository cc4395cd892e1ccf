/** `describe`: a policy in words. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Pipeline from "../../pipeline/Pipeline.js"
import { visible } from "../../report/visible.js"
import { policies } from "../inputs.js"
import { CurrentIo } from "../io.js"
import { Described } from "../output.js"

interface Form {
  readonly json: boolean
  readonly mermaid: boolean
}

const encode = Schema.encodeSync(Schema.parseJson(Described, { space: 2 }))

const jsonOf = ({ worstCaseTime, ...description }: Pipeline.Description): string =>
  encode({
    ...description,
    worstCaseMillis: Duration.isFinite(worstCaseTime) ? Duration.toMillis(worstCaseTime) : null
  })

/** Describes the policy in a file. */
export const describeFile = (file: string, { json, mermaid }: Form) =>
  Effect.gen(function*() {
    const io = yield* CurrentIo
    const [policy] = yield* policies([file])
    const description = Pipeline.describe(policy.stages)
    const said = json
      ? jsonOf(description)
      : visible(mermaid ? description.mermaid : description.text)
    yield* io.out.write(`${said}\n`)
  })
