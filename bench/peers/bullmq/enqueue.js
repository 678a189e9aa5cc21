// Enqueues in bulk, and says how many a second from the first call to the last answer.
import { Queue } from "bullmq";

import { KIND, QUEUE, connect, data, say } from "./load.js";

/** Jobs into another queue beforehand, so that the compiler of JavaScript has done its work. */
const WARM_UP = 3000;

export async function enqueue({ redis, jobs, chunk, lanes }) {
  const connection = connect(redis);
  const warm = new Queue("warm", { connection });
  await fill(warm, WARM_UP, chunk, lanes);
  await warm.obliterate();

  const queue = new Queue(QUEUE, { connection });
  await queue.waitUntilReady();
  say("ready");
  const since = performance.now();
  await fill(queue, jobs, chunk, lanes);
  const seconds = (performance.now() - since) / 1000;
  say("done", { jobs, seconds, per_s: jobs / seconds });
}

/** Several bulks are under way at once, so that Redis works while the next one is put together. */
export async function fill(queue, jobs, chunk, lanes) {
  let next = 0;
  const lane = async () => {
    while (next < jobs) {
      const from = next;
      next = Math.min(from + chunk, jobs);
      const bulk = [];
      for (let number = from; number < next; number += 1) bulk.push({ name: KIND, data: data(number) });
      await queue.addBulk(bulk);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
