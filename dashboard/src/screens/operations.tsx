// Operations: acts on many jobs, the newest first.

import { api, ask, cursorOf } from "../api/client";
import type { Operation, OperationState, Query } from "../api/types";
import { useLive } from "../lib/live";
import { href, params } from "../lib/place";
import { number } from "../lib/words";
import { Badge, type Tone } from "../ui/badge";
import type { IconName } from "../ui/icon";
import { type Column, Filter, List, Pages, Tabs } from "../ui/list";
import { AsOf, Empty, Page, Shown } from "../ui/state";
import { Ago } from "../ui/text";
import { ACTS } from "./bulk";

const STATES: Record<OperationState, [Tone, IconName]> = {
  counting: ["info", "play"],
  counted: ["warn", "clock"],
  running: ["info", "play"],
  paused: ["warn", "pause"],
  stopped: ["bad", "warn"],
  aborted: ["plain", "dash"],
  done: ["good", "check"],
  failed: ["bad", "cross"],
};

export function PhaseBadge({ state }: { state: OperationState }) {
  const [tone, icon] = STATES[state] ?? ["plain", "dot"];
  return (
    <Badge tone={tone} icon={icon}>
      {state}
    </Badge>
  );
}

/** What an operation does, and to which jobs, in a few words. */
export function described(operation: Operation): string {
  const act = operation.act ? (ACTS[operation.act as keyof typeof ACTS]?.label ?? operation.act) : "Unknown";
  const filter = operation.filter as Record<string, unknown>;
  const parts = Object.entries(filter).map(([name, value]) => (name === "ids" ? `${String(value)} named jobs` : `${name} ${String(value)}`));
  return `${act}: ${parts.join(", ")}`;
}

export function Operations() {
  const { state, queue, cursor } = params.value;
  const query: Query<"list_operations"> = { state: state as OperationState | undefined, queue, cursor, limit: 50 };
  const key = JSON.stringify(query);
  const live = useLive(`operations ${key}`, (signal) => ask(api.GET("/v1/operations", { params: { query }, signal })), cursor ? 0 : 2_000);
  return (
    <Page
      title="Operations"
      name="Operations"
      aside={<AsOf live={live} />}
      lead={<p>An operation does one thing to many jobs: a dry run first, then at a pace, with progress, a stop rule and an abort.</p>}
    >
      <Tabs name="state" label="State" options={[["", "all"], ...Object.keys(STATES).map((name) => [name, name] as const)]} />
      <div class="filters">
        <Filter name="queue" label="Queue" />
      </div>
      <Shown live={live}>
        {(page) => (
          <>
            <List
              label="Operations"
              scope={key}
              rows={page.operations}
              id={(row) => row.id}
              href={(row) => href("operation", { id: row.id })}
              columns={COLUMNS}
              empty={
                <Empty title={state ? `No operation is ${state}` : "No operation"}>
                  Mark jobs in a list with x, or choose all that match, and press the button of an act. Failures has it for each cause.
                </Empty>
              }
            />
            <Pages next={cursorOf(page.next)} />
          </>
        )}
      </Shown>
    </Page>
  );
}

const COLUMNS: Column<Operation>[] = [
  {
    head: "Operation",
    grows: true,
    cell: (row) => (
      <>
        <a href={href("operation", { id: row.id })}>{described(row)}</a>
        <span class="faint sub">
          {row.queue}
          {row.reason && `: ${row.reason}`}
        </span>
      </>
    ),
  },
  { head: "State", cell: (row) => <PhaseBadge state={row.state} /> },
  { head: "Counted", right: true, cell: (row) => (row.counted ? number(row.counted.jobs) : <span class="faint">–</span>) },
  { head: "Changed", right: true, cell: (row) => number(row.changed) },
  { head: "Refused", right: true, cell: (row) => number(row.refused) },
  { head: "By", cell: (row) => row.by || <span class="faint">–</span> },
  { head: "Created", right: true, cell: (row) => <Ago at={row.created_at} /> },
];
