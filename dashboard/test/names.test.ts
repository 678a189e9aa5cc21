import { describe, expect, it } from "vitest";
import { idIn, signalOf } from "../src/lib/names";

const JOB = "mrtu2hq6wcbcvkoxmzkhxbs7da";

describe("an id", () => {
  it("is found alone and in what holds it", () => {
    for (const text of [JOB, `<${JOB}.edit-1.invoice@upshot.example>`, `http://host/job?id=${JOB}`, `/v1/jobs/${JOB}/why`]) expect(idIn(text)).toBe(JOB);
  });

  it("is not a part of a longer word", () => {
    for (const text of [`a${JOB}`, `${JOB}a`, JOB.slice(1), "order-1042", ""]) expect(idIn(text)).toBeUndefined();
  });
});

describe("a condition", () => {
  it("of a handler has a signal", () => {
    expect(signalOf("wait breaker:smtp")).toEqual({ key: "breaker:smtp", tenant: null });
    expect(signalOf("tenant acme|delivered a|b")).toEqual({ key: "delivered a|b", tenant: "acme" });
  });

  it("of the queue has none", () => {
    for (const condition of ["kind invoice.issue@2", "args invoice.issue@2", "resume invoice.issue", ""]) expect(signalOf(condition)).toBeNull();
  });
});
