// Runs jobs that do nothing until it is told to stop.
import { Queue, Worker } from "bullmq";

import { fill } from "./enqueue.js";
import { QUEUE, connect, say } from "./load.js";

/** Jobs of another queue beforehand, so that the compiler of JavaScript has done its work. */
const WARM_UP = 3000;

/**
 * With `remove` a job is deleted when it is done, which is less work for Redis
 * than to keep it, as BullMQ does by itself and as Upshot does. With `behind` it
 * gets warm, says at that key of Redis that it is ready, and begins when the bench
 * answers: so several workers begin together, and none of it is part of the figures.
 */
export async function work({ redis, concurrency, remove, behind }) {
  const connection = connect(redis);
  const options = {
    connection,
    concurrency,
    autorun: false,
    ...(remove ? { removeOnComplete: { count: 0 } } : {}),
  };
  if (behind) await warmUp(options);
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
    options,
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

async function warmUp(options) {
  const name = `warm-${process.pid}`;
  const queue = new Queue(name, options);
  await fill(queue, WARM_UP, 1000, 1);
  const worker = new Worker(name, async () => {}, options);
  worker.on("error", (error) => console.error(error));
  const drained = new Promise((resolve) => worker.once("drained", resolve));
  const running = worker.run();
  await drained;
  await worker.close();
  await running;
  await queue.obliterate();
}
