import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { Snapshot } from "../src/api/types";
import { parser } from "../src/embed/events";
import { follow, place, wait } from "../src/embed/follow";
import { type Heard, START, type View, next } from "../src/embed/view";

const job = (state: Snapshot["state"], percent?: number, more: Partial<Snapshot> = {}): Snapshot => ({
  id: "j",
  state,
  priority: "normal",
  attempts: 1,
  progress: percent === undefined ? null : { percent, step: "send", message: null },
  steps: [],
  waiting_for: null,
  failure: null,
  outcome: null,
  ...more,
});

describe("the view", () => {
  test("the percentage never becomes less, whatever comes in whatever order", () => {
    let seed = 7;
    const random = (most: number) => (seed = (seed * 48_271) % 2_147_483_647) % most;
    const states = ["ready", "running", "scheduled", "parked", "running", "dead", "succeeded"] as const;
    let view = START;
    for (let n = 0; n < 2_000; n++) {
      const heard: Heard[] = [{ is: "job", job: job(states[random(states.length)]!, random(3) ? random(101) : undefined) }, { is: "cut", at: n }, { is: "back" }, { is: "absent" }];
      const after = next(view, heard[random(6)] ?? heard[0]!);
      expect(after.percent ?? -1).toBeGreaterThanOrEqual(view.percent ?? -1);
      view = after;
    }
    expect(view.percent).toBe(100);
  });

  test("success is 100 percent, and a failure stays where it was", () => {
    const at60 = next(START, { is: "job", job: job("running", 60) });
    expect(next(at60, { is: "job", job: job("succeeded", 60) })).toMatchObject({ percent: 100, isOver: true });
    expect(next(at60, { is: "job", job: job("dead", 0) })).toMatchObject({ percent: 60, isOver: true, state: "dead" });
  });

  test("a job that waits for its next attempt says so", () => {
    const waiting_for = { class: "transient", reason: "a private address", retry_at: null } as const;
    const view = next(START, { is: "job", job: job("scheduled", 10, { waiting_for }) });
    expect(view.state).toBe("again");
    expect(JSON.stringify(view)).not.toContain("private");
    expect(next(START, { is: "job", job: job("scheduled") }).state).toBe("waiting");
  });
});

test("events are read from parts of any size, and heartbeats are none", () => {
  const text = ':\n\nevent: snapshot\nretry: 1000\nid: 4\ndata: {"a":"x: y"}\n\n:\n\nevent: gone\ndata: {}\n\n';
  for (let size = 1; size < text.length; size++) {
    const heard: unknown[] = [];
    const take = parser((event) => heard.push(event));
    for (let at = 0; at < text.length; at += size) take(text.slice(at, at + size));
    expect(heard).toEqual([
      { name: "snapshot", id: "4", data: '{"a":"x: y"}' },
      { name: "gone", id: "", data: "{}" },
    ]);
  }
});

test("the waits grow, are bounded, and differ between pages", () => {
  expect([0, 1, 2, 9, 99].map((failures) => wait(failures, 1))).toEqual([1_000, 2_000, 4_000, 30_000, 30_000]);
  expect(wait(0, 0)).toBe(500);
});

test("the address comes from the base, the link of the event, or the capability link", () => {
  expect(place({ job: "j", base: "https://a/u/", credential: "upk_1" })).toEqual({ base: "https://a/u", stream: "https://a/u/v1/jobs/j/progress", bearer: "upk_1" });
  expect(place({ job: "j", credential: "https://a/u/access#upl_x.y" })).toEqual({ base: "https://a/u", stream: "https://a/u/v1/jobs/j/progress", bearer: "upl_x.y" });
  const src = "https://a/v1/jobs/j/progress?accepted=5";
  expect(place({ src })).toEqual({ base: "https://a", stream: src, bearer: "" });
});

describe("following", () => {
  let close = () => {};
  afterEach(() => close());

  /** A server that answers the requests in turn. */
  async function server(...answers: ((response: ServerResponse) => void)[]): Promise<{ base: string; asked: (string | undefined)[] }> {
    const asked: (string | undefined)[] = [];
    const listener = createServer((request, response) => {
      asked.push(request.headers["last-event-id"] as string | undefined);
      const answer = answers[Math.min(asked.length, answers.length) - 1]!;
      answer(response);
    });
    await new Promise<void>((done) => listener.listen(0, "127.0.0.1", done));
    close = () => {
      listener.closeAllConnections();
      listener.close();
    };
    return { base: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`, asked };
  }
  const stream = (response: ServerResponse) => response.writeHead(200, { "content-type": "text/event-stream" });
  const event = (name: string, id: string, data: unknown) => `event: ${name}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;

  test("a stream that breaks is resumed after what was seen, and says meanwhile that it is cut off", async () => {
    const { base, asked } = await server(
      (response) => stream(response).write(event("snapshot", "7", job("running", 40)), () => response.destroy()),
      (response) => response.writeHead(503).end(),
      (response) => stream(response).end(event("change", "8", job("running", 20)) + event("end", "9", job("succeeded", 90))),
    );
    const seen: View[] = [];
    await follow({ base, job: "j" }, new AbortController().signal, (view) => seen.push(view));
    expect(asked).toEqual([undefined, "7", "7"]);
    const cut = seen.find((view) => view.cut !== null);
    expect(cut).toMatchObject({ percent: 40, state: "running" });
    expect(cut!.cut).toBeGreaterThan(0);
    expect(seen.at(-1)).toMatchObject({ state: "succeeded", percent: 100, isOver: true, cut: null });
    expect(seen.filter((view) => view.percent === 20)).toEqual([]);
  });

  test("a link that is not taken any more ends it", async () => {
    const { base, asked } = await server((response) => response.writeHead(401).end());
    const seen: View[] = [];
    await follow({ base, job: "j", credential: "upl_x" }, new AbortController().signal, (view) => seen.push(view));
    expect(seen.map((view) => view.state)).toEqual(["refused"]);
    expect(asked.length).toBe(1);
  });

  test("a job that is not there yet is asked for again", async () => {
    const { base } = await server(
      (response) => response.writeHead(404).end(),
      (response) => stream(response).end(event("end", "1", job("dead"))),
    );
    const seen: View[] = [];
    await follow({ base, job: "j" }, new AbortController().signal, (view) => seen.push(view));
    expect(seen.map((view) => view.state)).toEqual(["absent", "dead"]);
  });
});
