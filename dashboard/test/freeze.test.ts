import { describe, expect, it } from "vitest";
import { hold } from "../src/lib/freeze";

const row = (id: string, state = "ready") => ({ id, state });
const id = (one: { id: string }) => one.id;

describe("a list that is pointed at", () => {
  it("keeps its rows and their order, with the newest content, and counts what has come", () => {
    const before = [row("a"), row("b")];
    const now = [row("c"), row("d"), row("b", "running")];
    expect(hold(before, now, id, true)).toEqual({ rows: [row("a"), row("b", "running")], fresh: 2 });
  });

  it("shows everything when it is left", () => {
    const now = [row("c")];
    expect(hold([row("a")], now, id, false)).toEqual({ rows: now, fresh: 0 });
  });
});
