// What just happened, said once: also to a screen reader.

import { signal } from "@preact/signals";

interface Said {
  id: number;
  text: string;
  tone: "plain" | "bad";
}

const SHOWN_MS = 6_000;
const said = signal<readonly Said[]>([]);
let last = 0;

export function say(text: string, tone: Said["tone"] = "plain") {
  last += 1;
  const id = last;
  said.value = [...said.value.slice(-2), { id, text, tone }];
  if (tone === "plain") setTimeout(() => hush(id), SHOWN_MS);
}

function hush(id: number) {
  said.value = said.value.filter((one) => one.id !== id);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {said.value.map(({ id, text, tone }) => (
        <p key={id} class={`toast ${tone}`}>
          <span>{text}</span>
          <button type="button" class="copy" aria-label="Close" onClick={() => hush(id)}>
            ×
          </button>
        </p>
      ))}
    </div>
  );
}
