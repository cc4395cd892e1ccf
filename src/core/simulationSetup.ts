/**
 * What a replication is given: its scenario and policy in plain numbers, and who hears of it.
 */
import type * as Arrivals from "./arrivals.js"
import type * as Call from "./call.js"
import type * as Distribution from "./distribution.js"
import type * as Upstream from "./upstream.js"
import type * as Zipf from "./zipf.js"

/**
 * The calls that one service makes to another for each request that it works on, after its own
 * work: `times` of them, one after the other, under a policy of their own. It answers 502 when one
 * of them fails.
 *
 * @since 0.1.0
 */
export interface Dependency {
  readonly service: number
  readonly stages: Call.Stages
  readonly times: number
}

/**
 * An upstream. `network` is the delay of a request or an answer, each way, in milliseconds.
 *
 * @since 0.1.0
 */
export interface Service {
  readonly network: Distribution.Distribution
  readonly upstream: Upstream.Options
  readonly calls: ReadonlyArray<Dependency>
}

/**
 * One scenario under one policy: clients call the first of the services. At `endNanos` the
 * replication stops, whatever is under way.
 *
 * @since 0.1.0
 */
export interface Setup {
  readonly stages: Call.Stages
  readonly processes: number
  readonly keys: Zipf.Zipf
  readonly arrivals: Arrivals.Arrivals
  readonly changes: Arrivals.Profile
  readonly services: readonly [Service, ...Array<Service>]
  readonly arrivalsEndNanos: number
  readonly endNanos: number
}

/**
 * What is told of a replication as it happens, of the calls of clients: a call begins and ends; a
 * request is sent, is worked on, is answered, or is given up by its caller; a circuit goes from one
 * phase to another. `received` is told of every request that reaches a service.
 *
 * @since 0.1.0
 */
export interface Observer {
  readonly began?: ((call: Call.Call) => void) | undefined
  readonly sent?: ((attempt: Call.Attempt, nowNanos: number) => void) | undefined
  readonly answered?: ((attempt: Call.Attempt) => void) | undefined
  readonly executed?: ((attempt: Call.Attempt) => void) | undefined
  readonly abandoned?: ((attempt: Call.Attempt) => void) | undefined
  readonly ended?: ((call: Call.Call, nowNanos: number) => void) | undefined
  readonly transition?: Call.Host["transition"] | undefined
  readonly received?: ((service: number) => void) | undefined
}
