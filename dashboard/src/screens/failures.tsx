// Failures: dead jobs by cause.

import { api, ask } from "../api/client";
import type { DeadGroup } from "../api/types";
import { useLive } from "../lib/live";
import { href, params } from "../lib/place";
import { counted } from "../lib/words";
import { Act } from "../ui/act";
import { Badge } from "../ui/badge";
import { Filter, Pages } from "../ui/list";
import { AsOf, Empty, Page, Shown } from "../ui/state";
import { Ago, Figure } from "../ui/text";
import { type Selected, begin } from "./bulk";

export function Failures() {
  const { queue, cursor } = params.value;
  const skip = cursor ? Number(cursor) : undefined;
  const query = { queue, skip, limit: 50 };
  const live = useLive(`dead ${JSON.stringify(query)}`, (signal) => ask(api.GET("/v1/dead", { params: { query }, signal })), 3_000);
  return (
    <Page
      title="Failures by cause"
      name="Failures"
      aside={<AsOf live={live} />}
      lead={<p>A dead job does not run again by itself. Jobs with one cause stand together, so that one mend and one retry help all of them.</p>}
    >
      <div class="filters">
        <Filter name="queue" label="Queue" />
      </div>
      <Shown live={live}>
        {({ groups, next }) => {
          const dead = groups.filter((group) => group.dead > 0);
          const past = groups.filter((group) => group.dead === 0);
          return (
            <>
              {dead.length === 0 && (
                <Empty title="No job is dead" good>
                  A job dies when it fails for good or uses up its attempts. Then its cause appears here, with a sample and a retry for all of
                  its jobs.
                </Empty>
              )}
              {dead.map((group) => (
                <Group key={group.queue + group.fingerprint} group={group} />
              ))}
              {past.length > 0 && (
                <details class="past">
                  <summary>Causes without a dead job now ({past.length})</summary>
                  {past.map((group) => (
                    <Group key={group.queue + group.fingerprint} group={group} />
                  ))}
                </details>
              )}
              <Pages next={next === null ? undefined : (new URL(next, document.baseURI).searchParams.get("skip") ?? undefined)} />
            </>
          );
        }}
      </Shown>
    </Page>
  );
}

function Group({ group }: { group: DeadGroup }) {
  const selected: Selected = {
    queue: group.queue,
    filter: { state: "dead", group: group.fingerprint },
    words: `${counted(group.dead, "dead job")} of ${group.kind}`,
  };
  return (
    <section class="panel group" aria-label={group.message}>
      <div class="what">
        <p class="kind">
          <b>{group.kind}</b> <span class="faint">in {group.queue}</span>{" "}
          <Badge tone={group.class === "permanent" ? "bad" : "warn"} icon="cross">
            {group.class.replace("_", " ")}
          </Badge>
        </p>
        <p class="message">{group.message}</p>
        {group.last_message !== group.message && (
          <details>
            <summary>The last one in its own words</summary>
            <p class="message">{group.last_message}</p>
          </details>
        )}
        <p class="hint">
          First <Ago at={group.first_seen} /> · last <Ago at={group.last_seen} /> · <a href={href("job", { id: group.sample })}>a sample</a> ·{" "}
          <a href={href("jobs", { state: "dead", queue: group.queue, kind: group.kind })}>dead jobs of this kind</a>
        </p>
      </div>
      <div class="figures">
        <Figure value={group.dead} label="dead now" tone="bad" />
        <Figure value={group.count} label="deaths in all" />
      </div>
      <div class="actions">
        <Act right="replay" tone="key" barred={group.dead === 0 ? "No job of this group is dead." : null} run={() => begin("retry", selected)}>
          Retry{group.dead > 1 ? " all" : ""}…
        </Act>
        <Act right="purge" barred={group.dead === 0 ? "No job of this group is dead." : null} run={() => begin("purge", selected)}>
          Forget…
        </Act>
      </div>
    </section>
  );
}
