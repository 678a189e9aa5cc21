// What the element says. A page may replace each text, for another language.

import type { State } from "./view";

export const words: Record<State | "label" | "away" | "as_of", string> = {
  waiting: "Waiting for its turn.",
  running: "In progress.",
  again: "It did not work yet, and will be tried again.",
  parked: "Waiting for something else.",
  succeeded: "Done.",
  dead: "It did not work. It is not tried again by itself.",
  cancelled: "Cancelled.",
  absent: "Nothing is there yet.",
  gone: "It was forgotten.",
  refused: "This link does not work any more.",
  away: "No connection.",
  as_of: "As of",
  label: "Progress",
};
