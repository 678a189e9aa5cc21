// One job: what holds it, its life, its steps and attempts, its evidence, its arguments.

import { useEffect, useState } from "preact/hooks";
import { api, ask, base } from "../api/client";
import type { Job, OutcomeReport, Snapshot, StoryEntry } from "../api/types";
import { useLive } from "../lib/live";
import { signalOf } from "../lib/names";
import { href, params } from "../lib/place";
import { lacks } from "../lib/session";
import { number, sentence } from "../lib/words";
import { Act } from "../ui/act";
import { Badge, StateBadge, StatusBadge } from "../ui/badge";
import { AsOf, Page, Shown } from "../ui/state";
import { Facts, Id, Moment, Words } from "../ui/text";
import { cancel, note, own, prioritise, reschedule, waive } from "./acts";
import { editAndRetry } from "./edit";
import { retry, signal } from "./job-acts";
import { Arguments, Attempts, EvidenceView, Steps, Timeline } from "./job-parts";
import { LinkForm } from "./links";
import { Due } from "./outcomes";
import { Bar } from "./progress";
import { Telling, dues } from "./story";
import { WhyLine } from "./why";

const FINAL = ["succeeded", "dead", "cancelled"];

interface Known {
  job: Job | null;
  outcome: OutcomeReport | null;
  story: readonly StoryEntry[];
}

async function read(id: string, signal: AbortSignal): Promise<Known> {
  const path = { id };
  const outcome = ask(api.GET("/v1/outcomes/{id}", { params: { path }, signal })).then(
    (found) => ("status" in found && "job" in found ? (found as OutcomeReport) : null),
    () => null,
  );
  // Of a forgotten job, its outcome is left.
  const job = ask(api.GET("/v1/jobs/{id}", { params: { path }, signal })).then(
    (found) => ("state" in found ? (found as Job) : null),
    async (error: unknown) => {
      if ((await outcome) === null) throw error;
      return null;
    },
  );
  const known = { job: await job, outcome: await outcome };
  const subject = known.job?.subject ?? known.outcome?.subject;
  if (!subject) return { ...known, story: [] };
  const { story } = await ask(api.GET("/v1/subjects/{subject}", { params: { path: { subject } }, signal }));
  return { ...known, story: story.filter((entry) => entry.job === id) };
}

export function JobScreen() {
  const { id = "" } = params.value;
  // The stream says when to read; without it, the page looks now and then.
  const live = useLive(`job ${id}`, (signal) => read(id, signal), 10_000);
  const known = live.data.value;
  const isOver = known?.job !== undefined && known.job !== null && FINAL.includes(known.job.state);
  const snapshot = useStream(id, known?.job != null && !isOver, () => void live.again());
  return (
    <Page
      title={known?.job?.kind ?? known?.outcome?.kind ?? "Job"}
      name={`${known?.job?.kind ?? "Job"} ${id}`}
      aside={
        <>
          <AsOf live={live} />
          <Id id={id} />
        </>
      }
    >
      <Shown live={live}>
        {({ job, outcome, story }) =>
          job === null ? (
            outcome && <Forgotten outcome={outcome} story={story} />
          ) : (
            <Whole job={merged(job, snapshot)} outcome={outcome} story={story} again={() => void live.again()} />
          )
        }
      </Shown>
    </Page>
  );
}

/** The newest of what was read and what the stream said. */
function merged(job: Job, snapshot: Snapshot | null): Job {
  if (snapshot === null || snapshot.id !== job.id || FINAL.includes(job.state)) return job;
  const { state, progress, waiting_for, attempts, priority } = snapshot;
  return { ...job, state, progress, waiting_for, attempts, priority };
}

/** Follows a job while it has not ended and the page is seen. */
function useStream(id: string, isWanted: boolean, changed: () => void): Snapshot | null {
  const [snapshot, set] = useState<Snapshot | null>(null);
  useEffect(() => {
    if (!isWanted) return;
    let stream: EventSource | null = null;
    const open = () => {
      if (document.hidden || stream) return;
      const opened = new EventSource(`${base}/v1/jobs/${encodeURIComponent(id)}/progress`);
      stream = opened;
      const take = (event: MessageEvent<string>) => {
        const next = JSON.parse(event.data) as Snapshot;
        set((before) => {
          // A mark of progress alone needs no new read.
          const isMore = before === null || before.state !== next.state || before.steps.length !== next.steps.length || before.attempts !== next.attempts;
          if (isMore && before !== null) changed();
          return next;
        });
      };
      opened.addEventListener("snapshot", take);
      opened.addEventListener("change", take);
      opened.addEventListener("end", () => {
        opened.close();
        changed();
      });
    };
    const seen = () => {
      if (!document.hidden) return open();
      stream?.close();
      stream = null;
    };
    open();
    document.addEventListener("visibilitychange", seen);
    return () => {
      document.removeEventListener("visibilitychange", seen);
      stream?.close();
    };
  }, [id, isWanted]);
  return snapshot;
}

