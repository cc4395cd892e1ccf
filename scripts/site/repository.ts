/**
 * Where the repository is hosted, as package.json says it. There it is filled in at a release, so a
 * checkout may know of none.
 */
import * as fs from "node:fs"
import * as path from "node:path"

/** The address of the repository for a browser, or undefined. */
export const repositoryUrl = (root: string): string | undefined => {
  const { repository } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as {
    readonly repository?: string | { readonly url: string }
  }
  const url = typeof repository === "string" ? repository : repository?.url
  return url?.replace(/^git\+/, "").replace(/\.git$/, "")
}

/** Where a file of the repository is read. */
export const fileUrl = (repository: string, file: string): string =>
  `${repository}/blob/main/${file}`
