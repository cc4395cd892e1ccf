/**
 * Options that users of other libraries try first. Each is there as a type only, which is the
 * advice: the compiler prints it beside the name that was written.
 */

/** Fields that cannot be set; the type of each says what to write instead. */
export type Misnamed<Advice extends object> = {
  readonly [Name in keyof Advice]?: Advice[Name]
}
