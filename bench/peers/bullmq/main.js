// BullMQ under the load that the bench gives to Upshot. Each role is a process
// that says what happens as JSON lines on stdout; `upshot-bench` starts them,
// counts jobs in Redis and CPU in /proc, as it does for our own processes.
//
//   node main.js enqueue --redis URL --jobs N [--chunk N] [--lanes N]
//   node main.js work --redis URL --concurrency N [--remove] [--behind KEY]
//   node main.js start --redis URL --rate N --seconds N
import { parseArgs } from "node:util";

import { enqueue } from "./enqueue.js";
import { start } from "./start.js";
import { work } from "./work.js";

const roles = { enqueue, start, work };

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    redis: { type: "string" },
    jobs: { type: "string", default: "10000" },
    chunk: { type: "string", default: "1000" },
    lanes: { type: "string", default: "2" },
    concurrency: { type: "string", default: "100" },
    remove: { type: "boolean", default: false },
    behind: { type: "string" },
    rate: { type: "string", default: "50" },
    seconds: { type: "string", default: "10" },
  },
});
const role = roles[positionals[0]];
if (!role || !values.redis) {
  console.error(`usage: node main.js ${Object.keys(roles).join("|")} --redis redis://127.0.0.1:6379 [...]`);
  process.exit(2);
}

/** An option that must be a number from 1. */
const number = (name) => {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value > 0) return value;
  console.error(`--${name} is "${values[name]}"; it takes a whole number from 1`);
  process.exit(2);
};

await role({
  redis: values.redis,
  jobs: number("jobs"),
  chunk: number("chunk"),
  lanes: number("lanes"),
  concurrency: number("concurrency"),
  remove: values.remove,
  behind: values.behind,
  rate: number("rate"),
  seconds: number("seconds"),
});
// Connections that are still open would keep the process.
process.exit(0);
