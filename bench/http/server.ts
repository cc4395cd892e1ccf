/**
 * The server of the HTTP benchmark, in a process of its own so that its work is not counted. Prints
 * its port. Ends when its parent closes the pipe.
 */
import * as http from "node:http"

const thing = JSON.stringify({
  id: 7,
  name: "a thing with a name of ordinary length",
  tags: ["first", "second", "third"],
  createdAt: "2026-01-15T10:00:00.000Z",
  price: { amount: 1999, currency: "EUR" }
})

const server = http.createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  request.resume()
  request.on("end", () => {
    response.writeHead(request.method === "POST" ? 201 : 200, {
      "content-type": "application/json",
      "content-length": thing.length
    })
    response.end(thing)
  })
})

server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  console.log(typeof address === "object" ? address?.port : address)
})

process.stdin.resume().on("end", () => process.exit())
