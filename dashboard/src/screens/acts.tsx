// What a person can do to a job, its outcome or a group of dead jobs: each as a dialog that says what will happen.

import { api, ask } from "../api/client";
import type { OutcomeReport, Priority } from "../api/types";
import { me } from "../lib/session";
import { remember, remembered } from "../lib/theme";
import { Choice, Field, Form, show } from "../ui/dialog";
import { say } from "../ui/toast";

const NAME = "upshot.name";

/** Without authentication, the API takes the operator's word for a name. */
export function By() {
  if (me.value?.kind !== "local") return null;
  return <Field label="Your name" name="by" value={remembered(NAME)} hint="The API asks for no login, so it notes the name that you give." />;
}

export function by(fields: Record<string, string>): { by?: string } {
  const name = fields["by"]?.trim();
  if (name) remember(NAME, name);
  return name ? { by: name } : {};
}

const of = (id: string) => ({ params: { path: { id } } });

type Outcome = Pick<OutcomeReport, "job" | "subject" | "kind" | "note" | "owner">;
const named = (outcome: Outcome) => outcome.subject ?? outcome.job;

export function note(outcome: Outcome, done: () => unknown) {
  show(
    <Form
      title={`Note on ${named(outcome)}`}
      action="Keep the note"
      right="waive"
      run={async (fields) => {
        await ask(api.POST("/v1/outcomes/{id}/note", { ...of(outcome.job), body: { note: fields["note"] ?? "", ...by(fields) } }));
        say("The note is kept.");
        done();
      }}
    >
      <Field label="Note" name="note" value={outcome.note?.text ?? ""} required first lines={4} hint="The latest note is shown with the outcome, in its story and in the audit log." />
      <By />
    </Form>,
  );
}

export function own(outcome: Outcome, done: () => unknown) {
  show(
    <Form
      title={`Who takes charge of ${named(outcome)}?`}
      action="Take charge"
      right="waive"
      run={async (fields) => {
        await ask(api.POST("/v1/outcomes/{id}/owner", { ...of(outcome.job), body: { owner: fields["owner"] ?? "", ...by(fields) } }));
        say(`${fields["owner"]} is in charge of it.`);
        done();
      }}
    >
      <Field label="Person or team" name="owner" value={outcome.owner?.text ?? remembered(NAME)} required first />
      <By />
    </Form>,
  );
}

export function waive(outcome: Outcome, done: () => unknown) {
  show(
    <Form
      title={`Settle ${named(outcome)} without its outcome`}
      action="Waive it"
      tone="bad"
      right="waive"
      run={async (fields) => {
        await ask(api.POST("/v1/outcomes/{id}/waive", { ...of(outcome.job), body: { reason: fields["reason"] ?? "", ...by(fields) } }));
        say("The outcome is waived.");
        done();
      }}
    >
      <p>The outcome counts as waived from now on, whatever the job does. The producer is told, and this is not taken back.</p>
      <Field label="Reason" name="reason" required first lines={3} hint="Why the outcome will not come, or came in another way." />
      <By />
    </Form>,
  );
}

export function cancel(id: string, name: string, done: () => unknown) {
  show(
    <Form
      title={`Cancel ${name}`}
      action="Cancel the job"
      tone="bad"
      right="cancel"
      run={async () => {
        const { result } = await ask(api.POST("/v1/jobs/{id}/cancel", { ...of(id), body: {} }));
        say(result === "cancelled" ? "The job is cancelled." : "The job was asked to stop.");
        done();
      }}
    >
      <p>A waiting job ends at once. A running job is asked to stop, and ends after its grace at the latest..</p>
    </Form>,
  );
}

const PRIORITIES: Priority[] = ["critical", "high", "normal", "low"];

export function prioritise(id: string, now: Priority, done: () => unknown) {
  show(
    <Form
      title="Another priority"
      action="Set the priority"
      right="schedule"
      run={async (fields) => {
        await ask(api.POST("/v1/jobs/{id}/priority", { ...of(id), body: { priority: fields["priority"] as Priority } }));
        say(`The job's priority is ${fields["priority"]}.`);
        done();
      }}
    >
      <Choice label="Priority" name="priority" value={now} options={PRIORITIES.map((name) => [name, name] as const)} />
    </Form>,
  );
}

export function reschedule(id: string, done: () => unknown) {
  show(
    <Form
      title="Run at another time"
      action="Move it"
      right="schedule"
      run={async (fields) => {
        await ask(api.POST("/v1/jobs/{id}/reschedule", { ...of(id), body: { delay: fields["delay"] ?? "0s" } }));
        say("The job is moved.");
        done();
      }}
    >
      <Field label="How long from now" name="delay" value="0s" required first hint="Such as 0s for at once, 90s, 15m, 2h or 1d." />
    </Form>,
  );
}
