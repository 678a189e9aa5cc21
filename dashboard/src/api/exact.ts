// Numbers as they were written.
//
// A browser rounds a number beyond 2^53, and one with too many digits. An order's number would be
// shown, and sent back, as another one. So such a number travels as a marked text: the mark is a
// character of the private area, which `marked` escapes where a text of the API has it.

const MARK = "\uE0FF";
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** A number as its sign, its digits without zeros around them, and its exponent. */
function value(token: string): string {
  const [, sign = "", whole = "", part = "", power = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(token) ?? [];
  const digits = (whole + part).replace(/^0+/, "");
  const bare = digits.replace(/0+$/, "");
  const exponent = Number(power) - part.length + digits.length - bare.length;
  return bare === "" ? "0" : `${sign}${bare}e${exponent}`;
}

/** JSON text in which each number that a browser would change is a marked text. */
export function marked(json: string): string {
  return json.replace(TOKEN, (token) => {
    if (token.startsWith('"')) return token.includes(MARK) ? token.replaceAll(MARK, "\\ufffd") : token;
    return value(String(Number(token))) === value(token) ? token : JSON.stringify(MARK + token);
  });
}

/** JSON text of a value that came from `marked`: numbers as they were written. */
export function printed(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent) ?? "null";
  return text.replace(TOKEN, (token) => (token.startsWith(`"${MARK}`) ? token.slice(1 + MARK.length, -1) : token));
}

/** Reads JSON that a person wrote. */
export function parsed(json: string): unknown {
  // The check comes first: a marked text would hide a number that is none.
  JSON.parse(json);
  return JSON.parse(marked(json));
}

/** A marked number as its digits; `null` for another value. */
export function digits(value: unknown): string | null {
  return typeof value === "string" && value.startsWith(MARK) ? value.slice(MARK.length) : null;
}
