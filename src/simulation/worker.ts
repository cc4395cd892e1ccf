/**
 * A thread that runs replications. It loads the core and nothing else.
 */
import { parentPort, workerData } from "node:worker_threads"
import { type Answer, type Job, Replication, type Reply, type Task } from "./replication.js"

const jobs = workerData as ReadonlyArray<Job>

const answer = (message: Answer): void => parentPort?.postMessage(message, [])

parentPort?.on("message", ({ job, number }: Task) => {
  const replication = new Replication(jobs[job]!, number)
  let reply: Reply | undefined
  while ((reply = replication.step()) === undefined) {
    answer({ _tag: "Share", share: replication.share })
  }
  answer(reply)
})

answer({ _tag: "Ready" })
