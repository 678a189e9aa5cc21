// Finds whatever a person has in hand: a subject, the id of a job, an event or a message.

import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { Refused, api, ask, cursorOf } from "../api/client";
import type { Job, OutcomeReport, QuarantinedMessage } from "../api/types";
import { LEADS, isFindOpen } from "../lib/keys";
import { idIn } from "../lib/names";
import { go, href, params } from "../lib/place";
import { lacks } from "../lib/session";
import { counted } from "../lib/words";
import { StateBadge, StatusBadge } from "../ui/badge";
import { Dialog } from "../ui/dialog";
import { Empty, Page, Trouble } from "../ui/state";
import { Words } from "../ui/text";

interface Hit {
  title: string;
  what: string;
  to: string;
  mark?: preact.ComponentChildren;
}

/** An absence is no failure of the search. */
async function orNothing<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof Refused && (error.status === 404 || error.status === 400 || error.status === 403)) return null;
    throw error;
  }
}

async function find(text: string, signal: AbortSignal): Promise<Hit[]> {
  const id = idIn(text);
  const [asJob, asSubject, asEvent, asMessage, asTrace] = await Promise.all([
    id ? job(id, signal) : [],
    subject(text, signal),
    event(text, signal),
    quarantined(id ?? text, id !== undefined, signal),
    TRACE.test(text) ? trace(text.toLowerCase(), signal) : [],
  ]);
  return [...asSubject, ...asJob, ...asEvent, ...asTrace, ...asMessage];
}

async function job(id: string, signal: AbortSignal): Promise<Hit[]> {
  const found = (await orNothing(ask(api.GET("/v1/jobs/{id}", { params: { path: { id } }, signal })))) as Job | null;
  if (found && "state" in found)
    return [{ title: found.kind, what: `job of ${found.subject ?? "no subject"} in ${found.queue}`, to: href("job", { id }), mark: <StateBadge state={found.state} /> }];
  const left = (await orNothing(ask(api.GET("/v1/outcomes/{id}", { params: { path: { id } }, signal })))) as OutcomeReport | null;
  if (left && "job" in left) return [{ title: left.kind, what: `forgotten job of ${left.subject ?? "no subject"}`, to: href("job", { id }), mark: <StatusBadge status={left.status} /> }];
  return [];
}

async function subject(name: string, signal: AbortSignal): Promise<Hit[]> {
  const found = await orNothing(ask(api.GET("/v1/subjects/{subject}", { params: { path: { subject: name }, query: { limit: 10 } }, signal })));
  if (!found) return [];
  const [first] = found.outcomes;
  return [
    {
      title: found.subject,
      what: `subject with ${found.next ? "more than " : ""}${counted(found.outcomes.length, "job")}`,
      to: href("story", { subject: found.subject }),
      mark: first && <StatusBadge status={first.status} />,
    },
  ];
}

/** `SOURCE ID`, or an id alone with the sources of recent outcomes. */
async function event(text: string, signal: AbortSignal): Promise<Hit[]> {
  const parts = text.split(/\s+/);
  const [source, id] = parts;
  if (parts.length === 2 && source && id) return ofEvent(source, id, signal);
  if (parts.length !== 1 || lacks("see") !== null) return [];
  const known = await sources(signal);
  return (await Promise.all(known.map((one) => ofEvent(one, text, signal)))).flat();
}

async function ofEvent(source: string, id: string, signal: AbortSignal): Promise<Hit[]> {
  const found = await orNothing(ask(api.GET("/v1/outcomes", { params: { query: { source, id } }, signal })));
  if (!found || !("outcomes" in found)) return [];
  return found.outcomes.map((one) => ({
    title: one.subject ?? one.kind,
    what: `event ${id} of ${source} became ${one.kind}`,
    to: href("job", { id: one.job }),
    mark: <StatusBadge status={one.status} />,
  }));
}

const TRACE = /^[0-9a-f]{32}$/i;
/** Traces have no index: each page looks at some thousand jobs. */
const TRACE_PAGES = 5;

/** The jobs of a trace among the first some thousand; the list of jobs continues. */
async function trace(id: string, signal: AbortSignal): Promise<Hit[]> {
  if (lacks("see") !== null) return [];
  const hits: Hit[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < TRACE_PAGES; page++) {
    const found = await orNothing(ask(api.GET("/v1/jobs", { params: { query: { trace: id, cursor, limit: 20 } }, signal })));
    if (!found) return hits;
    for (const one of found.jobs)
      hits.push({ title: one.subject ?? one.kind, what: `${one.kind} of this trace`, to: href("job", { id: one.id }), mark: <StateBadge state={one.state} /> });
    cursor = cursorOf(found.next);
    if (!cursor) return hits;
    if (hits.length > 0) break;
  }
  return [...hits, { title: "Look further", what: "not all jobs were compared with this trace", to: href("jobs", { trace: id, cursor }) }];
}

const SOURCES = 10;

/** Sources that recent outcomes name: an event is identified by its source and its id together. */
async function sources(signal: AbortSignal): Promise<string[]> {
  const pages = await Promise.all(
    (["open", "achieved_in_time", "missed"] as const).map((status) =>
      orNothing(ask(api.GET("/v1/outcomes", { params: { query: { status, limit: 50 } }, signal }))),
    ),
  );
  const all = pages.flatMap((page) => (page && "outcomes" in page ? page.outcomes.map((one) => one.event?.source) : []));
  return [...new Set(all.filter((source) => source !== undefined))].slice(0, SOURCES);
}

