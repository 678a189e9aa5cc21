// Failures: dead jobs and jobs that run again, by cause, and the history of one cause.

import { api, ask } from "../api/client";
import type { DeadGroup, DeadGroupAct, DeadGroupHistory } from "../api/types";
import { useLive } from "../lib/live";
import { change, href, params } from "../lib/place";
import { counted, number } from "../lib/words";
import { Act } from "../ui/act";
import { Badge } from "../ui/badge";
import { Dialog } from "../ui/dialog";
import { Filter, Pages, Tabs } from "../ui/list";
import { Spark } from "../ui/spark";
import { AsOf, Empty, Page, Shown, Trouble } from "../ui/state";
import { Ago, Facts, Figure, Moment } from "../ui/text";
import { type Selected, begin } from "./bulk";

const FAILURE = "failed attempt";

export function Failures() {
  const { queue, kind, past, cursor, id } = params.value;
  const skip = cursor ? Number(cursor) : undefined;
  const query = { queue, kind, past: past === "true" || undefined, skip, limit: 50 };
  const live = useLive(`dead ${JSON.stringify(query)}`, (signal) => ask(api.GET("/v1/dead", { params: { query }, signal })), 3_000);
  return (
    <Page
      title="Failures by cause"
      name="Failures"
      aside={<AsOf live={live} />}
      lead={
        <p>
          Jobs whose last attempt failed. A dead one does not run again by itself; a retrying one does. Jobs with one cause stand together, so that
          one mend and one retry help all of them.
        </p>
      }
    >
      <Tabs name="past" label="Which causes" options={[["", "now"], ["true", "past: no job has them now"]]} />
      <div class="filters">
        <Filter name="queue" label="Queue" />
        <Filter name="kind" label="Kind" />
      </div>
      <Shown live={live}>
        {({ groups, next }) => (
          <>
            {groups.length === 0 && !query.past && (
              <Empty title="No job fails" good>
                A job whose attempt fails appears here by its cause, until it succeeds. It dies when it fails for good or uses up its attempts; then
                all jobs of the cause can be retried together.
              </Empty>
            )}
            {groups.length === 0 && query.past && (
              <Empty title="No past cause is known">A cause that no job has any more is remembered here for 30 days, with what was done about it.</Empty>
            )}
            {groups.map((group) => (
              <Group key={group.queue + group.fingerprint} group={group} />
            ))}
            <Pages next={next === null ? undefined : (new URL(next, document.baseURI).searchParams.get("skip") ?? undefined)} />
          </>
        )}
      </Shown>
      {id && <History id={id} queue={params.value["of"]} />}
    </Page>
  );
}

function Group({ group }: { group: DeadGroup }) {
  const selected: Selected = {
    queue: group.queue,
    filter: { state: "dead", group: group.fingerprint },
    words: `${counted(group.dead, "dead job")} of ${group.kind}`,
  };
  const sample = group.sample?.split("/").pop();
  const barred = group.dead === 0 ? "No job of this group is dead." : null;
  return (
    <section class="panel group" aria-label={group.message}>
      <div class="what">
        <p class="kind">
          <b>{group.kind}</b> <span class="faint">in {group.queue}</span>{" "}
          <Badge tone={group.class === "permanent" ? "bad" : "warn"} icon="cross">
            {group.class.replace("_", " ")}
          </Badge>{" "}
          {group.again_since && (
            <Badge tone="warn" icon="clock">
              again since <Ago at={group.again_since} />
            </Badge>
          )}
        </p>
        <p class="message">
          <a href={href("failures", { ...params.value, id: group.fingerprint, of: group.queue })}>{group.message}</a>
        </p>
        {group.last_message !== null && group.last_message !== group.message && (
          <details>
            <summary>The last one in its own words</summary>
            <p class="message">{group.last_message}</p>
          </details>
        )}
        <Spark hours={group.hours} what={FAILURE} />
        <p class="hint">
          First <Ago at={group.first_seen} /> · last <Ago at={group.last_seen} />
          {sample && (
            <>
              {" "}
              · <a href={href("job", { id: sample })}>a sample</a> ·{" "}
              <a href={href("jobs", { group: group.fingerprint, queue: group.queue })}>all its jobs</a>
            </>
          )}
        </p>
      </div>
      <div class="figures">
        <Figure value={group.dead} label="dead now" tone="bad" />
        <Figure value={group.retrying} label="retrying now" tone="warn" />
        <Figure value={group.count} label={`${FAILURE}s in all`} />
      </div>
      <div class="actions">
        <Act right="replay" tone="key" barred={barred} run={() => begin("retry", selected)}>
          Retry{group.dead > 1 ? " all" : ""}…
        </Act>
        <Act right="purge" barred={barred} run={() => begin("purge", selected)}>
          Forget…
        </Act>
      </div>
    </section>
  );
}

/** One cause over the list: the address names it, so that it can be shared. */
function History({ id, queue }: { id: string; queue: string | undefined }) {
  const key = `group ${id} ${queue}`;
  const live = useLive(key, (signal) => ask(api.GET("/v1/dead/{group}", { params: { path: { group: id }, query: { queue } }, signal })), 5_000);
  const close = () => change({ id: undefined, of: undefined });
  const group = live.data.value;
  return (
    <Dialog title={group ? `Failures of ${group.kind}` : "Failures"} onClose={close} wide>
      {live.error.value && <Trouble error={live.error.value} />}
      {group && <Told group={group} />}
      <div class="row end">
        <button type="button" class="key" data-first onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function Told({ group }: { group: DeadGroupHistory }) {
  return (
    <>
      <p class="message">{group.message}</p>
      <Spark hours={group.hours} what={FAILURE} />
      <Facts
        of={[
          ["Now", `${number(group.dead)} dead, ${number(group.retrying)} retrying`],
          ["In all", counted(group.count, FAILURE)],
          ["First", <Moment key="first" at={group.first_seen} />],
          ["Last", <Moment key="last" at={group.last_seen} />],
          ["Again since", group.again_since && <Moment key="again" at={group.again_since} />],
        ]}
      />
      <h3>What was done about it</h3>
      {group.acts.length === 0 && <p class="hint">No operator has retried a job that died of this cause.</p>}
      <ul class="done">
        {group.acts.map((act) => (
          <Done key={act.at + (act.by ?? "")} act={act} />
        ))}
      </ul>
      <h3>
        {group.other_tenants > 0 ? "At least " : ""}
        {counted(group.tenants_seen, "tenant")} hit
      </h3>
      <ul class="hit">
        {group.tenants.map(({ tenant, count }) => (
          <li key={tenant ?? ""}>
            {tenant === null ? "no tenant" : <a href={href("jobs", { tenant, group: group.fingerprint, queue: group.queue })}>{tenant}</a>}{" "}
            <span class="faint">{number(count)}</span>
          </li>
        ))}
        {group.other_tenants > 0 && (
          <li>
            others <span class="faint">{number(group.other_tenants)}</span>
          </li>
        )}
      </ul>
    </>
  );
}

function Done({ act }: { act: DeadGroupAct }) {
  const became: [number, string][] = [
    [act.succeeded, "succeeded"],
    [act.again, "died so again"],
    [act.other, "died of another cause"],
    [act.cancelled, "cancelled"],
    [act.not_ended, "not ended"],
  ];
  const told = became.filter(([count]) => count > 0).map(([count, what]) => `${number(count)} ${what}`);
  return (
    <li>
      <Moment at={act.at} /> {act.by ?? "somebody"} retried {counted(act.retried, "job")}: {told.join(", ")}
    </li>
  );
}
