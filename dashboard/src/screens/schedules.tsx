// Schedules: when each is due next, how its last run came out, and what keeps it from running.

import { api, ask } from "../api/client";
import type { DueTime, Schedule } from "../api/types";
import { useLive } from "../lib/live";
import { href, params } from "../lib/place";
import { counted } from "../lib/words";
import { Act } from "../ui/act";
import { Badge, StateBadge, StatusBadge } from "../ui/badge";
import { Field, Form, show } from "../ui/dialog";
import { type Column, Filter, List } from "../ui/list";
import { AsOf, Empty, Page, Shown } from "../ui/state";
import { Ago } from "../ui/text";
import { say } from "../ui/toast";

export function Schedules() {
  const { queue } = params.value;
  const live = useLive(`schedules ${queue ?? ""}`, (signal) => ask(api.GET("/v1/schedules", { params: { query: { queue } }, signal })), 3_000);
  const again = () => void live.again();
  return (
    <Page title="Schedules" name="Schedules" aside={<AsOf live={live} />} lead={<p>Jobs at due times, without an event. Local times are those of each schedule's time zone.</p>}>
      <div class="filters">
        <Filter name="queue" label="Queue" placeholder="all" />
        <MakeAct done={again} />
      </div>
      <Shown live={live}>
        {({ schedules }) => (
          <List
            label="Schedules"
            scope={queue ?? ""}
            rows={schedules}
            id={(row) => `${row.queue} ${row.name}`}
            columns={[...COLUMNS, { head: "Acts", cell: (row) => <Acts schedule={row} done={again} /> }]}
            empty={
              <Empty title="No schedule">
                A schedule is a [[schedules]] of upshot.toml, or is made with <code>upshot schedule create</code>.
              </Empty>
            }
          />
        )}
      </Shown>
    </Page>
  );
}

const COLUMNS: Column<Schedule>[] = [
  {
    head: "Schedule",
    grows: true,
    cell: (row) => (
      <>
        <strong>{row.name}</strong>
        <span class="faint sub">
          {row.definition?.job ?? "unreadable"} in <a href={href("queue", { name: row.queue })}>{row.queue}</a>
          {row.definition?.tenant ? ` for ${row.definition.tenant}` : ""} · {row.origin === "settings" ? "from settings" : `made by ${row.by}`}
        </span>
        {row.troubles.map((trouble) => (
          <p key={trouble.trouble}>
            <Badge tone="bad" icon="warn">
              {trouble.trouble.replaceAll("_", " ")}
            </Badge>{" "}
            {trouble.words}
          </p>
        ))}
      </>
    ),
  },
  {
    head: "Due",
    cell: (row) => (
      <>
        {row.words ?? <span class="faint">not known</span>}
        {row.definition?.cron && (
          <span class="faint sub">
            <code>{row.definition.cron}</code>
          </span>
        )}
      </>
    ),
  },
  { head: "Next", cell: (row) => <Next schedule={row} /> },
  { head: "Last run", cell: (row) => <Last schedule={row} /> },
  { head: "Runs", right: true, extra: true, cell: (row) => <Counts schedule={row} /> },
];

function Next({ schedule }: { schedule: Schedule }) {
  if (schedule.paused)
    return (
      <>
        <Badge tone="warn" icon="pause">
          paused
        </Badge>
        <span class="faint sub">
          <Ago at={schedule.paused.at} /> by {schedule.paused.by}
        </span>
      </>
    );
  const [first, ...others] = schedule.next;
  if (!first) return <span class="faint">–</span>;
  return (
    <>
      <Ago at={first.starts_at} />
      <span class="faint sub">
        <Local due={first} />
      </span>
      {others.length > 0 && (
        <details>
          <summary>{counted(others.length, "more", "more")}</summary>
          <ol class="plain">
            {others.map((due) => (
              <li key={due.at}>
                <Local due={due} />
              </li>
            ))}
          </ol>
        </details>
      )}
    </>
  );
}

const MARKS: Record<string, string> = {
  after_gap: "its local time does not exist: right after the gap",
  first_of_two: "its local time exists twice: the first one",
  second_of_two: "its local time exists twice: the second one",
};

/** A due time as the clocks of its zone say it, and what they do to it. */
function Local({ due }: { due: DueTime }) {
  const words = [due.mark ? MARKS[due.mark] : null, due.skipped ? `${counted(due.skipped, "local time")} before it ${due.skipped === 1 ? "does" : "do"} not exist` : null];
  const said = words.filter(Boolean).join("; ");
  return (
    <>
      <time dateTime={due.at} class="nowrap">
        {due.local.replace("T", " ")}
      </time>
      {said && (
        <span title={said}>
          {" "}
          <Badge tone="warn" icon="clock">
            {said}
          </Badge>
        </span>
      )}
    </>
  );
}

function Last({ schedule }: { schedule: Schedule }) {
  const { last } = schedule;
  if (!last) return <span class="faint">none yet</span>;
  return (
    <>
      <a href={href("job", { id: last.job })}>
        <Ago at={last.at} />
      </a>{" "}
      {last.outcome ? <StatusBadge status={last.outcome} /> : last.state ? <StateBadge state={last.state} /> : <span class="faint">forgotten</span>}
      <span class="faint sub">{last.due ? <>due {last.due.slice(0, 19).replace("T", " ")} UTC</> : "asked for"}</span>
    </>
  );
}

function Counts({ schedule }: { schedule: Schedule }) {
  return (
    <>
      {schedule.runs}
      {schedule.missed > 0 && <span class="faint sub">{schedule.missed} missed</span>}
    </>
  );
}

function Acts({ schedule, done }: { schedule: Schedule; done: () => void }) {
  const path = { queue: schedule.queue, name: schedule.name };
  return (
    <span class="actions">
      {schedule.paused ? (
        <Act
          right="pause"
          tone="key"
          run={async () => {
            await ask(api.POST("/v1/schedules/{queue}/{name}/resume", { params: { path }, body: {} }));
            say(`${schedule.name} is due again.`);
            done();
          }}
        >
          Resume
        </Act>
      ) : (
        <Act
          right="pause"
          title="It is not due until it is resumed. Its jobs continue."
          run={async () => {
            await ask(api.POST("/v1/schedules/{queue}/{name}/pause", { params: { path }, body: {} }));
            say(`${schedule.name} is paused.`);
            done();
          }}
        >
          Pause
        </Act>
      )}
      <Act
        right="schedule"
        title="One more job now. The next due time stays."
        run={async () => {
          const { job } = await ask(api.POST("/v1/schedules/{queue}/{name}/run", { params: { path }, body: {} }));
          say(`${schedule.name} runs as job ${job}.`);
          done();
        }}
      >
        Run now
      </Act>
      <Act
        right="configure"
        barred={schedule.origin === "settings" ? "It comes from the settings: remove it there, or pause it." : null}
        run={() =>
          show(
            <Form
              title={`Remove the schedule ${schedule.name}`}
              action="Remove"
              right="configure"
              run={async () => {
                await ask(api.DELETE("/v1/schedules/{queue}/{name}", { params: { path } }));
                say(`${schedule.name} is removed.`);
                done();
              }}
            >
              <p>Its jobs stay. Nothing is due any more.</p>
            </Form>,
          )
        }
      >
        Remove…
      </Act>
    </span>
  );
}

/** Makes a schedule. */
function MakeAct({ done }: { done: () => void }) {
  return (
    <Act
      right="configure"
      run={() =>
        show(
          <Form
            title="Make a schedule"
            action="Make"
            right="configure"
            run={async (fields) => {
              const field = (name: string) => fields[name]?.trim() || undefined;
              const body = {
                name: field("name") ?? "",
                queue: field("queue") ?? "",
                job: field("job") ?? "",
                cron: field("cron"),
                zone: field("zone"),
                within: field("within"),
                tenant: field("tenant"),
              };
              await ask(api.POST("/v1/schedules", { body }));
              say(`${body.name} is made.`);
              done();
            }}
          >
            <Field label="Name" name="name" placeholder="nightly-report" />
            <Field label="Queue" name="queue" placeholder="reports" />
            <Field label="Kind of its jobs" name="job" placeholder="report.write" />
            <Field label="Due at" name="cron" hint="Minute, hour, day of month, month, day of week." placeholder="30 6 * * MON-FRI" />
            <Field label="Time zone" name="zone" hint="Left empty: UTC." placeholder="Europe/Berlin" />
            <Field label="Expected within" name="within" hint="Left empty: no outcome is expected." placeholder="30m" />
            <Field label="Tenant" name="tenant" hint="Left empty: none." />
            <p class="faint">
              <code>upshot schedule create</code> takes arguments, intervals and more.
            </p>
          </Form>,
        )
      }
    >
      Make…
    </Act>
  );
}
