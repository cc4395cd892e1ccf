/**
 * A server for documents that fails three requests in ten for a while, some of them after it has
 * stored the document.
 */
import { HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Effect, Schema } from "effect"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

const Document = Schema.Struct({ source: Schema.String, text: Schema.String })

const app = HttpServerRequest.schemaBodyJson(Document).pipe(
  Effect.flatMap(({ source }) =>
    HttpServerResponse.json({ document_id: `stored-${source}` }, { status: 201 })
  )
)

const storm = FlakyApi.seeded({
  seed: "bulk",
  rate: 0.3,
  faults: [
    FlakyApi.serverError(),
    FlakyApi.serverError({ when: "after" }),
    FlakyApi.unavailable(),
    FlakyApi.reset({ when: "after" })
  ]
})

const script: FlakyApi.Script = (call) =>
  call.index >= 300 && call.index < 500 ? storm(call) : FlakyApi.none

export const server = FlakyApi.make({ app, script })
