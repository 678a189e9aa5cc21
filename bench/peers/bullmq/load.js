// The jobs, the queue's name, and the one way to say something.
import { Redis } from "ioredis";

/** The queue; its keys start with `bull:bench:`. */
export const QUEUE = "bench";
/** The name of every job. */
export const KIND = "bench.noop";

const FILLER = "x".repeat(231);

/** The same 300 bytes of JSON as `data` in bench/src/load.rs, with the monotonic clock of this process. */
export const data = (number) => ({
  published_ns: String(process.hrtime.bigint()).padStart(20, "0"),
  number: String(number).padStart(8, "0"),
  text: FILLER,
});

/**
 * A connection as BullMQ wants it. None of these made BullMQ faster when they
 * were tried: ioredis' auto-pipelining, ioredis 6, the node-redis client.
 */
export const connect = (url) => new Redis(url, { maxRetriesPerRequest: null });

/** Says one thing as a line of JSON. */
export const say = (event, fields = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
