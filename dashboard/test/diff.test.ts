import { describe, expect, it } from "vitest";
import { diff, hunks } from "../src/lib/diff";

const shown = (before: string, after: string) => diff(before, after).map(({ sign, text }) => sign + text);

describe("a diff", () => {
  it("shows what was removed before what was added", () => {
    expect(shown("a\nb\nc", "a\nx\nc")).toEqual([" a", "-b", "+x", " c"]);
    expect(shown("a", "a\nb")).toEqual([" a", "+b"]);
    expect(shown("a\nb", "b")).toEqual(["-a", " b"]);
  });

  it("gives both texts back", () => {
    const before = "one\ntwo\nthree\nfour\nthree";
    const after = "two\nthree\nfive\nthree\nsix";
    const lines = diff(before, after);
    const side = (sign: string) => lines.filter((line) => line.sign !== sign).map((line) => line.text).join("\n");
    expect(side("+")).toBe(before);
    expect(side("-")).toBe(after);
  });

  it("shows a few lines around each change", () => {
    const before = Array.from({ length: 20 }, (_, n) => `line ${n}`).join("\n");
    expect(hunks(diff(before, before.replace("line 9", "other"))).map((line) => line.text)).toEqual(["line 7", "line 8", "line 9", "other", "line 10", "line 11"]);
    expect(hunks(diff(before, before))).toEqual([]);
  });
});
