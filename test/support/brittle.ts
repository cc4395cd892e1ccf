import { CircuitBreaker } from "effect-resilience"

/** Opens at the first failure, closes at the first success. */
export const brittle = {
  window: CircuitBreaker.count(1),
  minimumCalls: 1,
  failureRate: 1,
  slowCall: false,
  halfOpen: CircuitBreaker.consecutive(1)
} as const
