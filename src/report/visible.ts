/** Text that shows what it holds. */

/**
 * Controls other than tab and line feed, which a terminal obeys and a page may not hold; marks that
 * show the text after them in another direction; halves of surrogate pairs, which are no text.
 */
const unfit = new RegExp(
  "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069\\ufffe\\uffff]" +
    "|[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]",
  "g"
)

/** Puts a replacement character in the place of what could mislead a reader. O(length). */
export const visible = (text: string): string => text.replace(unfit, "\ufffd")
