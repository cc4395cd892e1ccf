/**
 * How many cases a property tries: a share of them under `npm test`, all of them under
 * `npm run test:long`, which runs the files that import this one.
 */
const share = 5

/** Whether this is a long run. */
export const isLong = process.env["TEST_LONG"] !== undefined

/** Of so many cases, how many to try in this run. */
export const runs = (all: number, least = 50): number =>
  isLong ? all : Math.min(all, Math.max(least, Math.ceil(all / share)))
