/** The codes that the program ends with. */
export const ended = {
  /** It did what it was asked for. */
  done: 0,
  /** `check` has findings, or a limit of `--at-most` is not kept. */
  found: 1,
  /** Wrong use, or a file that cannot be used. */
  refused: 2,
  /** It was interrupted. */
  interrupted: 130
} as const
