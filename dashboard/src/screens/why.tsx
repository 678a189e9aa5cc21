// The sentence that says what holds a job, and when it will probably end.

import { api, ask } from "../api/client";
import type { Why } from "../api/types";
import { useLive } from "../lib/live";
import { clock, day, now, relative } from "../lib/time";
import { sentence } from "../lib/words";
import { Icon } from "../ui/icon";
import { Words } from "../ui/text";

const WORRY = ["no_worker", "no_worker_for_kind", "queue_paused", "kind_paused", "lease_lost", "parked_arguments", "parked_version"];

export function WhyLine({ job }: { job: string }) {
  const live = useLive(`why ${job}`, (signal) => ask(api.GET("/v1/jobs/{id}/why", { params: { path: { id: job } }, signal })), 3_000);
  const why = live.data.value;
  return why ? <WhyWords why={why} /> : null;
}

export function WhyWords({ why }: { why: Why }) {
  if (why.reason === "ended") return null;
  return (
    <div class={WORRY.includes(why.reason) ? "whyline warn" : "whyline"}>
      <Icon name={why.reason === "running" ? "play" : "clock"} />
      <p>
        <b>
          <Words text={sentence(why.text)} />
        </b>
        {why.estimate && <Estimate of={why.estimate} />}
        {why.also.map((also) => (
          <span key={also.reason} class="also">
            And then: <Words text={also.text} />
          </span>
        ))}
      </p>
    </div>
  );
}

function Estimate({ of }: { of: NonNullable<Why["estimate"]> }) {
  const [earliest, latest] = of.finish;
  if (earliest === undefined || latest === undefined) return null;
  const from = Date.parse(earliest);
  const to = Date.parse(latest);
  // The runs that the estimate follows were shorter than this one already is.
  if (to < now.value) return <span class="also">It takes longer than recent runs did.</span>;
  const when = (at: number) => (day(at) === day(now.value) ? clock(at) : `${day(at)} ${clock(at)}`);
  return (
    <span class="also">
      It will probably end {to - from < 1_000 ? `at ${when(to)}` : `between ${when(from)} and ${when(to)}`} ({relative(to, now.value)} at the
      latest, as recent runs did).
    </span>
  );
}
