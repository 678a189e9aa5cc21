// Acts on many jobs: the bar over a list, and the dialog that begins an operation with a dry run.

import { api, ask } from "../api/client";
import type { NewOperation, OperationAct, OperationFilter, Priority, Right } from "../api/types";
import { go, href } from "../lib/place";
import { counted } from "../lib/words";
import { Act } from "../ui/act";
import { Choice, Field, Form, show } from "../ui/dialog";
import { clear, marked } from "../ui/marks";
import { By, by } from "./acts";

/** What each act is called on its button, the right that it needs, and what it does. */
export const ACTS: Record<OperationAct, { label: string; right: Right; tone?: "bad"; words: string }> = {
  retry: { label: "Retry", right: "replay", words: "Dead jobs run again, without the steps that they completed." },
  cancel: { label: "Cancel", right: "cancel", tone: "bad", words: "Waiting jobs end at once, and running jobs are asked to stop. This is not taken back." },
  purge: { label: "Forget", right: "purge", tone: "bad", words: "Arguments, steps and histories are gone for good. Verdicts stay in the figures." },
  reschedule: { label: "Move", right: "schedule", words: "Scheduled and ready jobs run at another time." },
  prioritise: { label: "Prioritise", right: "schedule", words: "Waiting jobs get another priority." },
  unpark: { label: "Release", right: "pause", words: "Parked jobs continue, whatever they wait for." },
  waive: { label: "Waive", right: "waive", tone: "bad", words: "The outcomes count as waived, whatever the jobs do. Their producers are told." },
};

/** The jobs of an operation: a filter, or rows that a person marked. */
export interface Selected {
  queue: string;
  filter: OperationFilter;
  /** For people. */
  words: string;
}

const PRIORITIES: Priority[] = ["critical", "high", "normal", "low"];

/** Asks how, creates the operation, and opens its screen, where the dry run shows. */
export function begin(act: OperationAct, { queue, filter, words }: Selected) {
  const { label, right, tone, words: does } = ACTS[act];
  const goes = act === "retry" || act === "unpark";
  show(
    <Form
      title={`${label}: ${words}`}
      action="Count them first"
      tone={tone}
      right={right}
      run={async (fields) => {
        const body: NewOperation = { queue, act, filter, reason: fields["reason"]?.trim() || null, ...by(fields) };
        if (fields["pace"]?.trim()) body.pace = fields["pace"].trim();
        if (goes) body.stop_rule = { same_cause: Number(fields["same_cause"] || 0) };
        if (act === "reschedule") body.delay = fields["delay"] ?? "0s";
        if (act === "prioritise") body.priority = fields["priority"] as Priority;
        const operation = await ask(api.POST("/v1/operations", { body }));
        clear();
        go(href("operation", { id: operation.id }));
      }}
    >
      <p>
        {does} A dry run counts the jobs and changes nothing: you start it from its page. Jobs that come later are left alone.
      </p>
      {act === "reschedule" && <Field label="How long from then" name="delay" value="0s" required first hint="Such as 0s for at once, 15m, 2h or 1d." />}
      {act === "prioritise" && <Choice label="Priority" name="priority" value="high" options={PRIORITIES.map((name) => [name, name] as const)} />}
      {goes && <Field label="Time between two jobs" name="pace" value="100ms" hint="So that a dependency that has just recovered is not flooded. 0s for none." />}
      {goes && <Field label="Stop when so many failed again of one cause" name="same_cause" value="10" hint="0 for never." />}
      <Field label="Reason" name="reason" required={act === "waive"} lines={2} hint="Stands in the audit log, in each job's timeline and on the operation's page." />
      <By />
    </Form>,
  );
}

export interface BulkProps<T> {
  /** The list, as it is for its marks. */
  scope: string;
  acts: readonly OperationAct[];
  /** The queue of a row. */
  queueOf: (row: T) => string;
  /** All that match the list's filter; or why they cannot be chosen. */
  all: Selected | string;
}

/** The bar over a list: acts on the marked rows, or on all that match. */
export function Bulk<T>({ scope, acts, queueOf, all }: BulkProps<T>) {
  const rows = marked<T>(scope);
  const queues = new Set([...rows.values()].map(queueOf));
  const queue = [...queues][0];
  const isMarked = rows.size > 0;
  const chosen: Selected | string =
    isMarked && queue !== undefined
      ? queues.size > 1
        ? "These jobs are in several queues: an operation is of one. Mark jobs of one queue."
        : { queue, filter: { ids: [...rows.keys()] }, words: counted(rows.size, "marked job") }
      : all;
  return (
    <div class="bulk" role="group" aria-label="Acts on many jobs">
      <span aria-live="polite">{isMarked ? `${counted(rows.size, "job")} marked` : "All that match"}</span>
      {acts.map((act) => (
        <Act
          key={act}
          right={ACTS[act].right}
          barred={typeof chosen === "string" ? chosen : null}
          title={isMarked ? ACTS[act].words : `${ACTS[act].words} Mark rows with x to choose some.`}
          run={() => {
            if (typeof chosen !== "string") begin(act, chosen);
          }}
        >
          {ACTS[act].label}…
        </Act>
      ))}
      {isMarked && (
        <button type="button" class="quiet" onClick={clear}>
          Unmark
        </button>
      )}
    </div>
  );
}
