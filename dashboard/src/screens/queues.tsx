// All queues: their jobs, what holds them back, who works on them.

import { api, ask } from "../api/client";
import type { JobState, Queue } from "../api/types";
import { useLive } from "../lib/live";
import { conditionInWords } from "../lib/names";
import { href } from "../lib/place";
import { counted, number } from "../lib/words";
import { Act } from "../ui/act";
import { Badge, type Tone } from "../ui/badge";
import { Field, Form, show } from "../ui/dialog";
import { AsOf, Empty, Page, Shown } from "../ui/state";
import { Figure } from "../ui/text";
import { say } from "../ui/toast";

export function Queues() {
  const live = useLive("queues", (signal) => ask(api.GET("/v1/queues", { signal })), 2_500);
  return (
    <Page title="Queues" name="Queues" aside={<AsOf live={live} />}>
      <Shown live={live}>
        {({ queues }) => (
          <>
            {queues.length === 0 && <Empty title="No queue">A queue is a section [queues.NAME] of upshot.toml.</Empty>}
            {queues.map((queue) => (
              <section key={queue.name} class="panel" aria-label={queue.name}>
                <header>
                  <h2>
                    <a href={href("queue", { name: queue.name })}>{queue.name}</a>
                  </h2>
                  <Marks queue={queue} />
                  <span class="actions">
                    <PauseAct queue={queue} done={() => void live.again()} />
                  </span>
                </header>
                <States queue={queue} />
                <Holds queue={queue} />
              </section>
            ))}
          </>
        )}
      </Shown>
    </Page>
  );
}

/** What is out of the ordinary, or that nothing is. */
export function Marks({ queue }: { queue: Queue }) {
  const { workers } = queue;
  return (
    <span class="marks">
      {queue.paused && (
        <Badge tone="warn" icon="pause">
          paused
        </Badge>
      )}
      {queue.paused_kinds.map((kind) => (
        <Badge key={kind} tone="warn" icon="pause">
          {kind} paused
        </Badge>
      ))}
      {workers.count === 0 ? (
        <Badge tone="bad" icon="cross">
          no worker
        </Badge>
      ) : (
        <Badge tone="plain" icon="play">
          {counted(workers.count, "worker")}, {counted(workers.slots, "slot")}
        </Badge>
      )}
      {workers.kinds_without_worker.map((kind) => (
        <Badge key={kind} tone="bad" icon="warn">
          no worker runs {kind}
        </Badge>
      ))}
    </span>
  );
}

const STATES: [JobState, Tone][] = [
  ["ready", "plain"],
  ["running", "info"],
  ["scheduled", "plain"],
  ["parked", "warn"],
  ["dead", "bad"],
  ["succeeded", "plain"],
  ["cancelled", "plain"],
];

export function States({ queue }: { queue: Queue }) {
  return (
    <div class="figures">
      {STATES.map(([state, tone]) => (
        <Figure key={state} value={queue.jobs[state] ?? 0} label={state} tone={tone} href={href("jobs", { queue: queue.name, state })} />
      ))}
    </div>
  );
}

const SHOWN = 3;

/** The first of what holds its jobs back. */
function Holds({ queue }: { queue: Queue }) {
  const waiting = queue.limits.filter((limit) => limit.waiting_lanes > 0);
  if (waiting.length + queue.conditions.length + queue.releasing.length === 0) return null;
  return (
    <ul class="holds">
      {waiting.slice(0, SHOWN).map((limit) => (
        <li key={limit.key}>
          Limit <code>{limit.key}</code> is used up: {counted(limit.waiting_lanes, "lane")} {limit.waiting_lanes === 1 ? "waits" : "wait"}.
        </li>
      ))}
      {queue.conditions.slice(0, SHOWN).map(({ condition, jobs }) => (
        <li key={condition}>
          {counted(jobs, "job")} {jobs === 1 ? "waits" : "wait"} for <code>{conditionInWords(condition)}</code>.
        </li>
      ))}
      {queue.releasing.map((release) => (
        <li key={release.condition}>
          Releasing <code>{release.condition}</code>: {number(release.done)} of {number(release.jobs)}.
        </li>
      ))}
      {waiting.length > SHOWN || queue.conditions.length > SHOWN ? (
        <li>
          <a href={href("queue", { name: queue.name })}>all of them</a>
        </li>
      ) : null}
    </ul>
  );
}

/** Pauses a queue or lets it go on. */
export function PauseAct({ queue, done }: { queue: Queue; done: () => void }) {
  const path = { queue: queue.name };
  if (queue.paused)
    return (
      <Act
        right="pause"
        needs="all-tenants"
        tone="key"
        run={async () => {
          await ask(api.POST("/v1/queues/{queue}/resume", { params: { path }, body: {} }));
          say(`Queue ${queue.name} goes on.`);
          done();
        }}
      >
        Resume
      </Act>
    );
  return (
    <Act
      right="pause"
      needs="all-tenants"
      run={() =>
        show(
          <Form
            title={`Pause queue ${queue.name}`}
            action="Pause"
            right="pause"
            needs="all-tenants"
            run={async (fields) => {
              const kind = fields["kind"]?.trim() || undefined;
              await ask(api.POST("/v1/queues/{queue}/pause", { params: { path }, body: { kind } }));
              say(`${kind ?? `Queue ${queue.name}`} is paused.`);
              done();
            }}
          >
            <p>Nothing starts until somebody resumes it. Running jobs continue, and due times pass all the same.</p>
            <Field label="Only this kind" name="kind" hint="Left empty: the whole queue." placeholder="invoice.issue" />
          </Form>,
        )
      }
    >
      Pause…
    </Act>
  );
}
