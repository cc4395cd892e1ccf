/**
 * Makes clients of the platform that take what reads a response as an argument.
 *
 * `ApiClient.execute` hands it to a client of ours, and to one that was derived from ours by
 * preparing the request. Any other client carries it in the context of the call.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import { hasProperty } from "effect/Predicate"
import type { Reading } from "./attempt.js"

/** A request that may still have to be prepared. */
export type Prepared<E, R = never> = Effect.Effect<HttpClientRequest.HttpClientRequest, E, R>

type Sent<E, R = never> = Effect.Effect<HttpClientResponse.HttpClientResponse, E, R>

type Send<E> = (prepared: Prepared<E>) => Sent<E>

type SendAndRead = (prepared: Prepared<never>, read: Reading) => Sent<unknown>

/** By how a client of ours sends: how it also reads. */
const direct = globalValue(
  "effect-resilience/direct",
  () => new WeakMap<object, SendAndRead>()
)

/** A client that sends in the first way, and in the second where the caller says how to read. */
export const directly = <E>(
  send: Send<E>,
  sendAndRead: (prepared: Prepared<E>, read: Reading) => Sent<E>
): HttpClient.HttpClient.With<E> => {
  direct.set(send, sendAndRead)
  return HttpClient.makeWith<E, never, E, never>(send, Effect.succeed)
}

/** How a client sends a request and reads the response, where it can be told as an argument. */
export const directOf = <E, R>(
  client: HttpClient.HttpClient.With<E, R>,
  request: HttpClientRequest.HttpClientRequest
): ((read: Reading) => Sent<E, R>) | undefined => {
  if (!hasProperty(client, "postprocess") || !hasProperty(client, "preprocess")) return undefined
  const { postprocess, preprocess } = client
  const send = typeof postprocess === "function" ? direct.get(postprocess) : undefined
  // These are the two functions that every client of the platform is made of.
  return send === undefined || typeof preprocess !== "function"
    ? undefined
    : (read) => send(preprocess(request), read) as Sent<E, R>
}
