/**
 * A report as a reader meets it, in the system's Chromium; without one these tests are left out,
 * and say so.
 */
import * as Report from "effect-resilience/Report"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { type Browser, chromium, type Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { binary, isRoot, without } from "../support/processes.js"
import { comparison, scenario } from "./simulated.js"

const executablePath = binary("chromium") ?? binary("google-chrome")
if (executablePath === undefined) without("chromium")

const names = [
  "plain",
  "<img src=http://127.0.0.1:9/x onerror=document.title=1>",
  `${"a-very-long-name-".repeat(12)}</style><script>document.title=2</script>`
] as const

describe.skipIf(executablePath === undefined)("a report in a browser", () => {
  let browser: Browser
  let folder: string
  let address: string

  beforeAll(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), "effect-resilience-report-"))
    const file = path.join(folder, "report.html")
    fs.writeFileSync(file, Report.html(await comparison(names), { scenario, name: "spike" }))
    address = pathToFileURL(file).href
    browser = await chromium.launch({
      executablePath: executablePath!,
      args: ["--disable-dev-shm-usage", ...(isRoot ? ["--no-sandbox"] : [])]
    })
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
    fs.rmSync(folder, { recursive: true, force: true })
  })

  /** The page, what it asked for besides itself, and what it complained of. */
  const open = async (
    width: number,
    colorScheme: "light" | "dark"
  ): Promise<{ readonly page: Page; readonly noticed: ReadonlyArray<string> }> => {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme })
    const noticed: Array<string> = []
    page.on("request", (request) => {
      if (request.url() !== address) noticed.push(request.url())
    })
    page.on("console", (message) => noticed.push(message.text()))
    page.on("pageerror", ({ message }) => noticed.push(message))
    await page.goto(address, { waitUntil: "networkidle" })
    return { page, noticed }
  }

  it("L6: asks for nothing, runs nothing, and has its style", async () => {
    const { noticed, page } = await open(1100, "light")
    expect(noticed).toEqual([])
    expect(await page.title()).toContain("plain, <img src=")
    expect(await page.locator("script, img").count()).toBe(0)
    const family = await page.evaluate(() => getComputedStyle(document.body).fontFamily)
    expect(family).toMatch(/^system-ui/)
    await page.close()
  })

  it("is light or dark as the system is, with text that can be read on it", async () => {
    const contrasts: Array<number> = []
    for (const scheme of ["light", "dark"] as const) {
      const { page } = await open(1100, scheme)
      contrasts.push(
        await page.evaluate(() => {
          const luminance = (colour: string): number => {
            const [r = 0, g = 0, b = 0] = colour.match(/[\d.]+/g)!.map((part) => {
              const value = Number(part) / 255
              return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
            })
            return 0.2126 * r + 0.7152 * g + 0.0722 * b
          }
          const back = luminance(getComputedStyle(document.body).backgroundColor)
          const between = (colour: string): number => {
            const other = luminance(colour)
            return (Math.max(back, other) + 0.05) / (Math.min(back, other) + 0.05)
          }
          const texts = [...document.querySelectorAll("p, td, th, h1, small")]
            .map((node) => between(getComputedStyle(node).color))
          const drawn = [...document.querySelectorAll(".wide svg text")]
            .map((node) => between(getComputedStyle(node).fill))
          // Lines need less than letters.
          const lines = [...document.querySelectorAll(".wide polyline")]
            .map((node) => between(getComputedStyle(node).stroke) * 1.5)
          return Math.min(...texts, ...drawn, ...lines)
        })
      )
      await page.close()
    }
    expect(Math.min(...contrasts)).toBeGreaterThanOrEqual(4.5)
  })

  it("is as wide as a phone, and shows charts that were drawn for it", async () => {
    const { page } = await open(390, "light")
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
    expect(await page.locator(".narrow svg:visible").count()).toBe(6)
    expect(await page.locator(".wide svg:visible").count()).toBe(0)
    // The letters of the charts are as large as those of the notes.
    const size = await page.evaluate(() => {
      const text = document.querySelector(".narrow svg text")!
      return text.getBoundingClientRect().height
    })
    expect(size).toBeGreaterThan(11)
    await page.close()
  })

  it("no word of a chart is cut off by its edge", async () => {
    for (const width of [1100, 390]) {
      const { page } = await open(width, "light")
      const outside = await page.evaluate(() =>
        [...document.querySelectorAll("svg text")].flatMap((node) => {
          const box = node.getBoundingClientRect()
          const edge = node.closest("svg")!.getBoundingClientRect()
          const isInside = box.left >= edge.left - 1 && box.right <= edge.right + 1 &&
            box.top >= edge.top - 1 && box.bottom <= edge.bottom + 1
          return edge.width === 0 || isInside ? [] : [node.textContent]
        })
      )
      expect(outside).toEqual([])
      await page.close()
    }
  })
})
