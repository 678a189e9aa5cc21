// One queue: limits and their use, parked conditions, workers and kinds, the outbox, the configuration.

import { api, ask } from "../api/client";
import type { Limit, Queue } from "../api/types";
import { useLive } from "../lib/live";
import { conditionInWords } from "../lib/names";
import { params } from "../lib/place";
import { lacks } from "../lib/session";
import { counted, number } from "../lib/words";
import { Act } from "../ui/act";
import { Field, Form, show } from "../ui/dialog";
import { type Column, List } from "../ui/list";
import { AsOf, Empty, Page, Shown, Trouble } from "../ui/state";
import { Ago, Facts, Json, Moment } from "../ui/text";
import { say } from "../ui/toast";
import { Marks, PauseAct, States } from "./queues";

export function QueueScreen() {
  const { name = "" } = params.value;
  const live = useLive(`queue ${name}`, (signal) => ask(api.GET("/v1/queues", { signal })), 2_500);
  const queue = live.data.value?.queues.find((one) => one.name === name);
  const done = () => void live.again();
  return (
    <Page
      title={`Queue ${name}`}
      name={`Queue ${name}`}
      aside={
        <>
          <AsOf live={live} />
          {queue && <PauseAct queue={queue} done={done} />}
        </>
      }
    >
      <Shown live={live}>
        {() => (queue ? <Whole queue={queue} done={done} /> : <Empty title={`No queue is called ${name}`}>Queues are sections of the settings.</Empty>)}
      </Shown>
    </Page>
  );
}

function Whole({ queue, done }: { queue: Queue; done: () => void }) {
  return (
    <>
      <div class="summary">
        <Marks queue={queue} />
      </div>
      <section class="panel" aria-label="Jobs">
        <States queue={queue} />
        <p class="hint">
          Ready by priority:{" "}
          {["critical", "high", "normal", "low"].map((priority) => `${priority} ${number(queue.ready[priority] ?? 0)}`).join(" · ")}
        </p>
      </section>
      {queue.paused_kinds.length > 0 && (
        <section aria-labelledby="kinds">
          <h2 id="kinds">Paused kinds</h2>
          <ul class="rows">
            {queue.paused_kinds.map((kind) => (
              <li key={kind}>
                <code>{kind}</code>
                <Act
                  right="pause"
                  needs="all-tenants"
                  run={async () => {
                    await ask(api.POST("/v1/queues/{queue}/resume", { params: { path: { queue: queue.name } }, body: { kind } }));
                    say(`${kind} goes on.`);
                    done();
                  }}
                >
                  Resume
                </Act>
              </li>
            ))}
          </ul>
        </section>
      )}
      <div class="columns">
        <div>
          <h2>What parked jobs wait for</h2>
          <List
            label="Conditions"
            rows={queue.conditions}
            id={(row) => row.condition}
            columns={conditions(queue, done)}
            empty={
              <Empty title="No job is parked" good>
                A parked job waits for a signal, for a breaker that closes, or for a worker that knows its kind. It uses up no attempt.
              </Empty>
            }
          />
          {queue.conditions_cut && <p class="hint">There are more conditions.</p>}
          {queue.releasing.map((release) => (
            <p key={release.condition}>
              Releasing <code>{release.condition}</code> since <Ago at={release.since} />: {number(release.done)} of {number(release.jobs)}
            </p>
          ))}
          <header class="row between">
            <h2>Limits and weights</h2>
            <Act right="configure" needs="all-tenants" run={() => setLimit(queue.name, null, done)}>
              Set a limit…
            </Act>
          </header>
          <List
            label="Limits"
            rows={queue.limits}
            id={(row) => row.key}
            columns={limits(queue.name, done)}
            empty={<Empty title="Nothing is limited">A limit bounds how many jobs run or start at once: upshot limit sets one in all processes.</Empty>}
          />
          {queue.limits_cut && <p class="hint">There are more limits.</p>}
        </div>
        <div>
          <h2>Workers</h2>
          <Facts
            of={[
              ["Workers", number(queue.workers.count)],
              ["Slots", number(queue.workers.slots)],
              ["Builds", queue.workers.builds.join(", ")],
              ["Kinds without a worker", queue.workers.kinds_without_worker.join(", ")],
            ]}
          />
          <h2>Outbox</h2>
          <Facts
            of={[
              ["Entries kept", number(queue.outbox.entries)],
              ...queue.outbox.groups.map((group): [string, preact.ComponentChildren] => [
                `Group ${group.name}`,
                <>
                  {group.lag === null ? "lag unknown" : `${number(group.lag)} unread`}, {number(group.unacknowledged)} unacknowledged,{" "}
                  {counted(group.members, "member")}
                </>,
              ]),
            ]}
          />
          <h2>Since the queue began</h2>
          <Facts of={Object.entries(queue.transitions).map(([name, count]) => [name.replaceAll("_", " "), number(count)])} />
        </div>
      </div>
      {lacks("see", "all-tenants") === null && <ConfigurationView queue={queue.name} />}
    </>
  );
}