async function quarantined(text: string, isId: boolean, signal: AbortSignal): Promise<Hit[]> {
  if (lacks("see", "installation") !== null) return [];
  const hit = (message: QuarantinedMessage, what: string): Hit => ({
    title: message.reason.replaceAll("_", " "),
    what,
    to: href("quarantine", { id: message.id }),
  });
  if (isId) {
    const found = await orNothing(ask(api.GET("/v1/quarantine/{id}", { params: { path: { id: text } }, signal })));
    return found ? [hit(found, "message in quarantine")] : [];
  }
  const page = await orNothing(ask(api.GET("/v1/quarantine", { params: { query: { subject: text, limit: 5 } }, signal })));
  return (page?.messages ?? []).map((message) => hit(message, `message in quarantine about ${text}`));
}

interface Search {
  text: string;
  hits: Hit[] | null;
  error: Error | null;
}

function useSearch(text: string): Search {
  const [search, set] = useState<Search>({ text, hits: null, error: null });
  useEffect(() => {
    set({ text, hits: null, error: null });
    if (!text) return;
    const stop = new AbortController();
    find(text, stop.signal).then(
      (hits) => !stop.signal.aborted && set({ text, hits, error: null }),
      (error: Error) => !stop.signal.aborted && set({ text, hits: null, error }),
    );
    return () => stop.abort();
  }, [text]);
  return search;
}

function Hits({ search }: { search: Search }) {
  if (search.error) return <Trouble error={search.error} />;
  if (search.hits === null)
    return (
      <p class="reading" role="status">
        Looking…
      </p>
    );
  if (search.hits.length === 0)
    return (
      <Empty title={`Nothing is known as “${search.text}”`}>
        A subject must be exactly as the event wrote it. An event that is in no source of recent outcomes needs its source as well:{" "}
        <code>/shops/berlin 5d0a1c0e…</code>. What was forgotten after its retention leaves its verdict only.
      </Empty>
    );
  return (
    <ul class="hits">
      {search.hits.map((hit) => (
        <li key={hit.to + hit.what}>
          <a href={hit.to} onClick={() => (isFindOpen.value = false)}>
            <b>{hit.title}</b> <span class="faint">{hit.what}</span> {hit.mark}
          </a>
        </li>
      ))}
    </ul>
  );
}

/** The screen, for an address that somebody shares. One hit opens at once. */
export function Find() {
  const { q = "" } = params.value;
  const search = useSearch(q);
  return (
    <Page title="Find" name={`Find ${q}`}>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          const text = new FormData(event.currentTarget as HTMLFormElement).get("q");
          go(href("find", { q: String(text).trim() }));
        }}
      >
        <input key={q} class="grow" name="q" defaultValue={q} aria-label="What to find" spellcheck={false} autocomplete="off" />
        <button type="submit" class="key">
          Find
        </button>
      </form>
      {q ? <Hits search={search} /> : <Empty title="Find an order, a job, an event or a message">Type a subject such as order-1042, or an id.</Empty>}
    </Page>
  );
}

const recent = signal<readonly string[]>([]);

/** The dialog that `/` and Ctrl-K open. */
export function FindDialog() {
  const [text, type] = useState("");
  const [sent, send] = useState("");
  const search = useSearch(sent);
  const field = useRef<HTMLInputElement>(null);
  const close = () => (isFindOpen.value = false);
  useEffect(() => {
    const [only] = search.hits ?? [];
    if (!sent || search.text !== sent || search.hits?.length !== 1 || !only) return;
    recent.value = [sent, ...recent.value.filter((one) => one !== sent)].slice(0, 5);
    close();
    go(only.to);
  }, [search]);
  const screens = LEADS.filter(([, , name]) => text && name.toLowerCase().startsWith(text.toLowerCase()));
  return (
    <Dialog title="Find" onClose={close}>
      <form
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          const wanted = text.trim();
          if (!wanted) return;
          const [screen] = screens;
          if (screen) {
            close();
            return go(href(screen[1]));
          }
          send(wanted);
        }}
      >
        <input
          ref={field}
          data-first
          class="big"
          value={text}
          aria-label="A subject, the id of a job, an event or a message"
          placeholder="order-1042, a job’s id, an event’s id…"
          spellcheck={false}
          autocomplete="off"
          onInput={(event) => {
            type((event.target as HTMLInputElement).value);
            send("");
          }}
        />
        {sent ? (
          <Hits search={search} />
        ) : (
          <>
            {screens.length > 0 && (
              <p class="hint">
                Enter opens <b>{screens[0]?.[2]}</b>
              </p>
            )}
            {recent.value.length > 0 && (
              <ul class="hits">
                {recent.value.map((one) => (
                  <li key={one}>
                    <button type="button" class="link" onClick={() => (type(one), send(one))}>
                      {one}
                    </button>
                  </li>
                ))}
              </ul>
            )}
            <p class="hint">
              <Words text="Press Enter to look for exactly this: a subject such as `order-1042`, the id of a job, an event or a quarantined message, a mail’s Message-ID, or the name of a screen. An event of an unusual source: `SOURCE ID`." />
            </p>
          </>
        )}
      </form>
    </Dialog>
  );
}
