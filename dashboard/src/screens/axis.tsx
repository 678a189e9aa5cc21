// Draws a story on one time axis: a lane for each job, waits hatched, runs solid, the rest as points.

import { useState } from "preact/hooks";
import type { StoryEntry } from "../api/types";
import { type Axis, type Mark, layOut } from "../lib/axis";
import { href } from "../lib/place";
import { clockMs, lasting, now } from "../lib/time";

const WIDTH = 1_000;
const LANE = 34;
const TOP = 6;
const BOTTOM = 20;
const LEAST = 3;

interface Props {
  story: readonly StoryEntry[];
  /** By when each job's outcome is expected, ms. */
  dues: Map<string, number>;
  onPick: (entry: number) => void;
}

export function AxisView({ story, dues, onPick }: Props) {
  const axis = layOut(story, now.value, dues);
  const [shown, show] = useState<Mark | null>(null);
  if (axis.lanes.length === 0) return null;
  const height = TOP + axis.lanes.length * LANE + BOTTOM;
  const x = (at: number) => ((at - axis.from) / (axis.to - axis.from)) * WIDTH;
  const total = lasting(axis.to - axis.from);
  const label = `Time axis of ${total}: ${axis.lanes.map((lane) => `${lane.kind}, ${summed(lane.marks)}`).join("; ")}`;
  return (
    <figure class="axis">
      <div class="lanes">
        <ul aria-hidden="true">
          {axis.lanes.map((lane) => (
            <li key={lane.job}>
              <a href={href("job", { id: lane.job })} tabIndex={-1} title={`${lane.kind} ${lane.job}`}>
                {lane.kind}
              </a>
            </li>
          ))}
        </ul>
        <svg viewBox={`0 0 ${WIDTH} ${height}`} preserveAspectRatio="none" role="img" aria-label={label} style={{ height: `${height}px` }}>
          <defs>
            <pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
              <rect width="7" height="7" class="hatch-paper" />
              <rect width="2.4" height="7" class="hatch-line" />
            </pattern>
          </defs>
          {axis.ticks.map((tick) => (
            <line key={tick.at} class="tick" x1={x(tick.at)} x2={x(tick.at)} y1={0} y2={height - BOTTOM + 4} />
          ))}
          {axis.lanes.map((lane, n) => {
            const y = TOP + n * LANE;
            return (
              <g key={lane.job}>
                <line class="thread" x1={0} x2={WIDTH} y1={y + LANE / 2} y2={y + LANE / 2} />
                {lane.due !== null && <Due at={x(lane.due)} y={y} />}
                {ordered(lane.marks).map((mark) => drawn(mark, x, y, show, onPick))}
              </g>
            );
          })}
        </svg>
      </div>
      <div class="ticks" aria-hidden="true">
        {axis.ticks.map((tick) => (
          <span key={tick.at} class={x(tick.at) > 0.93 * WIDTH ? "last" : undefined} style={{ left: `${(x(tick.at) / WIDTH) * 100}%` }}>
            {tick.text}
          </span>
        ))}
      </div>
      <figcaption>
        {shown ? (
          <span>
            <b>{clockMs(shown.from)}</b>
            {shown.to > shown.from && ` for ${lasting(shown.to - shown.from)}${shown.isOpen ? " so far" : ""}`} {shown.text}
          </span>
        ) : (
          <Legend axis={axis} total={total} />
        )}
      </figcaption>
    </figure>
  );
}

/** A flag where the outcome is due. */
function Due({ at, y }: { at: number; y: number }) {
  const right = Math.min(Math.max(at, 1), WIDTH - 1);
  return (
    <g class="due">
      <line x1={right} x2={right} y1={y + 1} y2={y + LANE - 1} />
    </g>
  );
}

/** Points over runs over waits. */
function ordered(marks: Mark[]): Mark[] {
  const rank = { wait: 0, run: 1, point: 2 };
  return [...marks].sort((a, b) => rank[a.kind] - rank[b.kind]);
}

function drawn(mark: Mark, x: (at: number) => number, y: number, show: (mark: Mark | null) => void, onPick: (entry: number) => void) {
  const common = {
    key: `${mark.kind} ${mark.entry}`,
    onPointerEnter: () => show(mark),
    onPointerLeave: () => show(null),
    onClick: () => onPick(mark.entry),
  };
  const start = x(mark.from);
  if (mark.kind === "point") {
    const at = Math.min(Math.max(start, 2), 998);
    const tall = mark.tone === "plain" ? 7 : 12;
    return <rect {...common} class={`point ${mark.tone}`} x={at - 1.75} width={3.5} y={y + LANE / 2 - tall} height={2 * tall} />;
  }
  const width = Math.max(LEAST, x(mark.to) - start);
  const left = Math.min(start, 1_000 - width);
  return mark.kind === "wait" ? (
    <rect {...common} class={mark.isOpen ? "wait open" : "wait"} x={left} width={width} y={y + LANE / 2 - 6} height={12} fill="url(#hatch)" />
  ) : (
    <rect {...common} class={`run ${mark.tone}`} x={left} width={width} y={y + LANE / 2 - 8} height={16} />
  );
}

function spent(marks: Mark[], kind: Mark["kind"]): number {
  return marks.filter((mark) => mark.kind === kind).reduce((all, mark) => all + mark.to - mark.from, 0);
}

function summed(marks: Mark[]): string {
  return `${lasting(spent(marks, "run"))} of work, ${lasting(spent(marks, "wait"))} of waiting`;
}

function Legend({ axis, total }: { axis: Axis; total: string }) {
  const marks = axis.lanes.flatMap((lane) => lane.marks);
  return (
    <span class="legend">
      <span>
        <i class="run" /> work {lasting(spent(marks, "run"))}
      </span>
      <span>
        <i class="wait" /> waiting {lasting(spent(marks, "wait"))}
      </span>
      <span>
        <i class="point" /> an event
      </span>
      {axis.lanes.some((lane) => lane.due !== null) && (
        <span>
          <i class="due" /> due
        </span>
      )}
      <span class="faint">{total} in all</span>
    </span>
  );
}
