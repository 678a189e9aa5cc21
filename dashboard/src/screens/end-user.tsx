// The end user's page: one job, or the jobs of one subject, by a capability link. No navigation.

import { useEffect } from "preact/hooks";
import { Refused, api, ask, base, own } from "../api/client";
import type { Job, Me, OutcomeReport, Snapshot } from "../api/types";
import { useLive } from "../lib/live";
import { clock, lasting, now, short } from "../lib/time";
import { sentence } from "../lib/words";
import { Badge, type Tone } from "../ui/badge";
import { Icon, type IconName } from "../ui/icon";

type Target = NonNullable<Me["target"]>;

interface Item {
  id: string;
  kind: string;
  state: Job["state"];
  progress: Job["progress"];
  waiting: Job["waiting_for"];
  attempts: number;
  files: string[];
  outcome: OutcomeReport | null;
}

const FINAL = ["succeeded", "dead", "cancelled"];
/** Jobs that one stream follows at most. */
const MOST = 100;

async function read(target: Target, signal: AbortSignal): Promise<Item[]> {
  try {
    if (target.job) {
      const item = await one(target.job, null, signal);
      return item ? [item] : [];
    }
    if (!target.subject) return [];
    const { outcomes } = await ask(api.GET("/v1/subjects/{subject}", { params: { path: { subject: target.subject } }, signal }));
    const items = await Promise.all(outcomes.map((outcome) => one(outcome.job, outcome, signal)));
    return items.filter((item) => item !== null);
  } catch (error) {
    // The work may just have been asked for.
    if (error instanceof Refused && error.status === 404) return [];
    throw error;
  }
}

async function one(id: string, known: OutcomeReport | null, signal: AbortSignal): Promise<Item | null> {
  const path = { id };
  let job: Job | null = null;
  try {
    const found = await ask(api.GET("/v1/jobs/{id}", { params: { path }, signal }));
    if (!("state" in found)) return null;
    job = found as Job;
  } catch (error) {
    // Of a forgotten job, its outcome is left.
    if (!(error instanceof Refused && error.status === 404 && known)) throw error;
  }
  let outcome = known;
  if (!outcome) {
    const found = await ask(api.GET("/v1/outcomes/{id}", { params: { path }, signal }));
    outcome = "job" in found ? (found as OutcomeReport) : null;
  }
  if (job)
    return { id, kind: job.kind, state: job.state, progress: job.progress, waiting: job.waiting_for, attempts: job.attempts, files: job.links.files, outcome };
  const status = outcome?.status ?? "missed";
  const state = status.startsWith("achieved") ? "succeeded" : status === "cancelled" ? "cancelled" : "dead";
  return { id, kind: outcome?.kind ?? "", state, progress: null, waiting: null, attempts: 0, files: [], outcome };
}

export function EndUser({ me, target }: { me: Me; target: Target }) {
  const live = useLive(`end user ${target.job} ${target.subject}`, (signal) => read(target, signal), 15_000);
  const items = live.data.value;
  const open = (items ?? []).filter((item) => !FINAL.includes(item.state)).map((item) => item.id);
  useStream(open.slice(0, MOST), live.again, (id, snapshot) => {
    live.data.value = live.data.value?.map((item) =>
      item.id === id
        ? { ...item, state: snapshot.state, progress: snapshot.progress, waiting: snapshot.waiting_for, attempts: snapshot.attempts }
        : item,
    );
  });
  const title = target.subject ?? "Your job";
  useEffect(() => {
    document.title = `${title} · Upshot`;
  }, [title]);
  const error = live.error.value;
  return (
    <main class="end-user">
      <h1>{title}</h1>
      {error && (
        <p class="cut" role="status">
          <Icon name="away" /> {live.at.value > 0 && `As of ${clock(live.at.value)}: `}
          {error.status === 401 ? "This page has ended. Open your link again, or ask for another one." : error.message}
        </p>
      )}
      {items === undefined && !error && (
        <p class="reading" role="status">
          One moment…
        </p>
      )}
      {items?.length === 0 && (
        <div class="panel">
          <p>Nothing is there yet. The work may just have been asked for: this page looks again by itself.</p>
        </div>
      )}
      <ul class="cards">
        {items?.map((item) => (
          <li key={item.id} class="panel">
            <Card item={item} />
          </li>
        ))}
      </ul>
      {me.until && <p class="hint">This page works until {short(Date.parse(me.until), now.value)}.</p>}
    </main>
  );
}

