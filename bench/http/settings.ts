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

export const argumentsOf = (
  settings: Settings | OtherSettings | BurstSettings
): ReadonlyArray<string> => [JSON.stringify(settings)]

export const settingsOf = ([text = ""]: ReadonlyArray<string>): Settings => JSON.parse(text)

/** A client of another library. `fetch` is Node's, alone. */
export interface OtherSettings {
  readonly client: "fetch" | "got" | "ky" | "axios" | "cockatiel" | "opossum"
  readonly url: string
  readonly warmUp: number
  readonly rounds: number
  readonly calls: number
  readonly callers: number
}

export const otherSettingsOf = ([text = ""]: ReadonlyArray<string>): OtherSettings =>
  JSON.parse(text)

/** Many calls at once, over so many connections. */
export interface BurstSettings {
  readonly url: string
  readonly calls: number
  readonly connections: number
  readonly rounds: number
}

/** What there is in a process, after garbage was collected. */
export interface Left {
  readonly heapBytes: number
  readonly timers: number
  readonly sockets: number
}

/** The 99th percentile of each burst in milliseconds, and what was left by all of them. */
export interface Burst {
  readonly p99: {
    readonly platform: ReadonlyArray<number>
    readonly ours: ReadonlyArray<number>
  }
  readonly before: Left
  readonly after: Left
}

export const burstSettingsOf = ([text = ""]: ReadonlyArray<string>): BurstSettings =>
  JSON.parse(text)
