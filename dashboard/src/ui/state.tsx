// What a screen shows while it has nothing, or no answer.

import { useEffect } from "preact/hooks";
import { Refused } from "../api/client";
import type { Live } from "../lib/live";
import { clock, now } from "../lib/time";
import { Icon } from "./icon";
import { Words } from "./text";

/** A screen or a list without content, and what would fill it. */
export function Empty({ title, children, good }: { title: string; children?: preact.ComponentChildren; good?: boolean }) {
  return (
    <div class="empty">
      <p class="title">
        <Icon name={good ? "check" : "dash"} /> {title}
      </p>
      {children && <div class="hint">{children}</div>}
    </div>
  );
}

export function Trouble({ error }: { error: Refused | Error }) {
  const right = error instanceof Refused ? error.problem.right : null;
  return (
    <div class="problem" role="alert">
      <b>{error instanceof Refused && error.problem.title ? error.problem.title : "This could not be read."}</b>{" "}
      <Words text={error.message} />
      {right && <> The right “{right}” is missing.</>}
    </div>
  );
}

/** What was read, or why nothing was; what was read before stays while the API is away. */
export function Shown<T>({ live, children }: { live: Live<T>; children: (data: T) => preact.ComponentChildren }) {
  const data = live.data.value;
  const error = live.error.value;
  if (data === undefined) {
    if (error) return <Trouble error={error} />;
    return (
      <p class="reading" role="status">
        Reading…
      </p>
    );
  }
  return (
    <>
      {error && (
        <p class="cut" role="status">
          <Icon name="away" /> As of {clock(live.at.value)}: {error.message}
        </p>
      )}
      {children(data)}
    </>
  );
}

/** Says in the header how fresh a screen is. */
export function AsOf<T>({ live }: { live: Live<T> }) {
  if (live.at.value === 0) return null;
  const isOld = now.value - live.at.value > 15_000;
  return <span class={isOld ? "asof old" : "asof"}>as of {clock(live.at.value)}</span>;
}

/** A screen: its name, what stands beside it, its content. */
export function Page(props: {
  title: preact.ComponentChildren;
  name: string;
  aside?: preact.ComponentChildren;
  lead?: preact.ComponentChildren;
  children: preact.ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${props.name} · Upshot`;
  }, [props.name]);
  return (
    <>
      <header class="head">
        <h1>{props.title}</h1>
        {props.aside && <div class="aside">{props.aside}</div>}
      </header>
      {props.lead && <div class="lead">{props.lead}</div>}
      {props.children}
    </>
  );
}
