import { describe, expect, it } from "vitest";
import { lasting, relative, roughly } from "../src/lib/time";
import { bytes, counted, number, percent } from "../src/lib/words";

describe("durations", () => {
  it("have at most two units", () => {
    const cases: [number, string][] = [
      [0, "0 ms"],
      [12, "12 ms"],
      [999, "999 ms"],
      [1_000, "1.0 s"],
      [3_440, "3.4 s"],
      [9_960, "10 s"],
      [59_600, "1 min"],
      [61_000, "1 min 1 s"],
      [3_600_000, "1 h"],
      [3_605_000, "1 h"],
      [7_500_000, "2 h 5 min"],
      [90_000_000, "1 d 1 h"],
    ];
    for (const [ms, text] of cases) expect(lasting(ms)).toBe(text);
  });

  it("tell what comes from what was", () => {
    expect(relative(5_000, 0)).toBe("in 5 s");
    expect(relative(0, 180_000)).toBe("3 min ago");
    expect(relative(500, 0)).toBe("now");
    expect(roughly(7_500_000)).toBe("2 h");
  });
});

describe("figures", () => {
  it("are grouped without a comma or a point", () => {
    expect(number(1234567)).toBe("1\u202f234\u202f567");
    expect(counted(1, "job")).toBe("1 job");
    expect(counted(0, "job")).toBe("0 jobs");
  });

  it("are never rounded up to everything", () => {
    expect(percent(1)).toBe("100 %");
    expect(percent(0.99999)).toBe("99.9 %");
    expect(percent(0)).toBe("0.0 %");
  });

  it("of bytes have a unit", () => {
    expect([bytes(812), bytes(1_536), bytes(5 * 1_048_576)]).toEqual(["812 B", "1.5 KiB", "5.0 MiB"]);
  });
});
