// Small drawings. Each shape means one thing, so that no meaning hangs on a colour.

const PATHS = {
  check: "M3 8.5l3.2 3.2L13 4.8",
  cross: "M4 4l8 8M12 4l-8 8",
  warn: "M8 2.2 14.5 13.5h-13zM8 6.5v3.4M8 11.8v.1",
  clock: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M8 4.6V8l2.3 1.6",
  play: "M5 3.2v9.6l7.5-4.8z",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  dot: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6",
  dash: "M3.5 8h9",
  again: "M13 8a5 5 0 1 1-1.6-3.7M13 2.2v3h-3",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
  search: "M7 2.2a4.8 4.8 0 1 0 0 9.6 4.8 4.8 0 0 0 0-9.6M10.6 10.6l3.4 3.4",
  sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.1 1.1M11.9 11.9 13 13M13 3l-1.1 1.1M4.1 11.9 3 13",
  moon: "M13.4 9.6A5.8 5.8 0 1 1 6.4 2.6a4.6 4.6 0 0 0 7 7",
  half: "M8 2a6 6 0 1 0 0 12M8 2a6 6 0 0 1 0 12zM8 2v12M8 4.5h4M8 8h6M8 11.5h4",
  shield: "M8 1.8 13.5 4v4c0 3.4-2.4 5.4-5.5 6.4C4.9 13.4 2.5 11.4 2.5 8V4z",
  away: "M2 5.5c3.6-3 8.4-3 12 0M4.5 8.5c2.1-1.7 4.9-1.7 7 0M8 12v.1M2.5 2.5l11 11",
  next: "M6 3.5 10.5 8 6 12.5",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, label }: { name: IconName; label?: string }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" role={label ? "img" : undefined} aria-label={label} aria-hidden={label ? undefined : "true"}>
      <path d={PATHS[name]} />
    </svg>
  );
}
