// Follows a job: reads its stream, and connects again after each loss.

import { parser } from "./events";
import { type Heard, START, type View, next } from "./view";

export interface Job {
  /** Its id. */
  job?: string;
  /** The address of the API; that of this module if it is left out. */
  base?: string;
  /** An API token, or a capability link, as `upl_…` or with its whole address. */
  credential?: string;
  /** Instead of `job`: the address of its progress, as the answer to a publish has it. */
  src?: string;
}

/** A stream sends a sign of life every 15 s. After this silence it is taken as lost. */
const SILENCE_MS = 40_000;
const SHORTEST_MS = 1_000;
const LONGEST_MS = 30_000;

/** How long to wait after so many failures in a row. Not all pages come back at the same moment. */
export const wait = (failures: number, random = Math.random()) =>
  Math.min(LONGEST_MS, SHORTEST_MS * 2 ** failures) * (0.5 + random / 2);

/** The address of the API without a final slash, and the credential without its address. */
export function place({ job, base, credential, src }: Job): { base: string; stream: string; bearer: string } {
  const [page, fragment] = credential?.split("#") ?? [];
  const own = base || (src && src.replace(/\/v1\/.*/, "")) || (fragment && page!.replace(/\/access$/, "")) || import.meta.url.replace(/\/[^/]*$/, "");
  const root = own.replace(/\/$/, "");
  return { base: root, stream: src || `${root}/v1/jobs/${encodeURIComponent(job!)}/progress`, bearer: fragment ?? page ?? "" };
}

/** The headers and the mode of a request with a credential, or with the cookie of the same origin. */
export const as = (bearer: string, headers: Record<string, string> = {}): RequestInit => ({
  headers: bearer ? { ...headers, authorization: `Bearer ${bearer}` } : headers,
  credentials: bearer ? "omit" : "same-origin",
});

/** Tells how a job is until it has ended, or `stop` does. */
export async function follow(which: Job, stop: AbortSignal, tell: (view: View) => void, view = START): Promise<void> {
  const { stream, bearer } = place(which);
  let last = "";
  let at = 0;
  const hear = (heard: Heard) => {
    if (stop.aborted) return;
    view = next(view, heard);
    tell(view);
  };
  for (let failures = 0; !stop.aborted && !view.isOver; ) {
    const attempt = new AbortController();
    const end = () => attempt.abort();
    stop.addEventListener("abort", end);
    let silence = setTimeout(end, SILENCE_MS);
    let pause = 0;
    try {
      const answer = await fetch(stream, { ...as(bearer, last ? { "last-event-id": last } : {}), cache: "no-store", signal: attempt.signal });
      const { status } = answer;
      pause = Math.min(60, Number(answer.headers.get("retry-after")) || 0) * 1_000;
      if (status === 401 || status === 403 || status === 400) return hear({ is: "refused" });
      if (status === 204) return;
      if (status === 404) hear({ is: "absent" });
      else if (status !== 200) throw status;
      else {
        if (view.cut) hear({ is: "back" });
        let isOver = false;
        const take = parser(({ name, id, data }) => {
          last = id || last;
          if (name === "waiting" || name === "gone") hear({ is: name });
          else hear({ is: "job", job: JSON.parse(data) });
          isOver = name === "end" || name === "gone";
        });
        const reader = answer.body!.getReader();
        const decoder = new TextDecoder();
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          clearTimeout(silence);
          silence = setTimeout(end, SILENCE_MS);
          at = Date.now();
          failures = 0;
          take(decoder.decode(value, { stream: true }));
          if (isOver) return;
        }
        throw 0;
      }
    } catch {
      if (!view.isOver) hear({ is: "cut", at });
    } finally {
      clearTimeout(silence);
      stop.removeEventListener("abort", end);
      attempt.abort();
    }
    if (stop.aborted) return;
    await new Promise((done) => setTimeout(done, Math.max(pause, wait(failures++))));
  }
}
