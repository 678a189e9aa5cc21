// A button that does something: it says what the principal lacks for it, and waits for its end.

import { useId, useState } from "preact/hooks";
import type { Right } from "../api/types";
import { lacks } from "../lib/session";
import { say } from "./toast";

export interface ActProps {
  right?: Right;
  needs?: "all-tenants" | "installation";
  /** Why it cannot be done now, whatever the rights. */
  barred?: string | null;
  tone?: "key" | "bad" | "quiet";
  title?: string;
  run: () => void | Promise<unknown>;
  children: preact.ComponentChildren;
}

export function Act({ right, needs, barred, tone = "quiet", title, run, children }: ActProps) {
  const [isBusy, busy] = useState(false);
  const id = useId();
  const why = (right ? lacks(right, needs) : null) ?? barred ?? null;
  return (
    <span class="act">
      <button
        type="button"
        class={tone}
        title={why ?? title}
        aria-disabled={why !== null || isBusy}
        aria-describedby={why ? id : undefined}
        onClick={async (event) => {
          event.stopPropagation();
          if (why !== null || isBusy) return;
          busy(true);
          try {
            await run();
          } catch (error) {
            say((error as Error).message, "bad");
          } finally {
            busy(false);
          }
        }}
      >
        {children}
      </button>
      {why && (
        <span id={id} class="offscreen">
          {why}
        </span>
      )}
    </span>
  );
}
