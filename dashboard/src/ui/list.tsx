// A list: still while it is pointed at, moved through with `j`, `k` and Enter, cards on a narrow screen.

import { useEffect, useRef, useState } from "preact/hooks";
import { acts, list as keyed } from "../lib/keys";
import { isPaused, useFrozen } from "../lib/freeze";
import { change, go, params } from "../lib/place";
import { counted } from "../lib/words";
import { Icon } from "./icon";
import { marked, toggle, toggleAll } from "./marks";

export interface Column<T> {
  head: string;
  cell: (row: T) => preact.ComponentChildren;
  /** Numbers stand right. */
  right?: boolean;
  /** Takes the room that is left. */
  grows?: boolean;
  /** Hidden where the screen is narrow. */
  extra?: boolean;
}

export interface ListProps<T> {
  label: string;
  rows: readonly T[];
  id: (row: T) => string;
  columns: readonly Column<T>[];
  /** Where a row leads. */
  href?: (row: T) => string;
  /** What the rows depend on: another scope is another list. */
  scope?: string;
  /** Rows can be marked, under this name. */
  marks?: string;
  empty: preact.ComponentChildren;
}

const MOVED_MS = 1_500;

export function List<T>({ label, rows, id, columns, href, scope = "", marks, empty }: ListProps<T>) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [isHovered, hover] = useState(false);
  const frozen = useFrozen(rows, id, isHovered || isPaused.value, scope);
  const selected = params.value["sel"];
  const latest = useRef(frozen.rows);
  latest.current = frozen.rows;
  const timer = useRef(0);
  const chosen = marks === undefined ? null : marked<T>(marks);
  const markable = useRef(marks);
  markable.current = marks;

  useEffect(() => {
    const listed = {
      move(by: number) {
        const at = latest.current.findIndex((row) => id(row) === params.value["sel"]);
        const to = Math.min(latest.current.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : latest.current.length - 1) : at + by));
        const row = latest.current[to];
        if (row === undefined) return;
        change({ sel: id(row) }, "replace");
        body.current?.rows[to]?.scrollIntoView({ block: "nearest" });
      },
      open() {
        const row = latest.current.find((one) => id(one) === params.value["sel"]);
        if (row !== undefined && href) go(href(row));
      },
      mark() {
        const row = latest.current.find((one) => id(one) === params.value["sel"]);
        if (row !== undefined && markable.current !== undefined) toggle(markable.current, id(row), row);
      },
    };
    keyed.current = listed;
    return () => {
      if (keyed.current === listed) keyed.current = null;
    };
  }, [label]);

  if (frozen.rows.length === 0) return <>{empty}</>;
  return (
    <div
      class="list"
      onPointerMove={(event) => {
        if (event.pointerType !== "mouse") return;
        if (!isHovered) hover(true);
        // A pointer that was forgotten on the list holds nothing for ever.
        clearTimeout(timer.current);
        timer.current = window.setTimeout(() => hover(false), 20 * MOVED_MS);
      }}
      onPointerLeave={() => {
        clearTimeout(timer.current);
        hover(false);
      }}
    >
      {frozen.fresh > 0 && (
        <button
          type="button"
          class="fresh"
          onClick={() => {
            isPaused.value = false;
            hover(false);
          }}
        >
          <Icon name="next" /> {counted(frozen.fresh, "new", "new")}
        </button>
      )}
      <table>
        <caption class="offscreen">{label}</caption>
        <thead>
          <tr>
            {marks !== undefined && chosen && (
              <th scope="col" class="mark">
                <input
                  type="checkbox"
                  aria-label="Mark all rows of this page"
                  checked={frozen.rows.every((row) => chosen.has(id(row)))}
                  onChange={() => toggleAll(marks, frozen.rows.map((row) => [id(row), row] as const))}
                />
              </th>
            )}
            {columns.map((column) => (
              <th key={column.head} scope="col" class={classes(column)}>
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {frozen.rows.map((row) => (
            <tr key={id(row)} aria-selected={href ? id(row) === selected : undefined} class={id(row) === selected ? "selected" : ""} data-id={id(row)}>
              {marks !== undefined && chosen && (
                <td class="mark">
                  <input type="checkbox" aria-label="Mark this row" checked={chosen.has(id(row))} onChange={() => toggle(marks, id(row), row)} />
                </td>
              )}
              {columns.map((column) => (
                <td key={column.head} class={classes(column)} data-head={column.head}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function classes<T>(column: Column<T>): string {
  return [column.right && "right", column.grows && "grows", column.extra && "extra"].filter(Boolean).join(" ");
}

/** Pauses all lists, or lets them go on. */
export function PauseLists() {
  const toggle = () => {
    isPaused.value = !isPaused.value;
  };
  acts.pause = toggle;
  return (
    <button
      type="button"
      class="quiet small"
      aria-label={isPaused.value ? "Paused: let the lists go on" : "Live: pause the lists"}
      onClick={toggle}
      title={isPaused.value ? "The lists stand still (p)" : "The lists follow what happens (p)"}
    >
      <Icon name={isPaused.value ? "play" : "pause"} /> <span class="word">{isPaused.value ? "Paused" : "Live"}</span>
    </button>
  );
}

/** The pages of a list. */
export function Pages({ next, searched, total }: { next: string | undefined; searched?: string | null; total?: string | null }) {
  const isLater = params.value["cursor"] !== undefined;
  if (!isLater && next === undefined && !searched && !total) return null;
  return (
    <nav class="pages" aria-label="Pages">
      {isLater && (
        <button type="button" class="quiet" onClick={() => change({ cursor: undefined, sel: undefined })}>
          First page
        </button>
      )}
      {next !== undefined && (
        <button type="button" class="quiet" onClick={() => change({ cursor: next, sel: undefined })}>
          Next page
        </button>
      )}
      {total && <span class="hint">{total}</span>}
      {searched && <span class="hint">{searched}</span>}
    </nav>
  );
}

/** Chips of which one is chosen, held by the address. */
export function Tabs(props: { name: string; label: string; options: readonly (readonly [value: string, text: preact.ComponentChildren])[] }) {
  const chosen = params.value[props.name] ?? "";
  return (
    <div class="tabs" role="group" aria-label={props.label}>
      {props.options.map(([value, text]) => (
        <button
          key={value}
          type="button"
          aria-pressed={chosen === value}
          onClick={() => change({ [props.name]: value || undefined, cursor: undefined, sel: undefined })}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

/** A filter by text: the list follows when the person has typed. */
export function Filter({ name, label, placeholder }: { name: string; label: string; placeholder?: string }) {
  const value = params.value[name] ?? "";
  return (
    <label class="filter">
      <span>{label}</span>
      <input
        key={value}
        defaultValue={value}
        placeholder={placeholder ?? "any"}
        spellcheck={false}
        onChange={(event) => change({ [name]: (event.target as HTMLInputElement).value.trim() || undefined, cursor: undefined, sel: undefined })}
      />
    </label>
  );
}
