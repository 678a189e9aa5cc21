// One dialog at a time, over the page: the browser keeps the focus inside.

import { signal } from "@preact/signals";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Refused } from "../api/client";
import type { Right } from "../api/types";
import { lacks } from "../lib/session";

const shown = signal<preact.VNode | null>(null);

export const show = (content: preact.VNode) => {
  shown.value = content;
};
export const close = () => {
  shown.value = null;
};

export function Dialogs() {
  return shown.value;
}

export function Dialog(props: { title: string; wide?: boolean; onClose?: () => void; children: preact.ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  const leave = props.onClose ?? close;
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    dialog?.showModal();
    dialog?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={props.wide ? "wide" : ""}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        leave();
      }}
      onClick={(event) => {
        if (event.target === element.current) leave();
      }}
    >
      <div class="dialog">
        <h2 id={id}>{props.title}</h2>
        {props.children}
      </div>
    </dialog>
  );
}

export interface FormProps {
  title: string;
  /** What the button says. */
  action: string;
  tone?: "key" | "bad";
  right?: Right;
  needs?: "all-tenants" | "installation";
  wide?: boolean;
  /** Does it; the dialog stays open when it fails, and says why. */
  run: (fields: Record<string, string>) => Promise<unknown>;
  children?: preact.ComponentChildren;
}

/** A dialog that asks for something and then does something. */
export function Form({ title, action, tone = "key", right, needs, wide, run, children }: FormProps) {
  const [isBusy, busy] = useState(false);
  const [problem, fail] = useState<string | null>(null);
  const why = right ? lacks(right, needs) : null;
  return (
    <Dialog title={title} wide={wide}>
      <form
        onSubmit={async (event) => {
          event.preventDefault();
          if (isBusy || why !== null) return;
          const fields: Record<string, string> = {};
          new FormData(event.currentTarget as HTMLFormElement).forEach((value, name) => {
            fields[name] = String(value);
          });
          busy(true);
          fail(null);
          const before = shown.value;
          try {
            await run(fields);
            // What it did may have opened another dialog.
            if (shown.value === before) close();
          } catch (error) {
            fail(error instanceof Refused || error instanceof Error ? error.message : String(error));
          } finally {
            busy(false);
          }
        }}
      >
        {children}
        {(why ?? problem) && (
          <p class="problem" role="alert">
            {why ?? problem}
          </p>
        )}
        <div class="row end">
          <button type="button" class="quiet" onClick={close}>
            Keep as it is
          </button>
          <button type="submit" class={tone} aria-disabled={isBusy || why !== null}>
            {isBusy ? "One moment…" : action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function Field(props: {
  label: string;
  name: string;
  hint?: string;
  value?: string;
  required?: boolean;
  first?: boolean;
  lines?: number;
  placeholder?: string;
  onInput?: (text: string) => void;
}) {
  const id = useId();
  const { label, name, hint, value, required, first, lines, placeholder, onInput } = props;
  const common = {
    id,
    name,
    required,
    placeholder,
    "data-first": first ? "" : undefined,
    "aria-describedby": hint ? `${id}-hint` : undefined,
    spellcheck: false,
    autocomplete: "off",
    onInput: onInput && ((event: Event) => onInput((event.target as HTMLInputElement).value)),
  };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {lines ? <textarea {...common} rows={lines} defaultValue={value} /> : <input {...common} type="text" defaultValue={value} />}
      {hint && (
        <p id={`${id}-hint`} class="hint">
          {hint}
        </p>
      )}
    </div>
  );
}

export function Choice(props: {
  label: string;
  name?: string;
  value: string;
  options: readonly (readonly [value: string, text: string])[];
  onChange?: (value: string) => void;
  inline?: boolean;
}) {
  const id = useId();
  return (
    <div class={props.inline ? "field inline" : "field"}>
      <label for={id}>{props.label}</label>
      <select
        id={id}
        name={props.name}
        value={props.value}
        onChange={props.onChange && ((event) => props.onChange?.((event.target as HTMLSelectElement).value))}
      >
        {props.options.map(([value, text]) => (
          <option key={value} value={value} selected={value === props.value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}
