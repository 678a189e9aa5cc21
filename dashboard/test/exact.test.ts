import { describe, expect, it } from "vitest";
import { digits, marked, parsed, printed } from "../src/api/exact";

const through = (json: string) => printed(JSON.parse(marked(json)));

describe("numbers", () => {
  it("stay as they were written", () => {
    for (const json of [
      '{"order":9007199254740993}',
      '{"order":-12345678901234567890}',
      "[1E400,0.12345678901234567890123,-1e-400]",
      '{"a":{"b":[123456789012345678901234567890]}}',
      "18446744073709551615",
    ])
      expect(through(json)).toBe(json);
  });

  it("in texts are no numbers", () => {
    for (const json of ['"9007199254740993"', '{"9007199254740993":"1.10"}', '"say \\"1.10\\" 2e3"', '"back\\\\"', '"\\u00e9"'])
      expect(JSON.parse(through(json))).toEqual(JSON.parse(json));
  });

  it("that a browser knows exactly are numbers", () => {
    for (const json of ["42", "0.5", "1.0", "-2.50", "2e3", "0", "-0.0", "0.9473684210526315", "9007199254740992", "1e21", "1.5e-7", "100"])
      expect(JSON.parse(marked(json))).toBe(JSON.parse(json));
  });

  it("are shown by their digits", () => {
    expect(digits(JSON.parse(marked("9007199254740993")))).toBe("9007199254740993");
    expect(digits("9007199254740993")).toBeNull();
  });

  it("cannot be forged by a text with the mark", () => {
    expect(through('"\uE0FF1"')).not.toBe("1");
  });

  it("that are none are refused, although a marked text would hide them", () => {
    expect(() => parsed("[01]")).toThrow();
    expect(() => parsed('{"a":1e}')).toThrow();
    expect(printed(parsed('{"a":9007199254740993}'))).toBe('{"a":9007199254740993}');
  });
});
