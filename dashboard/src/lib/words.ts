// Numbers and names as people read them.

const NUMBER = new Intl.NumberFormat("en-GB");

/** `12 345`, with a narrow space: no comma or point that another country reads otherwise. */
export const number = (value: number) => NUMBER.format(value).replaceAll(",", "\u202f");

/** `1 job`, `2 jobs`. */
export const counted = (count: number, one: string, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** `98.2 %`. Never rounds to 100 what is not. */
export function percent(share: number): string {
  if (share >= 1) return "100 %";
  return `${Math.min(99.9, Math.max(0, share * 100)).toFixed(1)} %`;
}

/** `1.2 MiB`. */
export function bytes(count: number): string {
  if (count < 1_024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB"];
  let value = count / 1_024;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** A stable word of the API for people: `achieved_in_time` is `achieved in time`. */
export const plain = (name: string) => name.replaceAll("_", " ");

/** A sentence begins with a capital. */
export const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
