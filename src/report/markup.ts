/**
 * Elements of SVG and HTML as text. A text becomes part of a page only as a child or an attribute,
 * and both are escaped here, so no name of a policy can bring an element of its own.
 */
import { visible } from "./visible.js"

/** What has been escaped. Made by `element` alone. */
export class Markup {
  constructor(readonly source: string) {}
}

export type Child = string | number | Markup | undefined | ReadonlyArray<Child>

export type Attributes = Readonly<Record<string, string | number | undefined>>

const references: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}

/** Escapes a text for the content of an element and for an attribute in quotes. O(length). */
export const escape = (text: string): string =>
  visible(text).replace(/[&<>"']/g, (character) => references[character]!)

/** Elements that have no content, and those of SVG that are written without a closing tag. */
const closed = new Set(["br", "circle", "line", "meta", "path", "polyline", "rect"])

const sourceOf = (child: Child): string =>
  child === undefined
    ? ""
    : child instanceof Markup
    ? child.source
    : typeof child === "object"
    ? child.map(sourceOf).join("")
    : escape(String(child))

/** An element. Names are those of the program; attributes that are undefined are left out. */
export const element = (
  name: string,
  attributes: Attributes = {},
  ...children: ReadonlyArray<Child>
): Markup => {
  const written = Object.entries(attributes)
    .map(([key, value]) => value === undefined ? "" : ` ${key}="${escape(String(value))}"`)
    .join("")
  return new Markup(
    closed.has(name)
      ? `<${name}${written}/>`
      : `<${name}${written}>${children.map(sourceOf).join("")}</${name}>`
  )
}

/** The style sheet of a page. It is a constant of this library, so it is not escaped. */
export const styleSheet = (css: string): Markup => new Markup(`<style>${css}</style>`)