function Whole({ job, outcome, story, again }: { job: Job; outcome: OutcomeReport | null; story: readonly StoryEntry[]; again: () => void }) {
  const isOver = FINAL.includes(job.state);
  const waits = ["scheduled", "ready"].includes(job.state);
  const runsAgain = job.state === "dead" || job.state === "parked";
  return (
    <>
      <div class="summary">
        <StateBadge state={job.state} />
        {outcome?.route && <StatusBadge status={outcome.status} atRisk={outcome.at_risk} />}
        {outcome?.expected_by && !isOver && <Due at={outcome.expected_by} />}
        {job.subject && <a href={href("story", { subject: job.subject })}>{job.subject}</a>}
        {job.cancel_asked_at && !isOver && (
          <Badge tone="warn" icon="pause">
            asked to stop
          </Badge>
        )}
        <span class="actions">
          <Act right="retry" tone={runsAgain ? "key" : "quiet"} barred={runsAgain ? null : "Only a dead or parked job is run again."} run={() => retry(job, again)}>
            Retry
          </Act>
          <Act
            right="edit-arguments"
            barred={runsAgain ? null : "Only a dead or parked job is run again."}
            run={async () => {
              const full = await ask(api.GET("/v1/jobs/{id}", { params: { path: { id: job.id }, query: { args: true, reveal: true } } }));
              if ("args" in full) editAndRetry(full as Job, (full as Job).args, again);
            }}
          >
            Edit and retry
          </Act>
          <Act right="schedule" barred={waits ? null : "Only a waiting job is moved."} run={() => reschedule(job.id, again)}>
            Reschedule
          </Act>
          <Act right="schedule" barred={waits ? null : "Only a waiting job has a priority to change."} run={() => prioritise(job.id, job.priority, again)}>
            Priority
          </Act>
          <Act right="cancel" barred={isOver ? "The job has ended." : null} run={() => cancel(job.id, job.subject ?? job.kind, again)}>
            Cancel
          </Act>
          {outcome?.route && (
            <>
              <Act right="waive" barred={["waived", "cancelled", "achieved_in_time", "achieved_late"].includes(outcome.status) ? "The outcome is decided." : null} run={() => waive(outcome, again)}>
                Waive
              </Act>
              <Act right="waive" run={() => note(outcome, again)}>
                Note
              </Act>
              <Act right="waive" run={() => own(outcome, again)}>
                Owner
              </Act>
            </>
          )}
          {job.state === "parked" && job.parked && signalOf(job.parked.condition) && (
            <Act right="signal" run={() => signal(job, again)} title="Tell the job that what it waits for has come">
              Signal
            </Act>
          )}
          <Act right="share" run={() => LinkForm({ job: job.id })}>
            Link
          </Act>
        </span>
      </div>
      {!isOver && <WhyLine key={job.state} job={job.id} />}
      {job.state === "running" && job.progress && <Bar progress={job.progress} />}
      {job.outcome && <p class="lead">{sentence(job.outcome.summary)}</p>}
      {job.state === "dead" && job.history.length > 0 && (
        <blockquote class="bad">
          <Words text={job.history[job.history.length - 1]?.message ?? ""} />
        </blockquote>
      )}
      {job.successor && (
        <p>
          Job <a href={href("job", { id: job.successor })}>{job.successor}</a> runs in its place.
        </p>
      )}
      <div class="columns">
        <div>
          <h2>Life</h2>
          {story.length > 0 ? <Telling story={story} dues={dues(outcome ? [outcome] : [])} /> : <Timeline job={job} />}
          <Attempts job={job} />
          <Steps job={job} />
        </div>
        <div>
          <h2>Facts</h2>
          <Facts
            of={[
              ["Queue", <a href={href("queue", { name: job.queue })}>{job.queue}</a>],
              ["Tenant", job.tenant],
              ["Priority", job.priority],
              ["Route", outcome?.route],
              ["Event", job.event && <Id id={job.event.id} what="the event's id" />],
              ["Event type", job.event?.type],
              ["Source", job.event?.source],
              ["Enqueued", <Moment at={job.enqueued_at} />],
              ["Expected by", outcome?.expected_by && <Moment at={outcome.expected_by} />],
              ["Must start by", job.deadline && <Moment at={job.deadline} />],
              ["Attempts", number(job.attempts)],
              ["Duplicates", job.duplicates > 0 && number(job.duplicates)],
              ["Limit keys", job.limit_keys.join(", ")],
              ["Worker", job.worker],
              ["Version", job.version],
              ["Group of failures", job.group && <a href={href("failures", { id: job.group, of: job.queue })}>{job.group}</a>],
              ["Owner", outcome?.owner && `${outcome.owner.text} (${outcome.owner.by})`],
              ["Note", outcome?.note && `“${outcome.note.text}” (${outcome.note.by})`],
              ["Waived", outcome?.waived && `“${outcome.waived.text}” (${outcome.waived.by})`],
            ]}
          />
          {job.outcome && job.outcome.evidence.length > 0 && (
            <>
              <h2>Evidence</h2>
              {job.outcome.evidence.map((evidence, n) => (
                <EvidenceView key={n} evidence={evidence} />
              ))}
            </>
          )}
          <Arguments job={job} />
        </div>
      </div>
    </>
  );
}

function Forgotten({ outcome, story }: { outcome: OutcomeReport; story: readonly StoryEntry[] }) {
  return (
    <>
      <div class="summary">
        <StatusBadge status={outcome.status} />
        {outcome.subject && <a href={href("story", { subject: outcome.subject })}>{outcome.subject}</a>}
      </div>
      <p>The job was forgotten after its retention. Its verdict is kept; its arguments, steps and evidence are not.</p>
      {lacks("see-own") === null && <Telling story={story} dues={dues([outcome])} />}
      <Facts
        of={[
          ["Queue", outcome.queue],
          ["Route", outcome.route],
          ["Tenant", outcome.tenant],
          ["Expected by", <Moment at={outcome.expected_by} />],
          ["Verdict", <Moment at={outcome.decided_at} />],
          ["Why", outcome.reason?.message],
        ]}
      />
    </>
  );
}
