/**
 * What the modules of the APIs have in common when they tell of a failure: a sentence for a person,
 * fields for a log.
 */
import * as UserMessage from "../observability/UserMessage.js"
import * as LogFields from "./logFields.js"

/** A sentence that a person may read. */
export interface UserMessageOf {
  (error: unknown, options?: { readonly locale?: UserMessage.Options["locale"] }): string
}

/** Fields to log, of what the error knows and of what the caller does. */
export interface LogFieldsOf {
  (error: unknown, context?: LogFields.LogContext): LogFields.LogFields
}

/** In the words of one API. */
export const userMessageOf =
  (words: Pick<UserMessage.Options, "playbook" | "catalogue">): UserMessageOf =>
  (error, { locale } = {}) => UserMessage.of(error, { ...words, locale })

/** Under the name of one API. */
export const logFieldsOf = (integration: string): LogFieldsOf => (error, context) =>
  LogFields.logFields(integration, error, context)
