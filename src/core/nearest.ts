/** Finds the name that a mistyped one was probably meant to be. */

/**
 * Counts how many letters have to be changed, added, left out or swapped with their neighbour
 * (optimal string alignment). O(length of one times length of the other).
 *
 * @since 0.1.0
 */
export const distance = (from: string, to: string): number => {
  let beforeLast: ReadonlyArray<number> = []
  let last = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1] ? 0 : 1
      // Before the first letter there is none, which is no letter of the other.
      const isSwapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      current.push(Math.min(
        last[column]! + 1,
        current[column - 1]! + 1,
        last[column - 1]! + same,
        isSwapped ? beforeLast[column - 2]! + 1 : Infinity
      ))
    }
    beforeLast = last
    last = current
  }
  return last[to.length]!
}

/** Of a word that begins with the other as much is the same as that is long. */
const isBeginning = (name: string, candidate: string): boolean => {
  const shorter = Math.min(name.length, candidate.length)
  return shorter >= 4 && name.slice(0, shorter) === candidate.slice(0, shorter)
}

/**
 * The nearest of some names, where it is near: at most a third of its letters are different, or one
 * begins with the other, letter case aside. The first of equals. O(names).
 *
 * @since 0.1.0
 */
export const nearest = (name: string, names: ReadonlyArray<string>): string | undefined => {
  let found: string | undefined
  let least = Infinity
  const written = name.toLowerCase()
  for (const candidate of names) {
    const known = candidate.toLowerCase()
    const most = Math.ceil(known.length / 3)
    const apart = Math.abs(written.length - known.length)
    const isPart = isBeginning(written, known)
    // The letters of a beginning are those that are missing. A name may be as long as a file.
    const steps = isPart ? apart : apart > most ? Infinity : distance(written, known)
    if ((isPart || steps <= most) && steps < least) {
      found = candidate
      least = steps
    }
  }
  return found
}
