// A line of bars: how often something was, hour by hour.

import { now, whole } from "../lib/time";
import { counted } from "../lib/words";

const HOUR_MS = 3_600_000;
const HEIGHT = 28;

interface Hour {
  at: string;
  count: number;
}

/** The last hours up to now; `what` names one. */
export function Spark({ hours, last = 168, what }: { hours: readonly Hour[]; last?: number; what: string }) {
  const end = Math.floor(now.value / HOUR_MS);
  const from = end - last + 1;
  const shown = hours.map(({ at, count }) => ({ at, count, hour: Math.floor(Date.parse(at) / HOUR_MS) })).filter(({ hour }) => hour >= from && hour <= end);
  const most = Math.max(1, ...shown.map(({ count }) => count));
  const sum = shown.reduce((sum, { count }) => sum + count, 0);
  return (
    <svg class="spark" viewBox={`0 0 ${last} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${counted(sum, what)} in the last ${last / 24} days`}>
      {shown.map(({ at, hour, count }) => {
        // The least bar is still seen.
        const height = Math.max(2, (HEIGHT * count) / most);
        return (
          <rect key={hour} x={hour - from} y={HEIGHT - height} width="1" height={height}>
            <title>{`${whole(Date.parse(at))}: ${counted(count, what)}`}</title>
          </rect>
        );
      })}
    </svg>
  );
}
