/**
 * The frame of a chart: its size, title, legend, axes and the times of faults. Charts are drawn
 * twice, wide and narrow, because a picture that is scaled down to a phone cannot be read there.
 */
import { type Child, element, type Markup } from "./markup.js"
import { coordinate } from "./numbers.js"

/** The two widths. */
export interface Size {
  readonly width: number
  readonly height: number
}

export const wide: Size = { width: 760, height: 300 }
export const narrow: Size = { width: 350, height: 250 }

/** What a chart says about itself. `title` is part of the picture only where one is given. */
export interface Caption {
  /** What is seen, in a sentence, for readers who do not see it. */
  readonly label: string
  readonly title?: string | undefined
  readonly subtitle?: string | undefined
}

/** An entry of a legend: the n-th colour and dash, or the one of what was offered. */
export interface Entry {
  readonly name: string
  readonly style: string
}

/** How many styles of lines there are; further policies begin again. */
export const styles = 6

export const styleOf = (index: number): string => `s${index % styles}`

const letter = 6.9
const row = 20

/** The width of a text of 13 pixels, about. */
export const widthOf = (text: string): number => [...text].length * letter

/** Cuts a text that is longer than so many pixels. */
export const cut = (text: string, width: number): string => {
  const letters = [...text]
  const most = Math.max(1, Math.floor(width / letter))
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join("")}…`
}

/** Lines of words that are at most so wide. */
export const wrapped = (text: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const word of text.split(" ")) {
    const last = lines.at(-1)
    if (last !== undefined && widthOf(`${last} ${word}`) <= width) {
      lines[lines.length - 1] = `${last} ${word}`
    } else lines.push(word)
  }
  return lines
}

export const text = (
  x: number,
  y: number,
  words: string,
  attributes: Readonly<Record<string, string | number>> = {}
): Markup => element("text", { x: coordinate(x), y: coordinate(y), ...attributes }, words)

export const line = (x1: number, y1: number, x2: number, y2: number, style: string): Markup =>
  element("line", {
    x1: coordinate(x1),
    y1: coordinate(y1),
    x2: coordinate(x2),
    y2: coordinate(y2),
    class: style
  })

export const box = (
  x: number,
  y: number,
  width: number,
  height: number,
  style: string
): Markup =>
  element("rect", {
    x: coordinate(x),
    y: coordinate(y),
    width: coordinate(Math.max(0, width)),
    height: coordinate(Math.max(0, height)),
    class: style
  })

/** What stands above a plot, and how far down it goes. */
export interface Head {
  readonly children: ReadonlyArray<Child>
  readonly bottom: number
}

const legend = (entries: ReadonlyArray<Entry>, left: number, width: number, top: number): Head => {
  const children: Array<Child> = []
  let x = left
  let y = top
  for (const { name, style } of entries) {
    const shown = cut(name, width - left - 46)
    const needed = 34 + widthOf(shown) + 16
    if (x > left && x + needed > width) {
      x = left
      y += row
    }
    children.push(
      line(x, y + 8, x + 28, y + 8, `line ${style}`),
      text(x + 34, y + 12.5, shown)
    )
    x += needed
  }
  return { children, bottom: entries.length === 0 ? top : y + row + 4 }
}

/** Title, subtitle and legend. */
export const head = (
  { subtitle, title }: Caption,
  entries: ReadonlyArray<Entry>,
  { width }: Size
): Head => {
  const children: Array<Child> = []
  let y = 8
  for (const words of title === undefined ? [] : wrapped(title, (width - 24) * 0.84)) {
    children.push(text(12, y + 16, words, { class: "title" }))
    y += 23
  }
  for (const words of subtitle === undefined ? [] : wrapped(subtitle, width - 24)) {
    children.push(text(12, y + 13, words, { class: "quiet" }))
    y += 18
  }
  const below = legend(entries, 12, width - 12, title === undefined ? y : y + 8)
  return { children: [...children, below.children], bottom: below.bottom }
}

/** The picture around the parts of a chart. */
export const picture = (
  { label }: Caption,
  { height, width }: Size,
  children: ReadonlyArray<Child>
): Markup =>
  element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${width} ${Math.round(height)}`,
      role: "img",
      "aria-label": label
    },
    ...children
  )
