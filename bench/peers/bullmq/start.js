// From just before `queue.add` to the first line of the processor, at a rate.
//
// Producer and worker share one process, so that one clock tells both times; the
// bench's own measurement (bench/src/measure/queue_start.rs) does the same.
import { setTimeout as sleep } from "node:timers/promises";

import { Queue, Worker } from "bullmq";

import { KIND, QUEUE, connect, data, say } from "./load.js";

/** Jobs before the measured ones, so that connections and compiled code are warm. */
const WARM_UP = 200;
/** More than the jobs of a low rate need, fewer than would matter. */
const CONCURRENCY = 16;

export async function start({ redis, rate, seconds }) {
  const queue = new Queue(QUEUE, { connection: connect(redis) });
  let waits = [];
  let arrived = () => {};
  const worker = new Worker(
    QUEUE,
    async (job) => {
      const now = process.hrtime.bigint();
      waits.push(Number(now - BigInt(job.data.published_ns)) / 1e6);
      arrived();
    },
    { connection: connect(redis), concurrency: CONCURRENCY },
  );
  worker.on("error", (error) => console.error(error));
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  say("ready");

  const round = async (jobs) => {
    waits = [];
    const all = new Promise((done) => {
      arrived = () => waits.length === jobs && done();
    });
    const since = performance.now();
    const adding = [];
    for (let number = 0; number < jobs; number += 1) {
      // Late ones follow at once, so that the rate is kept.
      const early = since + (number * 1000) / rate - performance.now();
      if (early > 0) await sleep(early);
      adding.push(queue.add(KIND, data(number)));
    }
    await Promise.all(adding);
    await all;
  };
  await round(WARM_UP);
  await round(rate * seconds);
  say("latencies", { rate, jobs: waits.length, ms: waits.map((ms) => Math.round(ms * 1000) / 1000) });
  await Promise.all([worker.close(), queue.close()]);
}
