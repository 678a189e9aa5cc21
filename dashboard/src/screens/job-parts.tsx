// What a job keeps: its evidence, arguments, failed attempts and steps.

import { useState } from "preact/hooks";
import { api, ask, own as ownAddress } from "../api/client";
import type { Evidence, Job } from "../api/types";
import { clockMs } from "../lib/time";
import { counted, sentence } from "../lib/words";
import { Act } from "../ui/act";
import { Badge } from "../ui/badge";
import { Ago, Facts, Json, Value } from "../ui/text";

/** Shows the address of a file inside this origin, and the other facts in place. */
export function EvidenceView({ evidence }: { evidence: Evidence }) {
  const { kind, href: address, ...facts } = evidence as Evidence & Record<string, unknown>;
  return (
    <section class="evidence" aria-label={kind}>
      <h3>
        {kind === "object" ? "file" : kind}{" "}
        {address && (
          <a href={ownAddress(address)} download data-out>
            open
          </a>
        )}
      </h3>
      <Facts of={Object.entries(facts).map(([name, value]) => [name, <Value key={name} value={value} />])} />
    </section>
  );
}

export function Arguments({ job }: { job: Job }) {
  const [shown, set] = useState<{ args: unknown; earlier: unknown[]; isRevealed: boolean } | null>(null);
  const load = async (reveal: boolean) => {
    const full = await ask(
      api.GET("/v1/jobs/{id}", { params: { path: { id: job.id }, query: { args: true, ...(reveal ? { reveal: true } : {}) } } }),
    );
    if ("state" in full) {
      const { args, earlier_args } = full as Job;
      set({ args, earlier: earlier_args ?? [], isRevealed: reveal });
    }
  };
  return (
    <section aria-label="Arguments">
      <h2>Arguments</h2>
      {shown === null ? (
        <Act run={() => load(false)}>Show the arguments</Act>
      ) : (
        <>
          <Json key={String(shown.isRevealed)} value={shown.args} label="the arguments" />
          {shown.earlier.map((args, n) => (
            <details key={n}>
              <summary>Earlier arguments {n + 1}</summary>
              <Json value={args} label={`earlier arguments ${n + 1}`} />
            </details>
          ))}
          {!shown.isRevealed && (
            <>
              <p class="hint">Personal data is hidden as “…”. Showing it is noted in the audit log.</p>
              <Act right="see-arguments" run={() => load(true)}>
                Reveal personal data
              </Act>
            </>
          )}
        </>
      )}
    </section>
  );
}

export function Attempts({ job }: { job: Job }) {
  if (job.history.length === 0) return null;
  return (
    <section aria-label="Failed attempts">
      <h2>Failed attempts</h2>
      <ol class="attempts">
        {job.history.map((failed, n) => (
          <li key={n}>
            <p>
              <b>{failed.attempt === 0 ? "before it ran" : `Attempt ${failed.attempt}`}</b>{" "}
              <Badge tone="bad" icon="cross">
                {failed.class.replace("_", " ")}
              </Badge>{" "}
              <span class="faint">
                <Ago at={failed.at} />
                {failed.worker && ` on ${failed.worker}`}
              </span>
            </p>
            <p class="message">{failed.message}</p>
          </li>
        ))}
      </ol>
    </section>
  );
}

export function Steps({ job }: { job: Job }) {
  if (job.steps.length + job.begun_effects.length + job.dropped_steps.length === 0) return null;
  return (
    <section aria-label="Steps">
      <h2>Completed steps</h2>
      <p class="hint">A completed step does not run again with these arguments.</p>
      {job.steps.map((step) => (
        <details key={step.name} class="stepped">
          <summary>
            <b>{step.name}</b> <span class="faint">{clockMs(Date.parse(step.completed_at))}</span>
          </summary>
          <Json value={step.result} label={`the result of ${step.name}`} />
        </details>
      ))}
      {job.begun_effects.length > 0 && (
        <p>
          Begun, without a receipt:{" "}
          {job.begun_effects.map((begun, n) => (
            <span key={begun.name}>
              {n > 0 && ", "}
              <b>{begun.name}</b> <Ago at={begun.began_at} />
            </span>
          ))}
          . It may have happened.
        </p>
      )}
      {job.dropped_steps.length > 0 && (
        <details>
          <summary>{counted(job.dropped_steps.length, "step")} completed with earlier arguments: the effects remain</summary>
          {job.dropped_steps.map((step, n) => (
            <div key={n}>
              <b>{step.name}</b> <Ago at={step.completed_at} />
              <Json value={step.result} label={`the former result of ${step.name}`} />
            </div>
          ))}
        </details>
      )}
    </section>
  );
}

/** Of a job without a subject: its own history, because a story needs a subject. */
export function Timeline({ job }: { job: Job }) {
  return (
    <ol class="story">
      {job.timeline.map((entry, n) => (
        <li key={n}>
          <time dateTime={entry.at}>{clockMs(Date.parse(entry.at))}</time>
          <span class="delta" />
          <span />
          <div>
            {sentence(entry.what)} {[entry.step, entry.did, entry.state, entry.class, entry.message].filter(Boolean).join(" ")}
          </div>
        </li>
      ))}
    </ol>
  );
}
