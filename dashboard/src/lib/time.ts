// Times and durations in words, and the clock that they are counted from.

import { signal } from "@preact/signals";

/** How far the server's clock is ahead of this one, ms. The API tells whole seconds. */
let skew = 0;
const NOTICEABLE_MS = 2_000;

/** Learns the server's time. */
export function learn(serverTime: number) {
  const found = serverTime - Date.now();
  skew = Math.abs(found) < NOTICEABLE_MS ? 0 : found;
}

/** Now by the server's clock, ms. */
export const serverNow = () => Date.now() + skew;

/** Ticks once a second while the page is seen. */
export const now = signal(serverNow());

export function tick() {
  setInterval(() => {
    if (!document.hidden) now.value = serverNow();
  }, 1_000);
}

const UNITS: [number, string][] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
];

/** A duration in at most two units: `2 h 5 min`, `3.4 s`, `12 ms`. */
export function lasting(ms: number): string {
  const whole = Math.abs(ms);
  if (whole < 1_000) return `${Math.round(whole)} ms`;
  if (whole < 9_950) return `${(whole / 1_000).toFixed(1)} s`;
  let left = Math.round(whole / 1_000) * 1_000;
  const parts: string[] = [];
  for (const [size, unit] of UNITS) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
    else if (parts.length) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/** One unit, for figures: `2 h`, `34 s`. */
export function roughly(ms: number): string {
  const whole = Math.abs(ms);
  for (const [size, unit] of UNITS) if (whole >= size) return `${Math.floor(whole / size)} ${unit}`;
  return "0 s";
}

/** A time relative to `from`: `in 3 min`, `2 h ago`, `now`. */
export function relative(at: number, from: number): string {
  const apart = at - from;
  if (Math.abs(apart) < 1_000) return "now";
  return apart > 0 ? `in ${roughly(apart)}` : `${roughly(apart)} ago`;
}

const two = (value: number) => String(value).padStart(2, "0");

/** `09:26:53` in this browser's time zone. */
export function clock(at: number): string {
  const date = new Date(at);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** `09:26:53.589`. */
export const clockMs = (at: number) => `${clock(at)}.${String(new Date(at).getMilliseconds()).padStart(3, "0")}`;

/** `2026-03-14`. */
export function day(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** A time as short as its day allows: today's has no date. */
export const short = (at: number, from: number) =>
  day(at) === day(from) ? clock(at) : `${day(at)} ${clock(at).slice(0, 5)}`;

/** The whole time, for a title. */
export const whole = (at: number) => `${day(at)} ${clockMs(at)} (${new Date(at).toISOString()} UTC)`;
