import { describe, expect, it } from "vitest";
import type { StoryEntry } from "../src/api/types";
import { layOut, ticks, toneOf } from "../src/lib/axis";

const START = Date.parse("2026-03-14T09:00:00.000Z");
const time = (ms: number) => new Date(START + ms).toISOString();

function entry(ms: number, what: StoryEntry["what"], more: Partial<StoryEntry> = {}): StoryEntry {
  return { at: time(ms), until: null, job: "a", queue: "q", kind: "k", what, text: what, status: null, receipt: null, facts: {}, by: null, ...more };
}
const marks = (story: StoryEntry[], now = 60_000) =>
  layOut(story, START + now).lanes[0]?.marks.map(({ kind, from, to, isOpen, tone }) => ({ kind, from: from - START, to: to - START, isOpen, tone })) ?? [];
const spans = (story: StoryEntry[], now?: number) => marks(story, now).filter((mark) => mark.kind !== "point");

describe("the time axis", () => {
  it("draws an attempt from its begin to its failure, and the wait after it", () => {
    const story = [
      entry(0, "accepted"),
      entry(100, "attempt"),
      entry(2_100, "failed"),
      entry(2_100, "wait", { until: time(12_100) }),
      entry(12_100, "attempt"),
      entry(13_000, "ended"),
    ];
    expect(spans(story)).toEqual([
      { kind: "run", from: 100, to: 2_100, isOpen: false, tone: "bad" },
      { kind: "wait", from: 2_100, to: 12_100, isOpen: false, tone: "plain" },
      { kind: "run", from: 12_100, to: 13_000, isOpen: false, tone: "info" },
    ]);
  });

  it("draws the wait of now, which is no entry of its own", () => {
    const story = [entry(0, "accepted"), entry(100, "attempt"), entry(500, "change", { text: "the job was parked: order-1 confirmed" }), entry(60_000, "now")];
    expect(spans(story)).toEqual([
      { kind: "run", from: 100, to: 500, isOpen: false, tone: "info" },
      { kind: "wait", from: 500, to: 60_000, isOpen: true, tone: "plain" },
    ]);
  });

  it("does not begin a wait anew for a note or an owner", () => {
    const parked = entry(500, "change", { text: "the job was parked: order-1 confirmed" });
    const story = [entry(0, "accepted"), entry(100, "attempt"), parked, entry(30_000, "change", { text: "note: asked" }), entry(60_000, "now")];
    expect(spans(story).filter((mark) => mark.kind === "wait")).toEqual([{ kind: "wait", from: 500, to: 60_000, isOpen: true, tone: "plain" }]);
  });

  it("goes on with an attempt that has not ended, and draws no wait beside it", () => {
    const story = [entry(0, "accepted"), entry(100, "attempt"), entry(200, "step"), entry(60_000, "now")];
    expect(spans(story)).toEqual([{ kind: "run", from: 100, to: 60_000, isOpen: true, tone: "info" }]);
    expect(layOut(story, START + 60_000).to).toBe(START + 60_000);
  });

  it("does not end an attempt for an operator's note", () => {
    const story = [entry(0, "accepted"), entry(100, "attempt"), entry(200, "change", { text: "note: the parked car" }), entry(900, "ended")];
    expect(spans(story)).toEqual([{ kind: "run", from: 100, to: 900, isOpen: false, tone: "info" }]);
  });

  it("has a lane for each job, in the order of their first entry", () => {
    const axis = layOut([entry(0, "accepted"), entry(5, "accepted", { job: "b" }), entry(10, "attempt"), entry(20, "ended")], START + 99);
    expect(axis.lanes.map((lane) => lane.job)).toEqual(["a", "b"]);
    expect([axis.from, axis.to]).toEqual([START, START + 20]);
  });

  it("has a length even for one moment, and none without entries", () => {
    const axis = layOut([entry(0, "accepted")], START);
    expect(axis.to).toBeGreaterThan(axis.from);
    expect(layOut([], START).lanes).toEqual([]);
  });

  it("shows a due time that is near, and none that is far", () => {
    const story = [entry(0, "accepted"), entry(100, "attempt"), entry(1_000, "ended")];
    const due = (at: number) => layOut(story, START + 1_000, new Map([["a", START + at]]));
    expect([due(500).lanes[0]?.due, due(500).to]).toEqual([START + 500, START + 1_000]);
    expect(due(1_800).to).toBe(START + 1_800);
    expect([due(60_000).lanes[0]?.due, due(60_000).to]).toEqual([null, START + 1_000]);
  });

  it("ticks at round distances, a few of them, whatever the length", () => {
    expect(ticks(0, 60_000).map((tick) => tick.text)).toEqual(["0", "+10 s", "+20 s", "+30 s", "+40 s", "+50 s", "+1 min"]);
    for (let length = 1; length < 1e12; length *= 3.7) {
      const count = ticks(0, length).length;
      expect(count).toBeGreaterThan(0);
      expect(count).toBeLessThanOrEqual(8);
    }
  });

  it("gives each verdict a tone", () => {
    expect(["achieved_in_time", "achieved_late", "overdue", "missed", "cancelled", null].map(toneOf)).toEqual(["good", "warn", "warn", "bad", "plain", "plain"]);
  });
});
