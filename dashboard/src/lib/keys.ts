// Keys. None acts while somebody types, and none with Ctrl, Alt or Meta except Ctrl-K.

import { signal } from "@preact/signals";
import { go, href, type Screen } from "./place";

export const isHelpOpen = signal(false);
export const isFindOpen = signal(false);

/** `g` and then one of these opens a screen. */
export const LEADS: [key: string, screen: Screen, name: string][] = [
  ["n", "", "Now"],
  ["o", "outcomes", "Outcomes"],
  ["f", "failures", "Failures"],
  ["t", "tenants", "Tenants"],
  ["j", "jobs", "Jobs"],
  ["q", "queues", "Queues"],
  ["s", "schedules", "Schedules"],
  ["m", "operations", "Operations"],
  ["x", "quarantine", "Quarantine"],
  ["a", "audit", "Audit log"],
  ["r", "access", "Access"],
];

/** The list of the screen, which `j`, `k` and Enter move through. */
export interface Listed {
  move: (by: number) => void;
  open: () => void;
  /** Marks the row, or takes its mark away. */
  mark: () => void;
}
export const list: { current: Listed | null } = { current: null };
/** What `p` does: pause or continue the lists. */
export const acts: { pause: () => void } = { pause: () => {} };

const LEAD_MS = 1_500;
let leadUntil = 0;

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));
}

function onKey(event: KeyboardEvent) {
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
    event.preventDefault();
    isFindOpen.value = true;
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (performance.now() < leadUntil) {
    leadUntil = 0;
    const lead = LEADS.find(([key]) => key === event.key);
    if (lead) {
      event.preventDefault();
      go(href(lead[1]));
    }
    return;
  }
  switch (event.key) {
    case "/":
      event.preventDefault();
      isFindOpen.value = true;
      break;
    case "?":
      isHelpOpen.value = true;
      break;
    case "g":
      leadUntil = performance.now() + LEAD_MS;
      break;
    case "p":
      acts.pause();
      break;
    case "j":
    case "k":
      list.current?.move(event.key === "j" ? 1 : -1);
      break;
    case "x":
      list.current?.mark();
      break;
    case "Enter":
      if (event.target === document.body) list.current?.open();
      break;
    default:
  }
}

export const listen = () => document.addEventListener("keydown", onKey);