/** What a state means, in words that promise nothing. */
function words(item: Item): [text: string, tone: Tone, icon: IconName] {
  const status = item.outcome?.status;
  const retry = item.waiting?.retry_at;
  const again = retry ? ` The next try is at ${short(Date.parse(retry), now.value)}.` : "";
  switch (item.state) {
    case "running":
      return ["In progress.", "info", "play"];
    case "ready":
      return item.attempts > 0 ? ["It did not work yet, and will be tried again shortly.", "warn", "again"] : ["Waiting for its turn.", "plain", "clock"];
    case "scheduled":
      return [(item.waiting?.class ? "It did not work yet." : "Planned for later.") + again, item.waiting?.class ? "warn" : "plain", "clock"];
    case "parked":
      return [`Waiting for something else before it can continue.${again}`, "plain", "pause"];
    case "succeeded":
      if (status === "awaiting") return ["Done. A confirmation is still missing.", "plain", "clock"];
      if (status === "partial") return ["Done in part.", "warn", "dash"];
      return status === "achieved_late" ? ["Done, later than expected.", "good", "check"] : ["Done.", "good", "check"];
    case "dead":
      if (status === "waived") return ["It did not work, and was settled in another way.", "plain", "shield"];
      return ["It did not work. It is not tried again by itself; somebody has to look at it.", "bad", "cross"];
    default:
      return ["Cancelled.", "plain", "dash"];
  }
}

function Card({ item }: { item: Item }) {
  const [text, tone, icon] = words(item);
  const isOver = FINAL.includes(item.state);
  const due = item.outcome?.expected_by ? Date.parse(item.outcome.expected_by) : null;
  return (
    <>
      <h2>{item.kind}</h2>
      <p class="state" role="status">
        <Badge tone={tone} icon={icon}>
          {text}
        </Badge>
      </p>
      {item.state === "running" && item.progress && (
        <p>
          <progress max={100} value={item.progress.percent} aria-label="Progress" />
          <span class="hint">
            {item.progress.percent} %{item.progress.message && `: ${item.progress.message}`}
          </span>
        </p>
      )}
      {isOver && item.outcome?.summary && <p>{sentence(item.outcome.summary)}</p>}
      {due !== null && !isOver && (
        <p class="hint">
          {due < now.value ? `It was expected by ${short(due, now.value)}, ${lasting(now.value - due)} ago.` : `It is expected by ${short(due, now.value)}.`}
        </p>
      )}
      {item.files.length > 0 && (
        <ul class="files">
          {item.files.map((file) => (
            <li key={file}>
              <a class="button" href={own(file)} download data-out>
                {decodeURIComponent(new URL(own(file), document.baseURI).pathname.split("/").pop() ?? "file")}
              </a>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

/** Follows these jobs in one stream, because a browser opens six connections to a server. Only while the page is seen. */
function useStream(ids: string[], again: () => Promise<void>, changed: (id: string, snapshot: Snapshot) => void) {
  const key = ids.join();
  useEffect(() => {
    if (ids.length === 0) return;
    let stream: EventSource | null = null;
    const close = () => {
      stream?.close();
      stream = null;
    };
    const open = () => {
      if (stream || document.hidden) return;
      stream = new EventSource(`${base}/v1/stream?${ids.map((id) => `job=${encodeURIComponent(id)}`).join("&")}`);
      const take = (event: MessageEvent<string>) => {
        const snapshot = JSON.parse(event.data) as Snapshot;
        changed(snapshot.id, snapshot);
        // What the work came to, and its files, are with the job.
        if (FINAL.includes(snapshot.state)) void again();
      };
      stream.addEventListener("snapshot", take);
      stream.addEventListener("change", take);
      stream.addEventListener("gone", () => void again());
      stream.addEventListener("end", close);
    };
    const seen = () => (document.hidden ? close() : open());
    open();
    document.addEventListener("visibilitychange", seen);
    return () => {
      document.removeEventListener("visibilitychange", seen);
      close();
    };
  }, [key]);
}
