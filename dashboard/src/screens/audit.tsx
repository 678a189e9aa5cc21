// The audit log: what principals did, on record before it happened.

import { api, ask, cursorOf } from "../api/client";
import { printed } from "../api/exact";
import type { Act as ActEntry, Query } from "../api/types";
import { useLive } from "../lib/live";
import { params } from "../lib/place";
import { lacks } from "../lib/session";
import { number, plain } from "../lib/words";
import { Badge, type Tone } from "../ui/badge";
import type { IconName } from "../ui/icon";
import { type Column, Filter, List, Pages, Tabs } from "../ui/list";
import { AsOf, Empty, Page, Shown } from "../ui/state";
import { Ago, Facts } from "../ui/text";

const RESULTS: [ActEntry["result"], Tone, IconName][] = [
  ["done", "good", "check"],
  ["failed", "warn", "warn"],
  ["refused", "bad", "shield"],
  ["unknown", "warn", "dash"],
  ["pending", "plain", "clock"],
  ["suppressed", "plain", "dash"],
];

export function Audit() {
  const why = lacks("see-audit", "installation");
  if (why)
    return (
      <Page title="Audit log" name="Audit log">
        <Empty title="You do not see the audit log">{why}</Empty>
      </Page>
    );
  return <Log />;
}

function Log() {
  const { principal, operation, target, result, cursor } = params.value;
  const query: Query<"list_acts"> = { principal, operation, target, result: result as ActEntry["result"] | undefined, cursor, limit: 50 };
  const key = JSON.stringify(query);
  const live = useLive(`audit ${key}`, (signal) => ask(api.GET("/v1/audit", { params: { query }, signal })), cursor ? 0 : 5_000);
  return (
    <Page title="Audit log" name="Audit log" aside={<AsOf live={live} />} lead={<p>What principals changed, tried to change, and revealed: on record before it happened.</p>}>
      <Tabs name="result" label="Result" options={[["", "all"], ...RESULTS.map(([name]) => [name, name] as const)]} />
      <div class="filters">
        <Filter name="principal" label="Principal" placeholder="name or id" />
        <Filter name="operation" label="Operation" placeholder="retry_job" />
        <Filter name="target" label="Target" placeholder="a job, a queue, a subject" />
      </div>
      <Shown live={live}>
        {({ acts, next, searched }) => (
          <>
            <List
              label="Acts"
              scope={key}
              rows={acts}
              id={(row) => `${row.id} ${row.result}`}
              columns={COLUMNS}
              empty={<Empty title="No act">A change over the API, the dashboard or the command line stands here, and so does a refusal.</Empty>}
            />
            <Pages next={cursorOf(next)} searched={searched ? `Looked at ${number(searched.entries)} entries; there may be more.` : null} />
          </>
        )}
      </Shown>
    </Page>
  );
}

const COLUMNS: Column<ActEntry>[] = [
  { head: "When", cell: (row) => <Ago at={row.at} /> },
  {
    head: "Who",
    cell: (row) => (
      <>
        {row.principal?.name ?? <span class="faint">not known</span>}
        <span class="faint sub">{[row.principal?.kind, row.address].filter(Boolean).join(" · ")}</span>
      </>
    ),
  },
  {
    head: "What",
    cell: (row) => (
      <>
        {row.operation ? plain(row.operation) : row.suppressed ? `${number(row.suppressed.refusals)} more refusals` : "–"}
        <span class="faint sub">{Object.values(row.target).join(" · ")}</span>
      </>
    ),
  },
  {
    head: "Result",
    cell: (row) => {
      const [name, tone, icon] = RESULTS.find(([result]) => result === row.result) ?? [row.result, "plain" as Tone, "dot" as IconName];
      return (
        <>
          <Badge tone={tone} icon={icon}>
            {name}
          </Badge>
          {row.problem && <span class="faint sub">{row.problem}</span>}
        </>
      );
    },
  },
  {
    head: "More",
    grows: true,
    cell: (row) => (
      <>
        {row.reason && <span class="why">“{row.reason}”</span>}
        <details>
          <summary>Details</summary>
          <Facts
            of={[
              ["Right", row.right],
              ["Status", row.status],
              ["Asked", row.asked == null ? null : <code>{printed(row.asked)}</code>],
              ["Before", row.before == null ? null : <code>{printed(row.before)}</code>],
              ["After", row.after == null ? null : <code>{printed(row.after)}</code>],
              ["Client", row.agent],
              ["Request", row.request_id],
              ["Act", row.id],
            ]}
          />
        </details>
      </>
    ),
  },
];
