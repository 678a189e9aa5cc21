// Quarantine: messages that could not be accepted, and why.

import { api, ask, cursorOf } from "../api/client";
import type { QuarantinedMessage, Query } from "../api/types";
import { useLive } from "../lib/live";
import { change, href, params } from "../lib/place";
import { bytes, counted, number, plain } from "../lib/words";
import { Dialog } from "../ui/dialog";
import { type Column, Filter, List, Pages, Tabs } from "../ui/list";
import { AsOf, Empty, Page, Shown, Trouble } from "../ui/state";
import { Ago, Facts, Figure, Id, Moment, Words } from "../ui/text";

export function Quarantine() {
  const { reason, type, source, subject, cursor, id } = params.value;
  const query: Query<"list_quarantine"> = { reason, type, source, subject, cursor, limit: 50 };
  const key = JSON.stringify(query);
  const live = useLive(`quarantine ${key}`, (signal) => ask(api.GET("/v1/quarantine", { params: { query }, signal })), cursor ? 0 : 5_000);
  return (
    <Page
      title="Quarantine"
      name="Quarantine"
      aside={<AsOf live={live} />}
      lead={
        <p>
          Messages that the bridge could not accept, each set aside alone. The message itself, with all its properties, is in RabbitMQ, in the
          queue <code>upshot.quarantine</code>.
        </p>
      }
    >
      <Shown live={live}>
        {({ messages, summary, next, searched }) => (
          <>
            <section class="total" aria-label="Counts">
              <Figure value={summary.listed} label="messages" tone="warn" />
              <Figure value={summary.in_rabbitmq} label="copies in RabbitMQ" />
              <Figure value={summary.unlisted} label="not listed here" tone="warn" title="More in RabbitMQ than the list knows" />
              <Figure value={summary.missing} label="taken out" title="Copies that somebody took out of RabbitMQ" />
              <span class="figure">
                <b class={summary.oldest ? "" : "zero"}>
                  <Ago at={summary.oldest} />
                </b>
                <span>the oldest</span>
              </span>
            </section>
            <Tabs
              name="reason"
              label="Reason"
              options={[["", "all"], ...Object.entries(summary.reasons).map(([name, of]) => [name, `${plain(name)} ${number(of.listed)}`] as const)]}
            />
            <div class="filters">
              <Filter name="type" label="Type" />
              <Filter name="source" label="Source" />
              <Filter name="subject" label="Subject" />
            </div>
            <List
              label="Messages in quarantine"
              scope={key}
              rows={messages}
              id={(row) => row.id}
              href={(row) => href("quarantine", { ...params.value, id: row.id })}
              columns={COLUMNS}
              empty={
                <Empty title="Nothing is in quarantine" good={!reason && !type && !source && !subject}>
                  A message comes here if it is malformed, of a type that no route takes, against its contract, or if it cannot be read. It never
                  stops another one.
                </Empty>
              }
            />
            <Pages next={cursorOf(next)} searched={searched ? `Looked at ${number(searched.messages)} messages; there may be more.` : null} />
          </>
        )}
      </Shown>
      {id && <Message id={id} />}
    </Page>
  );
}

const COLUMNS: Column<QuarantinedMessage>[] = [
  {
    head: "Reason",
    cell: (row) => (
      <>
        <a href={href("quarantine", { ...params.value, id: row.id })}>{plain(row.reason)}</a>
        {row.place && (
          <span class="sub">
            <code>{row.place}</code>
          </span>
        )}
      </>
    ),
  },
  {
    head: "What is wrong",
    grows: true,
    cell: (row) => (
      <span class="why">
        <Words text={row.detail} />
      </span>
    ),
  },
  {
    head: "Event",
    cell: (row) => (
      <>
        {row.type ?? row.routing_key}
        <span class="faint sub">{[row.source, row.subject].filter(Boolean).join(" · ")}</span>
      </>
    ),
  },
  { head: "Times", right: true, extra: true, cell: (row) => number(row.times) },
  { head: "Last", right: true, cell: (row) => <Ago at={row.last_seen} /> },
];

/** One message over the list: the address names it, so that it can be shared. */
function Message({ id }: { id: string }) {
  const live = useLive(`message ${id}`, (signal) => ask(api.GET("/v1/quarantine/{id}", { params: { path: { id } }, signal })), 0);
  const close = () => change({ id: undefined });
  const message = live.data.value;
  return (
    <Dialog title={message ? plain(message.reason) : "Message"} onClose={close} wide>
      {live.error.value && <Trouble error={live.error.value} />}
      {message && (
        <>
          <blockquote class="bad">
            <Words text={message.detail} />
          </blockquote>
          <Facts
            of={[
              ["Place", message.place && <code>{message.place}</code>],
              ["Type", message.type],
              ["Source", message.source],
              ["Event", message.event_id && <Id id={message.event_id} what="the event's id" />],
              ["Subject", message.subject],
              ["Routing key", message.routing_key],
              ["Size", bytes(message.size)],
              ["Came", counted(message.times, "time")],
              ["First", <Moment at={message.first_seen} />],
              ["Last", <Moment at={message.last_seen} />],
              ["Id", <Id id={message.id} />],
            ]}
          />
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
