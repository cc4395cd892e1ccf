/** A guard to be made: its numbers, which have to be equal under one name, and how it is made. */
export interface Plan {
  readonly numbers: string
  readonly make: () => object
}
