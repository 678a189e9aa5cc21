// Lists that stand still while somebody points at them.

import { signal } from "@preact/signals";
import { useRef } from "preact/hooks";

/** Whether the person paused all lists. */
export const isPaused = signal(false);

export interface Frozen<T> {
  rows: readonly T[];
  /** Rows that have come since the list stands still. */
  fresh: number;
}

/** Rows to show: those of before while `isHeld`, with their newest content, and a count of new ones. */
export function hold<T>(before: readonly T[], now: readonly T[], id: (row: T) => string, isHeld: boolean): Frozen<T> {
  if (!isHeld) return { rows: now, fresh: 0 };
  const newest = new Map(now.map((row) => [id(row), row]));
  const known = new Set(before.map(id));
  const rows = before.map((row) => newest.get(id(row)) ?? row);
  return { rows, fresh: now.filter((row) => !known.has(id(row))).length };
}

export function useFrozen<T>(now: readonly T[], id: (row: T) => string, isHeld: boolean, scope: string): Frozen<T> {
  const shown = useRef<{ scope: string; rows: readonly T[] }>({ scope, rows: now });
  // Another filter is another list; a list that was empty holds nothing.
  const isSame = shown.current.scope === scope && shown.current.rows.length > 0;
  const frozen = hold(shown.current.rows, now, id, isHeld && isSame);
  shown.current = { scope, rows: frozen.rows };
  return frozen;
}
