// The progress of a running job.

import type { Progress } from "../api/types";

export function Bar({ progress }: { progress: Progress }) {
  const words = [progress.step, progress.message].filter(Boolean).join(": ");
  return (
    <span class="progress">
      <progress max={100} value={progress.percent} aria-label="Progress" />
      <span class="nowrap">{progress.percent} %</span>
      {words && <span class="faint">{words}</span>}
    </span>
  );
}