function conditions(queue: Queue, done: () => void): Column<Queue["conditions"][number]>[] {
  return [
    { head: "Condition", grows: true, cell: (row) => <code title={row.condition}>{conditionInWords(row.condition)}</code> },
    { head: "Jobs", right: true, cell: (row) => number(row.jobs) },
    {
      head: "Actions",
      right: true,
      cell: (row) => (
        <Act
          right="pause"
          needs="all-tenants"
          barred={/^(kind|args|resume) /.test(row.condition) ? "This ends by itself: with a worker that can run the jobs, or with the pause." : null}
          run={() =>
            show(
              <Form
                title={`Release ${counted(row.jobs, "job")}`}
                action="Release them"
                right="pause"
                needs="all-tenants"
                run={async () => {
                  const { unparked, left } = await ask(
                    api.POST("/v1/queues/{queue}/unpark", { params: { path: { queue: queue.name } }, body: { condition: row.condition } }),
                  );
                  say(`${counted(unparked, "job")} released${left ? `; ${number(left)} follow` : ""}.`);
                  done();
                }}
              >
                <p>
                  The jobs that wait for <code>{row.condition}</code> become ready as if it had come true. A job that still needs it parks again.
                </p>
              </Form>,
            )
          }
        >
          Release…
        </Act>
      ),
    },
  ];
}

const none = <span class="faint">–</span>;

const limits = (queue: string, done: () => void): Column<Limit>[] => [
  { head: "Key", grows: true, cell: (row) => <code>{row.key}</code> },
  {
    head: "Running",
    right: true,
    cell: (row) =>
      row.concurrency === null ? (
        none
      ) : (
        <span class="use">
          <progress max={Math.max(1, row.concurrency)} value={row.running ?? 0} aria-label={`${row.running ?? 0} of ${row.concurrency} run`} />
          {number(row.running ?? 0)} / {number(row.concurrency)}
        </span>
      ),
  },
  { head: "Starts a second", right: true, cell: (row) => row.rate ?? none },
  { head: "Burst", right: true, extra: true, cell: (row) => row.burst ?? none },
  { head: "Weight", right: true, extra: true, cell: (row) => row.weight ?? none },
  { head: "Waiting lanes", right: true, cell: (row) => number(row.waiting_lanes) },
  {
    head: "Actions",
    right: true,
    cell: (row) => (
      <Act right="configure" needs="all-tenants" run={() => setLimit(queue, row, done)}>
        Change…
      </Act>
    ),
  },
];

/** Sets a whole limit: what is left empty does not limit. */
function setLimit(queue: string, limit: Limit | null, done: () => void) {
  const of = (value: number | null | undefined) => (value == null ? "" : String(value));
  show(
    <Form
      title={limit ? `Limit ${limit.key}` : "A limit"}
      action="Set the limit"
      right="configure"
      needs="all-tenants"
      run={async (fields) => {
        const value = (name: string) => {
          const text = fields[name]?.trim();
          if (!text) return null;
          if (Number.isNaN(Number(text))) throw new Error(`“${text}” is no number.`);
          return Number(text);
        };
        const body = { key: limit?.key ?? fields["key"]?.trim() ?? "", concurrency: value("concurrency"), rate: value("rate"), burst: value("burst"), weight: value("weight") };
        await ask(api.PUT("/v1/queues/{queue}/limits", { params: { path: { queue } }, body }));
        say(`The limit ${body.key} is set in all processes.`);
        done();
      }}
    >
      {!limit && <Field label="Key" name="key" required first placeholder="tenant:morgenrot" hint="queue, tenant:NAME, or key:NAME." />}
      <p class="hint">The limit replaces the previous one as a whole. What is left empty does not limit.</p>
      <Field label="Jobs at once" name="concurrency" value={of(limit?.concurrency)} first={limit !== null} hint="In all processes; 0 holds all of them." />
      <Field label="Starts a second" name="rate" value={of(limit?.rate)} />
      <Field label="Burst" name="burst" value={of(limit?.burst)} hint="With a rate: starts at once after a quiet time." />
      <Field label="Weight" name="weight" value={of(limit?.weight)} hint="Of a tenant: its share beside others, which have 1." />
    </Form>,
  );
}

function ConfigurationView({ queue }: { queue: string }) {
  const live = useLive(`configuration ${queue}`, (signal) => ask(api.GET("/v1/queues/{queue}/configuration", { params: { path: { queue } }, signal })), 0);
  if (live.error.value && !live.data.value) return <Trouble error={live.error.value} />;
  const configuration = live.data.value;
  if (!configuration) return null;
  return (
    <section aria-labelledby="configuration">
      <h2 id="configuration">Configuration</h2>
      <p class="hint">
        {configuration.version === 0 ? (
          "None is stored yet: the first executor stores one."
        ) : (
          <>
            Version {number(configuration.version)} by {configuration.by ?? "an executor"}, <Moment at={configuration.stored_at} />. The same in every
            process; <code>upshot config apply</code> changes it.
          </>
        )}
      </p>
      {configuration.configuration && (
        <details>
          <summary>All values</summary>
          <Json value={configuration.configuration} label="the configuration" />
        </details>
      )}
      {configuration.limits_apart.length > 0 && <p class="hint">{counted(configuration.limits_apart.length, "limit")} were set differently since then.</p>}
    </section>
  );
}
