// Outcomes: overdue first, because those want somebody; then every other status.

import { api, ask, cursorOf } from "../api/client";
import type { OperationAct, OutcomeReport, OutcomeStatus, Query } from "../api/types";
import { useLive } from "../lib/live";
import { href, params } from "../lib/place";
import { now, roughly } from "../lib/time";
import { number, sentence } from "../lib/words";
import { Act } from "../ui/act";
import { StatusBadge } from "../ui/badge";
import { type Column, Filter, List, Pages, Tabs } from "../ui/list";
import { AsOf, Empty, Page, Shown } from "../ui/state";
import { Ago, Words } from "../ui/text";
import { note, own, waive } from "./acts";
import { Bulk, type Selected } from "./bulk";

const TABS = [
  ["", "overdue"],
  ["at_risk", "at risk"],
  ["open", "open"],
  ["reopened", "reopened"],
  ["missed", "missed"],
  ["achieved_late", "achieved late"],
  ["achieved_in_time", "achieved in time"],
  ["partial", "partial"],
  ["waived", "waived"],
  ["cancelled", "cancelled"],
] as const;

const EMPTY: Partial<Record<string, [title: string, words: string]>> = {
  "": ["Nothing is overdue", "An outcome is overdue when its due time has passed and no verdict is there. The work continues all the same. It appears here within a second."],
  at_risk: ["Nothing is at risk", "An open outcome is at risk when nine of ten recent runs of its route took longer than the time that is left."],
  missed: ["Nothing was missed", "An outcome is missed when its job is dead: it does not run again by itself."],
};

/** What can be done to many outcomes of a status. */
const ACTS: Partial<Record<string, OperationAct[]>> = { "": ["waive", "prioritise", "cancel"], missed: ["retry", "waive"] };

export function Outcomes() {
  const { status = "", route, kind, tenant, queue, cursor } = params.value;
  const query: Query<"list_outcomes"> = { route, kind, tenant, queue, cursor, limit: 50 };
  if (status === "at_risk") query.at_risk = true;
  else query.status = (status || "overdue") as OutcomeStatus;
  const key = JSON.stringify(query);
  const live = useLive(`outcomes ${key}`, (signal) => ask(api.GET("/v1/outcomes", { params: { query }, signal })), cursor ? 0 : 3_000);
  const again = () => void live.again();
  const [title, words] = EMPTY[status] ?? ["None", "Nothing with this status is kept that the filter lets through."];
  const acts = ACTS[status] ?? [];
  const all: Selected | string = queue
    ? { queue, filter: { outcome: query.status, route, kind, tenant }, words: `all ${query.status} outcomes of ${[queue, route, kind, tenant].filter(Boolean).join(", ")}` }
    : "Filter by a queue, or mark rows with x: an operation is of one queue.";
  return (
    <Page title="Outcomes" name={status || "Overdue"} aside={<AsOf live={live} />}>
      <Tabs name="status" label="Status" options={TABS} />
      <div class="filters">
        <Filter name="route" label="Route" />
        <Filter name="kind" label="Kind" />
        <Filter name="tenant" label="Tenant" />
        <Filter name="queue" label="Queue" />
      </div>
      <Shown live={live}>
        {(page) => {
          // An event's answer has another form; this list never asks for one.
          if (!("outcomes" in page)) return null;
          return (
            <>
              {acts.length > 0 && page.outcomes.length > 0 && <Bulk<OutcomeReport> scope={`outcomes ${status}`} acts={acts} queueOf={(row) => row.queue} all={all} />}
              <List
                label="Outcomes"
                scope={key}
                marks={acts.length > 0 ? `outcomes ${status}` : undefined}
                rows={page.outcomes}
                id={(row) => row.job}
                href={(row) => (row.subject ? href("story", { subject: row.subject }) : href("job", { id: row.job }))}
                columns={columns(status, again)}
                empty={
                  <Empty title={title} good={status === "" || status === "missed" || status === "at_risk"}>
                    {words}
                  </Empty>
                }
              />
              <Pages
                next={cursorOf(page.next)}
                searched={page.searched === null ? null : `Looked at ${number(page.searched)} outcomes; there may be more.`}
              />
            </>
          );
        }}
      </Shown>
    </Page>
  );
}

function columns(status: string, again: () => void): Column<OutcomeReport>[] {
  const isOpen = ["", "at_risk", "open", "reopened"].includes(status);
  return [
    {
      head: "Subject",
      cell: (row) => (
        <>
          {row.subject ? <a href={href("story", { subject: row.subject })}>{row.subject}</a> : <a href={href("job", { id: row.job })}>{row.job}</a>}
          {row.tenant && <span class="faint sub">{row.tenant}</span>}
        </>
      ),
    },
    {
      head: "Work",
      cell: (row) => (
        <>
          <a class="plain" href={href("job", { id: row.job })}>
            {row.kind}
          </a>
          <span class="sub">
            <StatusBadge status={row.status} atRisk={row.at_risk} />
          </span>
        </>
      ),
    },
    {
      head: isOpen ? "Due" : "Verdict",
      right: true,
      cell: (row) => (isOpen ? <Due at={row.expected_by} /> : <Ago at={row.decided_at} />),
    },
    {
      head: isOpen ? "What holds it" : "Why",
      grows: true,
      cell: (row) => (
        <span class="why">
          {row.waived ? (
            <>
              {row.waived.text} <span class="faint">({row.waived.by})</span>
            </>
          ) : row.waits_for ? (
            <Words text={sentence(row.waits_for)} />
          ) : row.reason ? (
            <Words text={row.reason.message} />
          ) : (
            <span class="faint">{row.summary ?? (row.attempts === 0 ? "No attempt yet" : `No failure in ${row.attempts} attempt${row.attempts === 1 ? "" : "s"}`)}</span>
          )}
          {row.note && (
            <span class="note" title={`${row.note.by}, ${row.note.at}`}>
              “{row.note.text}”
            </span>
          )}
        </span>
      ),
    },
    { head: "Owner", cell: (row) => row.owner?.text ?? <span class="faint">–</span> },
    {
      head: "Actions",
      right: true,
      cell: (row) => (
        <span class="actions">
          <Act right="waive" run={() => own(row, again)} title="Name who is in charge">
            Owner
          </Act>
          <Act right="waive" run={() => note(row, again)}>
            Note
          </Act>
          {!["waived", "cancelled", "achieved_in_time", "achieved_late"].includes(row.status) && (
            <Act right="waive" run={() => waive(row, again)} title="Settle it without its outcome">
              Waive
            </Act>
          )}
        </span>
      ),
    },
  ];
}

/** How long until the due time, or since. */
export function Due({ at }: { at: string | null }) {
  if (at === null) return <span class="faint">–</span>;
  const left = Date.parse(at) - now.value;
  return (
    <time dateTime={at} title={at} class={left < 0 ? "nowrap late" : "nowrap"}>
      {left < 0 ? `${roughly(left)} late` : `in ${roughly(left)}`}
    </time>
  );
}
