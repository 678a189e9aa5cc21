// Tenants: what became of the outcomes of each tenant, and one tenant by day.

import { api, ask } from "../api/client";
import type { Figures, TenantRow } from "../api/types";
import { useLive } from "../lib/live";
import { change, href, params } from "../lib/place";
import { counted, number, percent } from "../lib/words";
import { Dialog } from "../ui/dialog";
import { type Column, List, Pages, Tabs } from "../ui/list";
import { AsOf, Empty, Page, Shown, Trouble } from "../ui/state";
import { Moment } from "../ui/text";

const ORDERS = [["", "most missed"], ["overdue", "most overdue"], ["late", "most late"], ["verdicts", "most verdicts"]] as const;
const NO_TENANT = "no tenant";

export function Tenants() {
  const { sort, cursor, id } = params.value;
  const query = { sort, skip: cursor ? Number(cursor) : undefined, limit: 50 };
  const key = JSON.stringify(query);
  const live = useLive(`tenants ${key}`, (signal) => ask(api.GET("/v1/tenants", { params: { query }, signal })), 15_000);
  return (
    <Page
      title="Tenants"
      name="Tenants"
      aside={<AsOf live={live} />}
      lead={<p>What is open and overdue now, and the verdicts of 30 days, today included. Each is counted in the moment in which it happens.</p>}
    >
      <Tabs name="sort" label="Order" options={ORDERS} />
      <Shown live={live}>
        {({ tenants, others, next }) => (
          <>
            <List
              label="Tenants"
              scope={key}
              rows={tenants}
              id={(row) => row.tenant ?? ""}
              href={(row) => (row.tenant === null ? href("tenants", params.value) : opened(row.tenant))}
              columns={COLUMNS}
              empty={
                <Empty title="No tenant has a verdict in 30 days">
                  A tenant appears here with its first verdict. A producer names the tenant in the event's attribute <code>tenant</code>.
                </Empty>
              }
            />
            {others !== null && verdicts(others.days) > 0 && (
              <p class="hint">Others together: {counted(verdicts(others.days), "verdict")}, {number(others.days.missed)} missed.</p>
            )}
            <Pages next={next === null ? undefined : (new URL(next, document.baseURI).searchParams.get("skip") ?? undefined)} />
          </>
        )}
      </Shown>
      {id && <One tenant={id} />}
    </Page>
  );
}

const opened = (tenant: string) => href("tenants", { ...params.value, id: tenant });

function verdicts(of: Figures): number {
  const counts = [of.achieved_in_time, of.achieved_late, of.partial, of.missed, of.cancelled, of.waived];
  return counts.reduce<number>((sum, count) => sum + (count ?? 0), 0);
}

const figure = (count: number | null) => number(count ?? 0);
const share = (of: Figures) => (of.share_in_time === null ? "–" : percent(of.share_in_time));

const COLUMNS: Column<TenantRow>[] = [
  {
    head: "Tenant",
    grows: true,
    cell: ({ tenant }) => (tenant === null ? <span class="faint">{NO_TENANT}</span> : <a href={opened(tenant)}>{tenant}</a>),
  },
  { head: "Open", right: true, cell: (row) => <a href={href("outcomes", { tenant: row.tenant ?? undefined })}>{number(row.open)}</a> },
  { head: "Overdue", right: true, cell: (row) => <Late row={row} /> },
  { head: "In time", right: true, cell: ({ days }) => share(days) },
  { head: "Verdicts", right: true, extra: true, cell: ({ days }) => number(verdicts(days)) },
  { head: "Missed", right: true, cell: ({ days, today }) => <Both all={days.missed} today={today.missed} /> },
  { head: "Became overdue", right: true, extra: true, cell: ({ days, today }) => <Both all={days.became_overdue} today={today.became_overdue} /> },
  { head: "Late", right: true, extra: true, cell: ({ days, today }) => <Both all={days.achieved_late} today={today.achieved_late} /> },
];

/** What is overdue now. */
function Late({ row }: { row: TenantRow }) {
  if (row.overdue === 0) return <span class="faint">0</span>;
  return <a href={href("outcomes", { tenant: row.tenant ?? undefined, status: "overdue" })}>{number(row.overdue)}</a>;
}

/** A count of 30 days, and what of it is of today. */
function Both({ all, today }: { all: number | null; today: number | null }) {
  return (
    <>
      {figure(all)}
      {today ? <span class="sub faint">{figure(today)} today</span> : null}
    </>
  );
}

/** One tenant over the list: the address names it, so that it can be shared. */
function One({ tenant }: { tenant: string }) {
  const live = useLive(`tenant ${tenant}`, (signal) => ask(api.GET("/v1/tenants/{tenant}", { params: { path: { tenant } }, signal })), 15_000);
  const close = () => change({ id: undefined });
  const found = live.data.value;
  return (
    <Dialog title={tenant} onClose={close} wide>
      {live.error.value && <Trouble error={live.error.value} />}
      {found && (
        <>
          <p>
            <a href={href("jobs", { tenant })}>Its jobs</a> · <a href={href("outcomes", { tenant })}>its outcomes</a> ·{" "}
            <a href={href("jobs", { tenant, state: "dead" })}>its dead jobs</a> · {counted(found.open, "outcome")} open, {number(found.overdue)}{" "}
            overdue · as of <Moment at={found.as_of} />
          </p>
          <h3>Causes of its failures</h3>
          {found.causes.length === 0 && <p class="hint">No job of it is dead, or runs again after a failure.</p>}
          <ul>
            {found.causes.map((cause) => (
              <li key={cause.group + cause.queue}>
                <a href={href("failures", { id: cause.group, of: cause.queue })}>{cause.message}</a>{" "}
                <span class="faint">
                  {cause.kind}, {counted(cause.count, "failed attempt")}
                </span>
              </li>
            ))}
          </ul>
          <h3>By day</h3>
          <div class="list">
            <table>
              <thead>
                <tr>
                  {["Day", "In time", "Late", "Partial", "Missed", "Overdue", "Cancelled", "Waived", "Share"].map((head) => (
                    <th key={head} scope="col" class={head === "Day" ? "" : "right"}>
                      {head}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                <Row name="30 days" of={found.days} />
                {found.by_day.map((day) => (
                  <Row key={day.day} name={day.day.slice(0, 10)} of={day} />
                ))}
              </tbody>
            </table>
          </div>
        </>
      )}
      <div class="row end">
        <button type="button" class="key" data-first onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function Row({ name, of }: { name: string; of: Figures }) {
  const counts = [of.achieved_in_time, of.achieved_late, of.partial, of.missed, of.became_overdue, of.cancelled, of.waived];
  return (
    <tr>
      <th scope="row">{name}</th>
      {counts.map((count, n) => (
        <td key={n} class="right">
          {figure(count)}
        </td>
      ))}
      <td class="right">{share(of)}</td>
    </tr>
  );
}
