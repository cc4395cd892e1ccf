/**
 * Simulates a policy under a scenario: what its stages do to calls, load and latency when the
 * upstream is slow, overloaded or down.
 *
 * A simulation makes the decisions of the stages with the functions that the running pipeline uses,
 * in virtual time. A minute of 400 calls a second takes a fraction of a second. What it says holds
 * under its scenario: a guessed capacity gives figures of a guess.
 *
 * - `run` and `compare` simulate, `tune` searches for a better policy
 * - `recorder` and `fit` learn a scenario from what a program has measured
 *
 * @since 0.1.0
 */
export { AttemptRecord, type Recorder, recorder } from "./attempts.js"
export { fit, FitError, Fitted, type FittedCapacity, type FittedEndpoint } from "./fit.js"
export {
  Comparison,
  type Counts,
  type Difference,
  type Estimate,
  type Metric,
  type Options,
  type Policy,
  type Progress,
  Result,
  type Series,
  type SimulationError,
  TooLarge,
  type Transition
} from "./model.js"
export { compare, run } from "./run.js"
export {
  /**
   * A scenario that cannot be simulated.
   *
   * @since 0.1.0
   * @category errors
   */
  InvalidScenario
} from "./Scenario.js"
export { type Limit, tune, type Tuned, type TuneOptions } from "./tune.js"
