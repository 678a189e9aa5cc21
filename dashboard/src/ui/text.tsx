// Times, ids, figures, JSON and other small texts.

import { useState } from "preact/hooks";
import { printed } from "../api/exact";
import { copy } from "../lib/copy";
import { now, relative, short, whole } from "../lib/time";
import { number } from "../lib/words";
import type { Tone } from "./badge";
import { Icon } from "./icon";
import { say } from "./toast";

/** A time relative to now. */
export function Ago({ at }: { at: string | null }) {
  if (at === null) return <span class="faint">–</span>;
  const ms = Date.parse(at);
  return (
    <time dateTime={at} title={whole(ms)} class="nowrap">
      {relative(ms, now.value)}
    </time>
  );
}

/** A time by the clock, with its distance from now. */
export function Moment({ at }: { at: string | null }) {
  if (at === null) return <span class="faint">–</span>;
  const ms = Date.parse(at);
  return (
    <time dateTime={at} title={whole(ms)}>
      <span class="nowrap">{short(ms, now.value)}</span> <span class="faint nowrap">{relative(ms, now.value)}</span>
    </time>
  );
}

export function Copy({ text, what }: { text: string; what: string }) {
  return (
    <button
      type="button"
      class="copy"
      aria-label={`Copy ${what}`}
      title={`Copy ${what}`}
      onClick={async (event) => {
        event.preventDefault();
        event.stopPropagation();
        say((await copy(text)) ? `Copied ${what}.` : `This browser does not let the page copy. Select the text instead: ${text}`);
      }}
    >
      <Icon name="copy" />
    </button>
  );
}

/** An id that can be copied. */
export function Id({ id, what = "the id" }: { id: string; what?: string }) {
  return (
    <span class="id">
      <code>{id}</code>
      <Copy text={id} what={what} />
    </span>
  );
}

/** A number with what it counts below it. */
export function Figure(props: {
  value: number | string | null;
  label: string;
  tone?: Tone;
  href?: string;
  title?: string;
}) {
  const { value, label, tone, href, title } = props;
  const isNothing = value === 0 || value === null;
  const shown = value === null ? "–" : typeof value === "number" ? number(value) : value;
  const content = (
    <>
      <b class={isNothing ? "zero" : (tone ?? "")}>{shown}</b>
      <span>{label}</span>
    </>
  );
  return href ? (
    <a class="figure" href={href} title={title}>
      {content}
    </a>
  ) : (
    <span class="figure" title={title}>
      {content}
    </span>
  );
}

/** JSON, indented; long texts begin folded. */
export function Json({ value, label }: { value: unknown; label: string }) {
  const text = printed(value, 2);
  const [isOpen, open] = useState(text.length < 2_000);
  return (
    <div class="json">
      <Copy text={text} what={label} />
      <pre tabIndex={0} aria-label={label}>{isOpen ? text : `${text.slice(0, 1_200)}\n…`}</pre>
      {!isOpen && (
        <button type="button" class="link" onClick={() => open(true)}>
          Show all {number(text.length)} characters
        </button>
      )}
    </div>
  );
}

/** A value of evidence: a number as it was written, a text as it is. */
export function Value({ value }: { value: unknown }) {
  const text = typeof value === "string" ? value.replace(/^\uE0FF/, "") : printed(value);
  return <span class="value">{text}</span>;
}

/** A text with `code` between backticks, as the API writes names. */
export function Words({ text }: { text: string }) {
  const parts = text.split(/`([^`]+)`/);
  return <>{parts.map((part, n) => (n % 2 ? <code key={n}>{part}</code> : part))}</>;
}

/** Names and values. */
export function Facts({ of, wide }: { of: [string, preact.ComponentChildren][]; wide?: boolean }) {
  return (
    <dl class={wide ? "facts wide" : "facts"}>
      {of
        .filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
