// Jobs: a list by state, with filters that the address holds.

import { api, ask, cursorOf } from "../api/client";
import type { JobState, JobSummary, Query } from "../api/types";
import { useLive } from "../lib/live";
import { href, params } from "../lib/place";
import { number } from "../lib/words";
import { StateBadge } from "../ui/badge";
import { type Column, Filter, List, Pages, Tabs } from "../ui/list";
import { AsOf, Empty, Page, Shown } from "../ui/state";
import { Ago, Id, Words } from "../ui/text";
import type { OperationAct } from "../api/types";
import { Bulk, type Selected } from "./bulk";
import { Due } from "./outcomes";
import { Bar } from "./progress";

const STATES: JobState[] = ["ready", "running", "scheduled", "parked", "dead", "succeeded", "cancelled"];
const TABS = [["", "all"], ...STATES.map((state) => [state, state] as const)] as const;

/** What can be done to many jobs of a state. */
const ACTS: Partial<Record<JobState, OperationAct[]>> = {
  ready: ["cancel", "prioritise", "reschedule"],
  running: ["cancel"],
  scheduled: ["reschedule", "prioritise", "cancel"],
  parked: ["unpark", "prioritise", "cancel"],
  dead: ["retry", "purge"],
  cancelled: ["purge"],
};

export function Jobs() {
  const { state, queue, kind, tenant, subject, route, trace, group, cursor, since, until } = params.value;
  const failed = params.value["class"] as Query<"list_jobs">["class"];
  const filters = { queue, kind, tenant, subject_prefix: subject, route, class: failed, since, until, trace, group };
  const query: Query<"list_jobs"> = { state: state as JobState | undefined, ...filters, cursor, limit: 50 };
  const key = JSON.stringify(query);
  const live = useLive(`jobs ${key}`, (signal) => ask(api.GET("/v1/jobs", { params: { query }, signal })), cursor ? 0 : 2_500);
  const acts = ACTS[state as JobState] ?? [];
  const all: Selected | string = !queue
    ? "Filter by a queue, or mark rows with x: an operation is of one queue."
    : subject
      ? "An operation takes no subject: mark rows with x."
    : state === "running"
      ? "Running jobs come and go: mark rows with x."
      : { queue, filter: { state: state as JobState, kind, tenant }, words: `all ${state} jobs of ${[queue, kind, tenant].filter(Boolean).join(", ")}` };
  return (
    <Page title="Jobs" name="Jobs" aside={<AsOf live={live} />}>
      <Tabs name="state" label="State" options={TABS} />
      <div class="filters">
        <Filter name="subject" label="Subject" placeholder="or how it begins" />
        <Filter name="kind" label="Kind" />
        <Filter name="tenant" label="Tenant" />
        <Filter name="queue" label="Queue" />
        <Filter name="route" label="Route" />
        <Filter name="class" label="Failure" placeholder="transient" />
        <Filter name="since" label="Since" placeholder="2026-03-14T09:30:00Z" />
        <Filter name="until" label="Until" placeholder="2026-03-14T17:00:00Z" />
        {group && <Filter name="group" label="Group of failures" />}
      </div>
      <Shown live={live}>
        {(page) => (
          <>
            {acts.length > 0 && page.jobs.length > 0 && <Bulk<JobSummary> scope={`jobs ${state}`} acts={acts} queueOf={(row) => row.queue} all={all} />}
            <List
              label="Jobs"
              scope={key}
              marks={acts.length > 0 ? `jobs ${state}` : undefined}
              rows={page.jobs}
              id={(row) => row.id}
              href={(row) => href("job", { id: row.id })}
              columns={COLUMNS}
              empty={
                <Empty title={state ? `No job is ${state}` : "No job"}>
                  {Object.values(filters).some(Boolean)
                    ? "The filter lets nothing through: each text must be exactly that of the job, and the subject its beginning."
                    : "An accepted event becomes a job for each of its routes. upshot publish FILE publishes one."}
                </Empty>
              }
            />
            <Pages
              next={cursorOf(page.next)}
              total={page.total.is_exact ? `${number(page.total.jobs)} in all.` : page.total.jobs > 0 || page.next ? `At least ${number(page.total.jobs)}.` : null}
              searched={page.searched === null ? null : `Looked at ${number(page.searched.jobs)} jobs so far, in queue ${page.searched.queue}.`}
            />
          </>
        )}
      </Shown>
    </Page>
  );
}

const COLUMNS: Column<JobSummary>[] = [
  {
    head: "Job",
    cell: (row) => (
      <>
        <a href={href("job", { id: row.id })}>{row.kind}</a>
        <span class="sub faint">
          <Id id={row.id} />
        </span>
      </>
    ),
  },
  {
    head: "Subject",
    cell: (row) => (
      <>
        {row.subject ? <a href={href("story", { subject: row.subject })}>{row.subject}</a> : <span class="faint">–</span>}
        {row.tenant && <span class="faint sub">{row.tenant}</span>}
      </>
    ),
  },
  {
    head: "State",
    cell: (row) => (
      <>
        <StateBadge state={row.state} />
        <span class="faint sub">
          {row.queue}
          {row.priority !== "normal" && `, ${row.priority}`}
        </span>
      </>
    ),
  },
  { head: "Since", right: true, cell: (row) => <Ago at={row.since} /> },
  { head: "Due", right: true, cell: (row) => (["succeeded", "dead", "cancelled"].includes(row.state) ? <span class="faint">–</span> : <Due at={row.expected_by} />) },
  { head: "Attempts", right: true, extra: true, cell: (row) => number(row.attempts) },
  {
    head: "What it does, or waits for",
    grows: true,
    cell: (row) =>
      row.state === "running" && row.progress ? (
        <Bar progress={row.progress} />
      ) : row.waiting_for ? (
        <span class="why">
          <Words text={row.waiting_for.reason} />
        </span>
      ) : (
        <span class="faint">–</span>
      ),
  },
];
