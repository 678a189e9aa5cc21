// One operation: what the dry run counted, its progress, refusals, who and why.

import { api, ask } from "../api/client";
import type { Operation, Right } from "../api/types";
import { useLive } from "../lib/live";
import { href, params } from "../lib/place";
import { counted, number, plain } from "../lib/words";
import { Act } from "../ui/act";
import { Field, Form, show } from "../ui/dialog";
import { AsOf, Empty, Page, Shown } from "../ui/state";
import { Ago, Facts, Figure, Id, Moment } from "../ui/text";
import { say } from "../ui/toast";
import { By, by } from "./acts";
import { ACTS } from "./bulk";
import { PhaseBadge, described } from "./operations";

const ACTIVE_MS = 700;
const of = (id: string) => ({ params: { path: { id } } });

export function OperationScreen() {
  const { id } = params.value;
  if (!id)
    return (
      <Page title="Operation" name="Operation">
        <Empty title="No operation is named">The list of operations leads to each of them.</Empty>
      </Page>
    );
  return <One id={id} />;
}

function One({ id }: { id: string }) {
  const live = useLive(`operation ${id}`, (signal) => ask(api.GET("/v1/operations/{id}", { ...of(id), signal })), ACTIVE_MS);
  const again = () => live.again();
  const operation = live.data.value;
  return (
    <Page title={operation ? described(operation) : "Operation"} name="Operation" aside={<AsOf live={live} />}>
      <Shown live={live}>
        {(operation) => (
          <>
            <Progress operation={operation} />
            <Buttons operation={operation} again={again} />
            {operation.stopped_by && (
              <div class="problem" role="status">
                {counted(operation.stopped_by.jobs, "job")} that it set going failed again of one cause (
                <a href={href("failures", { queue: operation.queue })}>group {operation.stopped_by.group}</a>), so its stop rule stopped it.
              </div>
            )}
            {operation.why && (
              <div class="problem" role="alert">
                {operation.why}
              </div>
            )}
            <About operation={operation} />
            <Counted operation={operation} />
            {operation.refused > 0 && <Refusals operation={operation} />}
          </>
        )}
      </Shown>
    </Page>
  );
}

function Progress({ operation }: { operation: Operation }) {
  const { changed, refused, left, gone, rate, failed_again } = operation;
  const all = operation.counted ? operation.counted.jobs + operation.counted.refused : null;
  return (
    <section class="panel" aria-label="Progress">
      <p>
        <PhaseBadge state={operation.state} /> since <Ago at={operation.since} />
        {operation.state === "counted" && operation.counted && (
          <>
            {" "}
            – the dry run counted <b>{counted(operation.counted.jobs, "job")}</b>, and nothing is changed yet.
          </>
        )}
      </p>
      {all !== null && operation.started_at !== null && (
        <progress max={Math.max(1, all)} value={changed + refused + (gone ?? 0)} aria-label="Jobs that are done" />
      )}
      <div class="figures">
        {operation.counted && <Figure value={operation.counted.jobs} label="counted" />}
        <Figure value={changed} label="changed" tone="good" />
        <Figure value={refused} label="refused" tone="warn" />
        {left !== null && <Figure value={left} label="left, at most" />}
        {gone !== null && gone > 0 && <Figure value={gone} label="gone since the count" title="They left the selection before the operation came to them." />}
        {failed_again > 0 && <Figure value={failed_again} label="failed again" tone="bad" />}
        {rate !== null && <Figure value={String(rate)} label="a second" />}
      </div>
    </section>
  );
}

function start(operation: Operation, again: () => Promise<void>) {
  const jobs = operation.counted?.jobs ?? 0;
  const act = ACTS[operation.act as keyof typeof ACTS];
  const needsNumber = operation.act === "cancel" || operation.act === "purge";
  show(
    <Form
      title={`${act?.label ?? "Change"} ${counted(jobs, "job")}`}
      action="Start"
      tone={act?.tone}
      right={operation.right as Right}
      run={async (fields) => {
        if (needsNumber && fields["count"]?.trim() !== String(jobs)) throw new Error(`Type ${jobs} to confirm.`);
        await ask(api.POST("/v1/operations/{id}/start", { ...of(operation.id), body: { confirm: jobs, ...by(fields) } }));
        say("The operation runs.");
        await again();
      }}
    >
      <p>{act?.words} Jobs that left the selection since the count stay as they are.</p>
      {needsNumber && <Field label={`Type ${jobs} to confirm`} name="count" required first />}
      <By />
    </Form>,
  );
}

