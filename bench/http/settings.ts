/** What the processes of the HTTP benchmark tell each other. */

/** GET with the standard pipeline, POST with a new key, GET without a pipeline. */
export type Kind = "get" | "post" | "bare"

export interface Settings {
  readonly kind: Kind
  readonly mode: "cpu" | "heap"
  readonly url: string
  readonly warmUp: number
  readonly rounds: number
  readonly calls: number
  readonly callers: number
}

/** What each call cost in each round. */
export interface Rounds {
  readonly platform: ReadonlyArray<number>
  readonly control: ReadonlyArray<number>
  readonly ours: ReadonlyArray<number>
}

export const argumentsOf = (settings: Settings): ReadonlyArray<string> => [JSON.stringify(settings)]

export const settingsOf = ([text = ""]: ReadonlyArray<string>): Settings => JSON.parse(text)
