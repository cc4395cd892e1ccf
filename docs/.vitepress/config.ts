/**
 * The site: the pages of `docs/` and the API reference. `npm run site` collects both in a folder
 * (`scripts/site.ts`), which is what VitePress builds.
 *
 * - `SITE_BASE`: the path below which the site is served. Default `/`.
 * - `SITE_FOLDER`: where pages and output stand. Default `.site`.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitepress"
import { repositoryUrl } from "../../scripts/site/repository.js"
import { guideSidebar, referenceSidebar } from "./sidebar.js"
import { slug } from "./slug.js"

const root = fileURLToPath(new URL("../..", import.meta.url))
const folder = path.resolve(root, process.env["SITE_FOLDER"] ?? ".site")
const pages = path.join(folder, "pages")

const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as {
  readonly name: string
  readonly version: string
  readonly description: string
}

const base = process.env["SITE_BASE"] ?? "/"
const repository = repositoryUrl(root)

/** VitePress changes the list, so it gets one of its own. */
const mutable = <A>(list: ReadonlyArray<A>): Array<A> => [...list]

export default defineConfig({
  title: manifest.name,
  description: manifest.description,
  lang: "en",
  base,
  head: [["link", { rel: "icon", type: "image/svg+xml", href: `${base}favicon.svg` }]],
  srcDir: path.relative(path.join(root, "docs"), pages),
  outDir: path.join(folder, "dist"),
  cacheDir: path.join(folder, "cache"),
  cleanUrls: false,
  metaChunk: true,
  markdown: {
    anchor: { slugify: slug },
    config: (md) => {
      const fence = md.renderer.rules.fence!
      md.renderer.rules.fence = (tokens, index, options, env, self) => {
        const token = tokens[index]!
        return token.info.trim() === "mermaid"
          ? `<Mermaid code="${encodeURIComponent(token.content)}" />`
          : fence(tokens, index, options, env, self)
      }
    }
  },
  vite: {
    // The largest parts of Mermaid are loaded only by pages that have such a diagram.
    build: { chunkSizeWarningLimit: 3000 }
  },
  themeConfig: {
    logo: "/favicon.svg",
    search: {
      provider: "local",
      options: {
        miniSearch: {
          searchOptions: {
            // A page that explains comes before the reference of its parts.
            boostDocument: (id: string) => (id.includes("/reference/") ? 0.4 : 1)
          }
        }
      }
    },
    outline: { level: [2, 3] },
    nav: [
      { text: "Guide", link: "/", activeMatch: "^/(?!reference/|changelog)" },
      { text: "Reference", link: "/reference/", activeMatch: "^/reference/" },
      { text: manifest.version, link: "/changelog" }
    ],
    sidebar: {
      "/": mutable(guideSidebar(pages)) as never,
      "/reference/": mutable(referenceSidebar(path.join(root, "src"))) as never
    },
    ...(repository === undefined ? {} : {
      socialLinks: [{ icon: "github", link: repository }],
      editLink: {
        pattern: `${repository}/edit/main/docs/:path`,
        text: "Edit this page"
      }
    })
  }
})