function Buttons({ operation, again }: { operation: Operation; again: () => Promise<void> }) {
  const right = (operation.right ?? "administer") as Right;
  const { state } = operation;
  const is = (...states: string[]) => states.includes(state);
  const steer = (path: "/v1/operations/{id}/pause" | "/v1/operations/{id}/resume" | "/v1/operations/{id}/abort", did: string) => async () => {
    await ask(api.POST(path, { ...of(operation.id), body: {} }));
    say(`The operation is ${did}.`);
    await again();
  };
  if (is("done", "aborted", "failed")) return null;
  return (
    <div class="actions bulk" role="group" aria-label="Steer the operation">
      {is("counting", "counted") && (
        <Act right={right} tone="key" barred={is("counting") ? "It still counts." : operation.counted?.jobs === 0 ? "It would change no job." : null} run={() => start(operation, again)}>
          Start…
        </Act>
      )}
      {is("running") && (
        <Act right={right} run={steer("/v1/operations/{id}/pause", "paused")}>
          Pause
        </Act>
      )}
      {is("paused", "stopped") && (
        <Act right={right} tone="key" run={steer("/v1/operations/{id}/resume", "resumed")}>
          Resume
        </Act>
      )}
      <Act right={right} tone="bad" title="It changes no further job. What it changed stays changed." run={steer("/v1/operations/{id}/abort", "aborted")}>
        Abort
      </Act>
    </div>
  );
}

function About({ operation }: { operation: Operation }) {
  const details = Object.entries(operation.details).map(([name, value]) => `${name} ${value}`);
  return (
    <section class="panel" aria-label="About it">
      <Facts
        of={[
          ["Queue", <a href={href("queue", { name: operation.queue })}>{operation.queue}</a>],
          ["Details", details.join(", ")],
          ["Reason", operation.reason],
          ["Pace", operation.pace_ms > 0 && `${number(operation.pace_ms)} ms between two jobs`],
          ["Stop rule", operation.same_cause > 0 && `${number(operation.same_cause)} failures of one cause`],
          ["Jobs from before", <Moment at={operation.created_at} />],
          ["Ended", operation.ended_at && <Moment at={operation.ended_at} />],
          ["Id", <Id id={operation.id} />],
        ]}
      />
      <ol class="deeds">
        {operation.deeds.map((deed) => (
          <li key={`${deed.at} ${deed.did}`}>
            {plain(deed.did)} <Ago at={deed.at} /> by {deed.by || "somebody without a name"}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Counted({ operation }: { operation: Operation }) {
  const count = operation.counted;
  if (!count) return null;
  return (
    <>
      {count.causes.length > 0 && (
        <section class="panel" aria-label="By cause">
          <h2>By cause</h2>
          <table>
            <thead>
              <tr>
                <th scope="col">Cause</th>
                <th scope="col" class="right">
                  Jobs
                </th>
              </tr>
            </thead>
            <tbody>
              {count.causes.map((cause) => (
                <tr key={cause.group}>
                  <td class="grows">
                    {cause.message} <span class="faint sub">{`${cause.kind}, ${plain(cause.class)}`}</span>
                  </td>
                  <td class="right">{number(cause.jobs)}</td>
                </tr>
              ))}
              {count.other_causes > 0 && <Rest label="without a cause, or of others" jobs={count.other_causes} />}
            </tbody>
          </table>
        </section>
      )}
      {count.tenants.length > 0 && (
        <section class="panel" aria-label="By tenant">
          <h2>By tenant</h2>
          <table>
            <thead>
              <tr>
                <th scope="col">Tenant</th>
                <th scope="col" class="right">
                  Jobs
                </th>
              </tr>
            </thead>
            <tbody>
              {count.tenants.map((row) => (
                <tr key={row.tenant}>
                  <td class="grows">{row.tenant ?? <span class="faint">none</span>}</td>
                  <td class="right">{number(row.jobs)}</td>
                </tr>
              ))}
              {count.other_tenants > 0 && <Rest label="others" jobs={count.other_tenants} />}
            </tbody>
          </table>
        </section>
      )}
      {count.refused > 0 && operation.started_at === null && (
        <p class="hint">
          It would refuse {counted(count.refused, "job")}:{" "}
          {Object.entries(count.reasons)
            .map(([reason, jobs]) => `${number(jobs)} ${reason}`)
            .join(", ")}
          .
        </p>
      )}
    </>
  );
}

function Rest({ label, jobs }: { label: string; jobs: number }) {
  return (
    <tr>
      <td class="grows faint">{label}</td>
      <td class="right">{number(jobs)}</td>
    </tr>
  );
}

function Refusals({ operation }: { operation: Operation }) {
  const { id } = operation;
  const live = useLive(`refusals ${id} ${operation.refused}`, (signal) => ask(api.GET("/v1/operations/{id}/refusals", { ...of(id), signal })), 0);
  return (
    <section class="panel" aria-label="Refusals">
      <h2>Refused</h2>
      <Shown live={live}>
        {({ refusals, count }) => (
          <>
            {count > refusals.length && <p class="hint">The newest {number(refusals.length)} of {number(count)}.</p>}
            <table>
              <thead>
                <tr>
                  <th scope="col">Job</th>
                  <th scope="col">Why</th>
                </tr>
              </thead>
              <tbody>
                {refusals.map((refusal) => (
                  <tr key={refusal.job}>
                    <td>
                      <a href={href("job", { id: refusal.job })}>{refusal.job}</a>
                    </td>
                    <td class="grows">{WHY[refusal.reason] ?? `it was ${refusal.reason}`}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </>
        )}
      </Shown>
    </section>
  );
}

const WHY: Record<string, string> = {
  newer: "it came into its state after the operation was created",
  replaced: "another job has its idempotency key",
  unexpected: "no outcome is expected of it",
  unknown: "no job has this id, or it belongs to others",
};
