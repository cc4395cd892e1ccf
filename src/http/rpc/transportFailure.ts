/** Makes errors of failures below the procedures. */
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as RpcClientError from "@effect/rpc/RpcClientError"
import { hasProperty } from "effect/Predicate"
import * as TransportError from "../../core/transportError.js"
import * as ApiError from "../../errors/ApiError.js"
import * as Rejection from "../../errors/Rejection.js"
import { fromClientError, isSuccess } from "../responseError.js"

const isRpcClientError = (u: unknown): u is RpcClientError.RpcClientError =>
  hasProperty(u, RpcClientError.TypeId)

const network = (cause: unknown, endpoint: string): ApiError.Network => {
  const { code, permanent, sent } = TransportError.read(cause)
  const what = sent === "no"
    ? "The RPC server could not be reached"
    : "The connection broke before an answer came"
  return new ApiError.Network({
    message: code === undefined ? what : `${what} (${code})`,
    endpoint,
    sent,
    ...(code === undefined ? {} : { code }),
    ...(permanent ? { repeat: "never" as const } : {})
  })
}

/**
 * An answer that is no success says what it says, even when its body was no RPC message. A success
 * that broke off does not say whether the procedure ran, because the result is in its body.
 */
const ofHttp = (error: HttpClientError.HttpClientError, endpoint: string): ApiError.ApiError => {
  if (error._tag === "RequestError") {
    return ApiError.annotate(fromClientError(error), { endpoint })
  }
  const { request, response } = error
  return isSuccess(response.status)
    ? network(error.cause, endpoint)
    : ApiError.annotate(
      fromClientError(
        new HttpClientError.ResponseError({ request, response, reason: "StatusCode" })
      ),
      { endpoint }
    )
}

/**
 * The `ApiError` or rejection for a failure of the transport. What a procedure fails with is
 * returned as it is.
 */
export const toApiError = (error: unknown, endpoint: string): unknown => {
  if (!isRpcClientError(error)) return error
  const { cause } = error
  // The HTTP client below may be one of ours.
  if (ApiError.isApiError(cause) || Rejection.isRejection(cause)) return cause
  return HttpClientError.isHttpClientError(cause)
    ? ofHttp(cause, endpoint)
    : network(cause, endpoint)
}
