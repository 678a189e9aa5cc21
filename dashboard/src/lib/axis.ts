// The time axis of a story: what is drawn where. Pure.

import type { StoryEntry } from "../api/types";

/** A span or a point of a lane, in ms. */
export interface Mark {
  kind: "wait" | "run" | "point";
  tone: "plain" | "good" | "warn" | "bad" | "info";
  from: number;
  to: number;
  /** The wait or run has not ended. */
  isOpen: boolean;
  text: string;
  /** Which entry of the story it draws. */
  entry: number;
}

export interface Lane {
  job: string;
  kind: string;
  queue: string;
  marks: Mark[];
  /** When its outcome is due, if that is on the axis. */
  due: number | null;
}

export interface Axis {
  from: number;
  to: number;
  lanes: Lane[];
  ticks: { at: number; text: string }[];
}

const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
  900_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000, 172_800_000, 604_800_000,
];

/** About `wanted` ticks at round distances from the beginning. */
export function ticks(from: number, to: number, wanted = 6): { at: number; text: string }[] {
  const length = Math.max(1, to - from);
  const last = STEPS[STEPS.length - 1] ?? 1;
  const step = STEPS.find((size) => length / size <= wanted) ?? Math.ceil(length / wanted / last) * last;
  const found: { at: number; text: string }[] = [];
  for (let at = 0; at <= length; at += step) found.push({ at: from + at, text: at === 0 ? "0" : `+${offset(at)}` });
  return found;
}

function offset(ms: number): string {
  if (ms % 86_400_000 === 0) return `${ms / 86_400_000} d`;
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000} h`;
  if (ms % 60_000 === 0) return `${ms / 60_000} min`;
  if (ms % 1_000 === 0) return `${ms / 1_000} s`;
  if (ms > 60_000) return `${Math.round(ms / 1_000)} s`;
  return ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`;
}

const GOOD = ["achieved_in_time"];
const WARN = ["achieved_late", "overdue", "partial", "reopened", "awaiting"];
const BAD = ["missed"];

/** What a status means. */
export function toneOf(status: string | null): Mark["tone"] {
  if (status === null) return "plain";
  if (GOOD.includes(status)) return "good";
  if (WARN.includes(status)) return "warn";
  return BAD.includes(status) ? "bad" : "plain";
}

/** What ends an attempt without a failure or an end of the job: the handler hands the job back, or its proof is to come. */
const HANDED_BACK = /^the (worker handed the attempt back|handler put the job off|job was parked|work is done; it awaits its proof)/;

/** Lays a story out: a lane for each job, waits and runs as spans, the rest as points. */
export function layOut(story: readonly StoryEntry[], now: number, dues: ReadonlyMap<string, number> = new Map()): Axis {
  const lanes = new Map<string, Drawn>();
  let from = Infinity;
  let to = -Infinity;
  story.forEach((entry, index) => {
    let lane = lanes.get(entry.job);
    if (!lane) {
      lane = new Drawn(entry);
      lanes.set(entry.job, lane);
    }
    from = Math.min(from, Date.parse(entry.at));
    to = Math.max(to, Date.parse(entry.until ?? entry.at));
    lane.add(entry, index, now);
  });
  const all = [...lanes.values()].map(({ lane }) => lane);
  if (from === Infinity) return { from: now, to: now, lanes: [], ticks: [] };
  if (all.some((lane) => lane.marks.some((mark) => mark.isOpen))) to = Math.max(to, now);
  // A due time that is near belongs to the picture; a far one would leave no room for the rest.
  const near = to + (to - from);
  for (const lane of all) {
    const due = dues.get(lane.job);
    if (due === undefined || due < from || due > near) continue;
    lane.due = due;
    to = Math.max(to, due);
  }
  if (to <= from) to = from + 1;
  return { from, to, lanes: all, ticks: ticks(from, to) };
}

/** A lane that is being drawn. */
class Drawn {
  readonly lane: Lane;
  /** The attempt that has not ended yet. */
  private run: Mark | null = null;
  /** Since when nothing happens. */
  private idle: number | null = null;

  constructor(first: StoryEntry) {
    this.lane = { job: first.job, kind: first.kind, queue: first.queue, marks: [], due: null };
  }

  add(entry: StoryEntry, index: number, now: number) {
    const at = Date.parse(entry.at);
    const add = (kind: Mark["kind"], tone: Mark["tone"], to = at, isOpen = false, start = at): Mark => {
      const made = { kind, tone, from: start, to, isOpen, text: entry.text, entry: index };
      this.lane.marks.push(made);
      return made;
    };
    switch (entry.what) {
      case "wait": {
        const until = entry.until === null ? now : Date.parse(entry.until);
        this.end(at, "info");
        add("wait", "plain", until, entry.until === null);
        this.idle = until;
        break;
      }
      case "attempt":
        this.end(at, "info");
        this.run = add("run", "info", now, true);
        this.idle = null;
        break;
      case "failed":
        this.end(at, "bad");
        add("point", "bad");
        this.idle = at;
        break;
      case "ended":
        this.end(at, "info");
        add("point", "plain");
        this.idle = null;
        break;
      case "verdict":
        add("point", toneOf(entry.status));
        break;
      case "now":
        // A wait that has not ended is no entry of its own.
        if (this.run === null && this.idle !== null) add("wait", "plain", now, true, this.idle);
        break;
      case "change":
        if (HANDED_BACK.test(entry.text)) this.end(at, "info");
        add("point", "plain");
        // A note or an owner does not end a wait.
        if (this.run === null) this.idle ??= at;
        break;
      case "accepted":
        this.idle = at;
        add("point", "plain");
        break;
      default:
        add("point", "plain");
    }
  }

  private end(at: number, tone: Mark["tone"]) {
    if (this.run === null) return;
    Object.assign(this.run, { to: at, isOpen: false, tone });
    this.run = null;
  }
}
