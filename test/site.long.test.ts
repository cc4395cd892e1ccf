/**
 * The site as a reader meets it: built, served below a path, and opened in a browser. The browser
 * is the system's Chromium; without one these tests are left out, and say so.
 */
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { type Browser, chromium, type Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { deadLinks } from "../scripts/site/links.js"
import { binary, isRoot, without } from "./support/processes.js"
import { serve, type StaticServer } from "./support/staticServer.js"

const root = fileURLToPath(new URL("..", import.meta.url))
const base = "/effect-resilience/"
const folder = path.join(root, ".site", "test")
const dist = path.join(folder, "dist")

const executablePath = binary("chromium") ?? binary("google-chrome")
if (executablePath === undefined) without("chromium")

/** Pages whose source has a diagram. */
const pagesWithDiagrams = (): ReadonlyArray<string> => {
  const pages = path.join(folder, "pages")
  return fs.readdirSync(pages, { recursive: true, encoding: "utf8" })
    .filter((file) =>
      file.endsWith(".md") && fs.readFileSync(path.join(pages, file), "utf8").includes("```mermaid")
    )
    .map((file) => file.replace(/\.md$/, ".html"))
    .sort()
}

describe.skipIf(executablePath === undefined)("the site", () => {
  let site: StaticServer
  let browser: Browser

  beforeAll(async () => {
    const options = ["--base", base, "--folder", folder]
    await promisify(execFile)("npm", ["run", "--silent", "site", "--", ...options], {
      cwd: root,
      maxBuffer: 1 << 26
    })
    site = await serve(dist, base)
    browser = await chromium.launch({
      executablePath: executablePath!,
      args: ["--disable-dev-shm-usage", ...(isRoot ? ["--no-sandbox"] : [])]
    })
  }, 600_000)

  afterAll(async () => {
    await browser?.close()
    await site?.close()
    fs.rmSync(folder, { recursive: true, force: true })
  })

  /** A page of the site, and the errors it prints. */
  const open = async (
    name: string
  ): Promise<{ readonly page: Page; readonly errors: ReadonlyArray<string> }> => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 844 } })
    const errors: Array<string> = []
    page.on("pageerror", (error) => errors.push(`${page.url()}: ${error.message}`))
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(`${page.url()}: ${message.text()}`)
    })
    await page.goto(`${site.url}${name}`, { waitUntil: "networkidle" })
    return { page, errors }
  }

  it("has no dead link", () => {
    expect(deadLinks(dist, base)).toEqual([])
  })

  it("a reader searches, follows a result, and comes to its heading", async () => {
    const { errors, page } = await open("")
    await page.locator(".DocSearch-Button").click()
    await page.locator("#localsearch-input").fill("operator controls")
    const result = page.locator(".VPLocalSearchBox .result").first()
    await result.waitFor()
    expect(await result.innerText()).toMatch(/operator controls/i)
    await result.click()
    await page.waitForURL((url) => url.hash === "#operator-controls")
    expect(new URL(page.url()).pathname).toBe(`${base}circuit-breaker.html`)
    // The address changes before the page does.
    await page.locator("h1", { hasText: /^Circuit breaker/i }).waitFor()
    await page.locator("h2#operator-controls").waitFor()
    expect(errors).toEqual([])
    await page.close()
  })

  it("the search finds a member of the reference", async () => {
    const { page } = await open("reference/")
    await page.locator(".DocSearch-Button").click()
    await page.locator("#localsearch-input").fill("BulkheadFull")
    const result = page.locator(".VPLocalSearchBox .result[href*='/reference/Bulkhead']").first()
    await result.click()
    await page.waitForURL((url) => url.hash === "#bulkheadfull")
    await page.locator("h3#bulkheadfull", { hasText: /^BulkheadFull/ }).waitFor()
    await page.close()
  })

  it("draws every diagram, and again in dark", async () => {
    const pages = pagesWithDiagrams()
    expect(pages.length).toBeGreaterThan(0)
    const { errors, page } = await open(pages[0]!)
    for (const name of pages) {
      await page.goto(`${site.url}${name}`, { waitUntil: "load" })
      const before = errors.length
      // A diagram that cannot be drawn is an error of the page.
      const drawn = () => page.locator(".diagram-source").count().then((count) => count === 0)
      await expect.poll(async () => errors.length > before || await drawn(), { timeout: 20_000 })
        .toBe(true)
    }
    expect(errors).toEqual([])

    const colours = () => page.locator(".diagram svg style").first().textContent()
    const light = await colours()
    await page.locator(".VPNavBar .VPSwitchAppearance").first().click()
    await expect.poll(colours, { timeout: 20_000 }).not.toBe(light)
    await page.close()
  }, 120_000)

  it("no page is wider than a phone", async () => {
    const names = fs.readdirSync(dist, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".html"))
    expect(names.length).toBeGreaterThan(50)
    const wide: Array<string> = []
    // The pages are complete without scripts, and open faster.
    const phone = await browser.newContext({
      viewport: { width: 390, height: 844 },
      javaScriptEnabled: false
    })
    const page = await phone.newPage()
    for (const name of names) {
      await page.goto(`${site.url}${name}`, { waitUntil: "load" })
      const width = await page.evaluate(() => document.documentElement.scrollWidth)
      if (width > 390) wide.push(`${name}: ${width}`)
    }
    expect(wide).toEqual([])
    await phone.close()
  }, 120_000)
})
