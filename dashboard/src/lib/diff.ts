// What two texts do not share, line by line. Pure.

export interface Line {
  sign: " " | "-" | "+";
  text: string;
}

/** Texts with more lines than this are shown as removed and added as a whole. */
const MOST = 2_000;

/** The shortest edit between the lines of two texts (longest common subsequence). */
export function diff(before: string, after: string): Line[] {
  const a = before.split("\n");
  const b = after.split("\n");
  if (a.length > MOST || b.length > MOST) return [...a.map(removed), ...b.map(added)];
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1)
      common[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: Line[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ sign: " ", text: a[i] ?? "" });
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && at(i + 1, j) >= at(i, j + 1))) {
      lines.push(removed(a[i] ?? ""));
      i += 1;
    } else {
      lines.push(added(b[j] ?? ""));
      j += 1;
    }
  }
  return lines;
}

const removed = (text: string): Line => ({ sign: "-", text });
const added = (text: string): Line => ({ sign: "+", text });

/** Only the changed lines, with `around` lines before and after each. */
export function hunks(lines: readonly Line[], around = 2): Line[] {
  const near = (n: number) => lines.slice(Math.max(0, n - around), n + around + 1).some((line) => line.sign !== " ");
  return lines.filter((_, n) => near(n));
}
