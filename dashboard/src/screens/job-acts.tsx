// Runs a job again, and sends it the signal that it waits for.

import { api, ask } from "../api/client";
import { parsed } from "../api/exact";
import type { Job } from "../api/types";
import { signalOf } from "../lib/names";
import { counted } from "../lib/words";
import { Field, Form, show } from "../ui/dialog";
import { say } from "../ui/toast";

export function retry(job: Job, done: () => unknown) {
  show(
    <Form
      title="Run the job again"
      action="Retry the job"
      right="retry"
      run={async () => {
        await ask(api.POST("/v1/jobs/{id}/retry", { params: { path: { id: job.id } }, body: {} }));
        say("The job runs again.");
        done();
      }}
    >
      <p>
        {job.subject ? <b>{job.subject}</b> : job.kind} runs again with its present arguments
        {job.state === "parked" ? ", whatever it waits for." : " and with fresh attempts. Its outcome is open again; the miss stays counted."}
      </p>
      {job.steps.length > 0 && (
        <p>
          {counted(job.steps.length, "completed step")} {job.steps.length === 1 ? "does" : "do"} not run again:{" "}
          {job.steps.map((step) => step.name).join(", ")}.
        </p>
      )}
    </Form>,
  );
}

export function signal(job: Job, done: () => unknown) {
  const condition = signalOf(job.parked?.condition ?? "");
  if (!condition) return;
  show(
    <Form
      title="Send the signal"
      action="Send it"
      right="signal"
      run={async (fields) => {
        const text = fields["payload"]?.trim();
        const body = { ...condition, payload: text ? parsed(text) : null };
        const { result } = await ask(api.POST("/v1/queues/{queue}/signals", { params: { path: { queue: job.queue } }, body }));
        say(result === "stored" ? "The signal is sent." : "The queue has a signal of this key already; the first one counts.");
        done();
      }}
    >
      <p>
        The job waits for <code>{condition.key}</code>. It continues as if the other system had sent it, and so does every other job that waits for it.
      </p>
      <Field label="Payload" name="payload" lines={3} first placeholder="null" hint="Any JSON that the handler expects; left empty: null." />
    </Form>,
  );
}
