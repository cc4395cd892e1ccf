/**
 * Runs replications: in the program's own thread, or in several others at the same time.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type * as Threads from "node:worker_threads"
import { liveClock } from "../runtime/clock.js"
import { type Answer, type Job, Replication, type Reply, type Task } from "./replication.js"

/** Hears the share of a replication that is over, again and again. */
type Report = (share: number) => Effect.Effect<void>

/** What runs replications. `atOnce`: so many at the same time. */
export interface Runner {
  readonly atOnce: number
  readonly run: (task: Task, report: Report) => Effect.Effect<Reply>
}

// -----------------------------------------------------------------------------
// in the program's own thread
// -----------------------------------------------------------------------------

/** The platform has its turn too, which timers and signals wait for, whatever the clock. */
const pause = Effect.zipRight(Effect.yieldNow(), liveClock.sleep(Duration.zero))

/** Runs one replication after the other; other fibers have their turn every 20 ms or so. */
export const here = (jobs: ReadonlyArray<Job>): Runner => ({
  atOnce: 1,
  run: ({ job, number }, report) =>
    Effect.suspend(() => {
      const replication = new Replication(jobs[job]!, number)
      const turn: Effect.Effect<Reply> = Effect.suspend(() => {
        const reply = replication.step()
        return reply === undefined
          ? report(replication.share).pipe(Effect.zipRight(pause), Effect.zipRight(turn))
          : Effect.succeed(reply)
      })
      return turn
    })
})

// -----------------------------------------------------------------------------
// in other threads
// -----------------------------------------------------------------------------

/** Source code needs a loader in each thread; what is published is compiled. */
const isSource = import.meta.url.endsWith(".ts")

const entry = new URL(isSource ? "./worker.ts" : "./worker.js", import.meta.url)

/** A thread, and what it has said so far. */
interface Thread {
  readonly worker: Threads.Worker
  readonly answers: Queue.Queue<Exit.Exit<Answer>>
}

/** What a thread says next. That it breaks is a defect. */
const next = ({ answers }: Thread): Effect.Effect<Answer> => Effect.flatten(Queue.take(answers))

/** Starts a thread, which ends with the scope, whatever it is at. */
const start = (
  { Worker }: typeof Threads,
  jobs: ReadonlyArray<Job>
): Effect.Effect<Thread, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.map(Queue.unbounded<Exit.Exit<Answer>>(), (answers): Thread => {
      // Calls under way outlive the young generation of the standard size, and are copied often.
      const options = { workerData: jobs, resourceLimits: { maxYoungGenerationSizeMb: 128 } }
      const loader = { execArgv: ["--import", "tsx"] }
      const worker = new Worker(entry, isSource ? { ...options, ...loader } : options)
      worker.on("message", (answer: Answer) => answers.unsafeOffer(Exit.succeed(answer)))
      worker.on("error", (error) => answers.unsafeOffer(Exit.die(error)))
      return { worker, answers }
    }),
    ({ worker }) => Effect.promise(() => worker.terminate())
  ).pipe(Effect.tap(next))

const ask = (thread: Thread, task: Task, report: Report): Effect.Effect<Reply> => {
  const listen: Effect.Effect<Reply> = Effect.flatMap(next(thread), (answer) => {
    switch (answer._tag) {
      case "Outcome":
      case "Excess":
        return Effect.succeed(answer)
      case "Share":
        return Effect.zipRight(report(answer.share), listen)
      case "Ready":
        return listen
    }
  })
  return Effect.zipRight(Effect.sync(() => thread.worker.postMessage(task, [])), listen)
}

/**
 * Starts so many threads. Where the platform has none, a warning says so, and replications run in
 * the program's own thread.
 */
export const elsewhere = (
  jobs: ReadonlyArray<Job>,
  workers: number
): Effect.Effect<Runner, never, Scope.Scope> =>
  Effect.promise(() => import("node:worker_threads")).pipe(
    Effect.flatMap((threads) =>
      Effect.forEach(Array.from({ length: workers }), () => start(threads, jobs), {
        concurrency: "unbounded"
      })
    ),
    Effect.map((threads): Runner => {
      const free = [...threads]
      return {
        atOnce: workers,
        run: (task, report) =>
          Effect.acquireUseRelease(
            // As many tasks run at once as there are threads.
            Effect.sync(() => free.pop()!),
            (thread) => ask(thread, task, report),
            (thread) => Effect.sync(() => free.push(thread))
          )
      }
    }),
    Effect.catchAllDefect((error) =>
      Effect.as(
        Effect.logWarning("No worker threads: replications run one after the other", error),
        here(jobs)
      )
    )
  )
