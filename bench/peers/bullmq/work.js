// Runs jobs that do nothing until it is told to stop.
import { Worker } from "bullmq";

import { QUEUE, connect, say } from "./load.js";

/**
 * With `remove` a job is deleted when it is done, which is less work for Redis
 * than to keep it, as BullMQ does by itself and as Upshot does. With `behind` it
 * says at that key of Redis that it is ready, and begins when the bench answers:
 * so several workers begin together, and their start is no part of the figures.
 */
export async function work({ redis, concurrency, remove, behind }) {
  const connection = connect(redis);
  let jobs = 0;
  let first;
  let last;
  const worker = new Worker(
    QUEUE,
    async () => {
      last = performance.now();
      if (jobs === 0) {
        first = last;
        say("first");
      }
      jobs += 1;
    },
    {
      connection,
      concurrency,
      autorun: false,
      ...(remove ? { removeOnComplete: { count: 0 } } : {}),
    },
  );
  worker.on("error", (error) => console.error(error));
  await worker.waitUntilReady();
  say("ready");
  if (behind) {
    await connection.rpush(`${behind}:ready`, process.pid);
    await connection.blpop(`${behind}:go`, 0);
  }

  const running = worker.run();
  await new Promise((stop) => {
    process.once("SIGTERM", stop);
    process.once("SIGINT", stop);
  });
  await worker.close();
  await running;
  say("done", { jobs, seconds: jobs > 0 ? (last - first) / 1000 : 0 });
}
