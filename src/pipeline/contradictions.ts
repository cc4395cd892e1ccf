/**
 * What the stages of a pipeline cannot mean together, in the order of the stages.
 */
import type { Contradiction } from "../policies/stage/checks.js"
import type { Stage, Stages } from "../policies/stage/definition.js"

/** All contradictions. The values themselves have been checked. */
export const contradictions = (
  stages: ReadonlyArray<Stage>,
  given: Stages
): ReadonlyArray<Contradiction> => stages.flatMap((stage) => stage.checks(given))
