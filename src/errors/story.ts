/**
 * Keeps facts about an error beside its fields, for its text: comparisons, copies and log lines do
 * not show them.
 */

/**
 * - `quotes`: its message is what the API said, or code of the caller's.
 * - `stopReason`: why the call made no further attempt, where a retry has said so.
 */
interface Story {
  readonly quotes?: boolean | undefined
  readonly stopReason?: string | undefined
}

const storyKey: unique symbol = Symbol.for("effect-resilience/ApiError/story")

export const storyOf = (error: object & { readonly [storyKey]?: Story }): Story =>
  error[storyKey] ?? {}

/** Says it of an error that is new: one that is shared would say it of other calls too. */
export const withStory = <E extends object>(error: E, story: Story): E =>
  Object.defineProperty(error, storyKey, {
    value: { ...storyOf(error), ...story },
    configurable: true
  })

/** Says it of a copy, too. */
export const copyStory = <E extends object>(from: object, to: E): E =>
  Object.hasOwn(from, storyKey) ? withStory(to, storyOf(from)) : to
