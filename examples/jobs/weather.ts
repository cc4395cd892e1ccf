/**
 * A bad day for an API, the same in every run: a quarter of the attempts meet a fault, before or
 * after the work was done, and a call meets two at most.
 */
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

export const weather = (seed: string): FlakyApi.Script =>
  FlakyApi.seeded({
    seed,
    rate: 0.25,
    maxPerKey: 2,
    faults: [
      FlakyApi.rateLimited({ retryAfter: 1 }),
      FlakyApi.serverError(),
      FlakyApi.serverError({ when: "after" }),
      FlakyApi.htmlPage(502),
      FlakyApi.unavailable({ retryAfter: 1 }),
      FlakyApi.reset(),
      FlakyApi.reset({ when: "after" }),
      FlakyApi.slowHeaders("300 millis")
    ]
  })
