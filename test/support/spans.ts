import { type Exit, Option, Tracer } from "effect"

export interface Recorded {
  readonly name: string
  readonly spanId: string
  readonly traceId: string
  readonly parent: string | undefined
  readonly kind: Tracer.SpanKind
  readonly attributes: Map<string, unknown>
  readonly events: Array<readonly [string, Record<string, unknown> | undefined]>
  exit: Exit.Exit<unknown, unknown> | undefined
}

/** A tracer that keeps its spans. */
export const recorder = () => {
  const spans: Array<Recorded> = []
  let next = 0
  const tracer = Tracer.make({
    span(name, parent, context, links, startTime, kind) {
      const spanId = (++next).toString(16).padStart(16, "0")
      const traceId = Option.match(parent, {
        onNone: () => next.toString(16).padStart(32, "0"),
        onSome: (span) => span.traceId
      })
      const attributes = new Map<string, unknown>()
      const parentId = Option.getOrUndefined(Option.map(parent, (span) => span.spanId))
      const recorded: Recorded = {
        name,
        spanId,
        traceId,
        parent: parentId,
        kind,
        attributes,
        events: [],
        exit: undefined
      }
      spans.push(recorded)
      return {
        _tag: "Span",
        name,
        spanId,
        traceId,
        parent,
        context,
        status: { _tag: "Started", startTime },
        attributes,
        links,
        sampled: true,
        kind,
        end: (_endTime, exit) => void (recorded.exit = exit),
        attribute: (key, value) => void attributes.set(key, value),
        event: (key, _startTime, fields) => void recorded.events.push([key, fields]),
        addLinks: () => undefined
      }
    },
    context: (f) => f()
  })
  return { tracer, spans }
}
