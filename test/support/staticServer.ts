/** Serves the files of a folder over HTTP, as a host of static pages does. */
import * as fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as path from "node:path"

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2"
}

export interface StaticServer {
  /** Where the folder is served, with a slash at the end. */
  readonly url: string
  readonly close: () => Promise<void>
}

/** Serves `folder` below the path `base`; what is not there is a 404. */
export const serve = async (folder: string, base: string): Promise<StaticServer> => {
  const server = http.createServer((request, response) => {
    const pathname = decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname)
    const name = pathname.startsWith(base)
      ? pathname.slice(base.length).replace(/(^|\/)$/, "$1index.html")
      : undefined
    const file = name === undefined ? undefined : path.join(folder, name)
    if (file === undefined || !file.startsWith(folder) || !fs.existsSync(file)) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, {
      "content-type": types[path.extname(file)] ?? "application/octet-stream",
      "cache-control": "max-age=3600"
    })
    fs.createReadStream(file).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${base}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}
