// Rows of a list that a person marked, to act on them together.

import { signal } from "@preact/signals";

/** The marked rows by id. They belong to one list: another scope begins anew. */
export interface Marks<T> {
  scope: string;
  rows: ReadonlyMap<string, T>;
}

const none: Marks<unknown> = { scope: "", rows: new Map() };
const marks = signal<Marks<unknown>>(none);

/** The marked rows of a list. */
export function marked<T>(scope: string): ReadonlyMap<string, T> {
  const { scope: of, rows } = marks.value;
  return (of === scope ? rows : none.rows) as ReadonlyMap<string, T>;
}

/** The most rows that the API takes one by one. */
export const MOST = 1_000;

/** Marks a row, or takes its mark away. */
export function toggle<T>(scope: string, id: string, row: T) {
  const rows = new Map(marked<T>(scope));
  if (!rows.delete(id) && rows.size < MOST) rows.set(id, row);
  marks.value = { scope, rows };
}

/** Marks rows, or takes their marks away where all are marked. */
export function toggleAll<T>(scope: string, listed: readonly (readonly [id: string, row: T])[]) {
  const rows = new Map(marked<T>(scope));
  const isFull = listed.every(([id]) => rows.has(id));
  for (const [id, row] of listed) {
    if (isFull) rows.delete(id);
    else if (rows.size < MOST) rows.set(id, row);
  }
  marks.value = { scope, rows };
}

export const clear = () => {
  marks.value = none;
};
