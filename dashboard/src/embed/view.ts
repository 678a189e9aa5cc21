// What a person is shown of a job: a pure function of what its stream tells.

import type { Snapshot } from "../api/types";

/** What a stream tells. */
export type Heard =
  /** How the job is. */
  | { is: "job"; job: Snapshot }
  /** The event is accepted, and the job is not there yet. */
  | { is: "waiting" }
  /** No job is there, or not yet. */
  | { is: "absent" }
  /** The job was forgotten. */
  | { is: "gone" }
  /** The credential is not taken. */
  | { is: "refused" }
  /** The stream was cut off; this was heard last at that time, ms. */
  | { is: "cut"; at: number }
  /** The stream is there again, and nothing has changed. */
  | { is: "back" };

/** How the job is, in one word. */
export type State = "waiting" | "running" | "again" | "parked" | "succeeded" | "dead" | "cancelled" | "absent" | "gone" | "refused";

export interface View {
  state: State;
  /** 0 to 100; `null` as long as no attempt has told any. It never becomes less. */
  percent: number | null;
  step: string | null;
  message: string | null;
  /** Whether nothing more comes: the job has ended, or cannot be followed. */
  isOver: boolean;
  /** What the work came to. */
  summary: string | null;
  /** The addresses of its files, as the API writes them. */
  files: string[];
  /** When the stream was heard last, ms, while it is cut off; `null` while it is there. */
  cut: number | null;
}

export const START: View = { state: "waiting", percent: null, step: null, message: null, isOver: false, summary: null, files: [], cut: null };

export function next(view: View, heard: Heard): View {
  if (heard.is === "cut") return { ...view, cut: heard.at };
  if (heard.is === "back") return { ...view, cut: null };
  if (heard.is !== "job") return { ...view, state: heard.is, isOver: heard.is === "gone" || heard.is === "refused", cut: null };
  const { state, progress, outcome, waiting_for: waits, failure } = heard.job;
  const isOver = state === "succeeded" || state === "dead" || state === "cancelled";
  const told = state === "succeeded" ? 100 : progress ? progress.percent : -1;
  const most = Math.min(100, Math.max(told, view.percent ?? -1));
  const isAgain = state === "scheduled" ? waits?.class : state === "ready" && failure;
  return {
    state: isAgain ? "again" : state === "ready" || state === "scheduled" ? "waiting" : state,
    percent: most < 0 ? null : most,
    step: (state === "running" && progress?.step) || null,
    message: (state === "running" && progress?.message) || null,
    isOver,
    summary: (isOver && outcome?.summary) || null,
    files: (isOver && outcome?.evidence.map((each) => each.href!).filter(Boolean)) || [],
    cut: null,
  };
}
