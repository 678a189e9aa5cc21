// Runs a job again with other arguments: shows the change, and which completed steps run again.

import { useMemo, useState } from "preact/hooks";
import { Refused, api, ask } from "../api/client";
import { parsed, printed } from "../api/exact";
import type { Job } from "../api/types";
import { diff, hunks } from "../lib/diff";
import { counted } from "../lib/words";
import { Form, Field, show } from "../ui/dialog";
import { say } from "../ui/toast";

export function editAndRetry(job: Job, args: unknown, done: () => unknown) {
  show(<Edit job={job} args={args} done={done} />);
}

function Edit({ job, args, done }: { job: Job; args: unknown; done: () => unknown }) {
  const before = useMemo(() => printed(args, 2), []);
  const [after, write] = useState(before);
  const problem = reason(after);
  const lines = problem === null ? hunks(diff(before, normal(after))) : [];
  const isSame = problem === null && normal(after) === before;
  return (
    <Form
      title="Edit and retry"
      action={isSame ? "Retry unchanged" : "Retry with these arguments"}
      right="edit-arguments"
      wide
      run={async (fields) => {
        if (problem !== null) throw new Error(problem);
        const steps = job.steps.map((step) => step.name).filter((name) => fields[`step ${name}`] === "on");
        if (!isSame && steps.length < job.steps.length)
          throw new Error("With other arguments every completed step runs again. Tick each of them, or leave the arguments as they are.");
        const body = isSame ? {} : { args: parsed(after), repeat_steps: steps };
        try {
          await ask(api.POST("/v1/jobs/{id}/retry", { params: { path: { id: job.id } }, body }));
        } catch (error) {
          if (error instanceof Refused && error.problem.place) throw new Error(`${error.message} (at ${error.problem.place})`);
          throw error;
        }
        say("The job runs again.");
        done();
      }}
    >
      <Field label="Arguments" name="args" value={before} lines={14} first onInput={write} />
      {problem !== null && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {lines.length > 0 && (
        <>
          <h3>What changes</h3>
          <pre class="diff" tabIndex={0} aria-label="What changes">
            {lines.map((line, n) => (
              <span key={n} class={line.sign === "+" ? "added" : line.sign === "-" ? "removed" : ""}>
                {line.sign} {line.text}
                {"\n"}
              </span>
            ))}
          </pre>
        </>
      )}
      {!isSame && job.steps.length > 0 && (
        <fieldset>
          <legend>{counted(job.steps.length, "completed step")} would run again, with their effects</legend>
          {job.steps.map((step) => (
            <label key={step.name} class="check">
              <input type="checkbox" name={`step ${step.name}`} /> run <code>{step.name}</code> again
            </label>
          ))}
        </fieldset>
      )}
      <p class="hint">The job keeps its former arguments, and the audit log names this change.</p>
    </Form>
  );
}

function reason(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return `This is no JSON: ${(error as Error).message}`;
  }
}

const normal = (text: string) => printed(parsed(text), 2);
