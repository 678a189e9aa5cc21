// States and statuses: a shape, a word and a colour for each.

import type { JobState, OutcomeStatus } from "../api/types";
import { plain } from "../lib/words";
import { Icon, type IconName } from "./icon";

export type Tone = "plain" | "good" | "warn" | "bad" | "info";

export function Badge({ tone, icon, children }: { tone: Tone; icon: IconName; children: preact.ComponentChildren }) {
  return (
    <span class={`badge ${tone}`}>
      <Icon name={icon} />
      {children}
    </span>
  );
}

const STATES: Record<JobState, [Tone, IconName]> = {
  scheduled: ["plain", "clock"],
  ready: ["plain", "dot"],
  running: ["info", "play"],
  parked: ["warn", "pause"],
  succeeded: ["good", "check"],
  dead: ["bad", "cross"],
  cancelled: ["plain", "dash"],
};

export function StateBadge({ state }: { state: JobState }) {
  const [tone, icon] = STATES[state] ?? ["plain", "dot"];
  return (
    <Badge tone={tone} icon={icon}>
      {state}
    </Badge>
  );
}

const STATUSES: Record<OutcomeStatus, [Tone, IconName]> = {
  open: ["plain", "clock"],
  overdue: ["warn", "warn"],
  awaiting: ["plain", "clock"],
  reopened: ["warn", "again"],
  achieved_in_time: ["good", "check"],
  achieved_late: ["warn", "check"],
  partial: ["warn", "dash"],
  missed: ["bad", "cross"],
  cancelled: ["plain", "dash"],
  waived: ["plain", "shield"],
};

export function StatusBadge({ status, atRisk }: { status: OutcomeStatus; atRisk?: boolean }) {
  if (atRisk)
    return (
      <Badge tone="warn" icon="clock">
        at risk
      </Badge>
    );
  const [tone, icon] = STATUSES[status] ?? ["plain", "dot"];
  return (
    <Badge tone={tone} icon={icon}>
      {plain(status)}
    </Badge>
  );
}
