// @effect-diagnostics *:off
// The diagnostics of the language service are not what is tested here.
import type { HttpApp, HttpServerRequest } from "@effect/platform"
import { HttpRouter } from "@effect/platform"
import { Context, Effect } from "effect"
import { IdempotencyKey } from "effect-resilience"
import * as IdempotencyMiddleware from "effect-resilience/http/IdempotencyMiddleware"
import type * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { describe, expect, test } from "tstyche"

class Ledger extends Context.Tag("Ledger")<Ledger, { readonly charge: Effect.Effect<number> }>() {}
class Tenants
  extends Context.Tag("Tenants")<Tenants, { readonly of: (token: string) => string }>()
{}

declare const charge: HttpApp.Default<"Declined", Ledger>

describe("IdempotencyMiddleware.make", () => {
  test("the app's failures become responses, its needs stay, and the store is needed", () => {
    const app = IdempotencyMiddleware.make({ scope: () => ["acme"] })(charge)
    expect(app).type.toBe<HttpApp.Default<never, Ledger | IdempotencyStore.IdempotencyStore>>()
  })

  test("what the scope fails with and needs is the caller's", () => {
    const app = IdempotencyMiddleware.make({
      scope: (request: HttpServerRequest.HttpServerRequest) =>
        Effect.flatMap(Tenants, (tenants) =>
          request.headers["authorization"] === undefined
            ? Effect.fail("NoTenant" as const)
            : Effect.succeed([tenants.of(request.headers["authorization"])]))
    })(charge)
    expect(app).type.toBe<
      HttpApp.Default<"NoTenant", Ledger | Tenants | IdempotencyStore.IdempotencyStore>
    >()
  })

  test("the contract's options", () => {
    expect(IdempotencyMiddleware.make<"E2", Tenants>).type.toBeCallableWith({
      scope: (request: HttpServerRequest.HttpServerRequest) => [request.url],
      required: true,
      methods: ["PUT"],
      storeStatuses: [402],
      on5xx: "release" as const,
      maxBodyBytes: 1,
      lease: "1 minute" as const,
      timeToLive: "1 day" as const
    })
    expect(IdempotencyMiddleware.make).type.not.toBeCallableWith({
      scope: () => ["acme"],
      requird: true
    })
    expect(IdempotencyMiddleware.make).type.not.toBeCallableWith({})
  })

  test("fits a route and HttpRouter.use", () => {
    const once = IdempotencyMiddleware.make({ scope: () => ["acme"] })
    const router = HttpRouter.empty.pipe(HttpRouter.post("/", charge), HttpRouter.use(once))
    expect(router).type.toBe<
      HttpRouter.HttpRouter<never, Ledger | IdempotencyStore.IdempotencyStore>
    >()
  })

  test("a handler asks for the key and the run without needing them", () => {
    const asking = Effect.zip(
      Effect.serviceOption(IdempotencyKey.IdempotencyKey),
      IdempotencyMiddleware.Recovery
    )
    expect(asking).type.toBeAssignableTo<
      Effect.Effect<readonly [unknown, { readonly recovered: boolean }]>
    >()
  })
})
