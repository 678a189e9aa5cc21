// Everything about one subject, in order of time.

import { useState } from "preact/hooks";
import { Refused, api, ask, cursorOf } from "../api/client";
import type { OutcomeReport, StoryEntry } from "../api/types";
import { useLive } from "../lib/live";
import { href, params } from "../lib/place";
import { clockMs, day, lasting } from "../lib/time";
import { sentence } from "../lib/words";
import { Act } from "../ui/act";
import { StatusBadge } from "../ui/badge";
import { Icon, type IconName } from "../ui/icon";
import { Pages } from "../ui/list";
import { AsOf, Empty, Page, Shown, Trouble } from "../ui/state";
import { Copy, Facts, Value, Words } from "../ui/text";
import { note, own, waive } from "./acts";
import { AxisView } from "./axis";
import { LinkForm } from "./links";
import { Due } from "./outcomes";
import { WhyLine } from "./why";

export function StoryScreen() {
  const { subject = "", cursor } = params.value;
  const live = useLive(
    `story ${subject} ${cursor}`,
    (signal) => ask(api.GET("/v1/subjects/{subject}", { params: { path: { subject }, query: { cursor } }, signal })),
    subject ? 3_000 : 0,
  );
  const error = live.error.value;
  const isUnknown = error instanceof Refused && error.code === "unknown-subject";
  return (
    <Page
      title={
        <>
          {subject} <Copy text={subject} what="the subject" />
        </>
      }
      name={subject}
      aside={
        <>
          <AsOf live={live} />
          <Act right="share" run={() => LinkForm({ subject, tenant: live.data.value?.outcomes[0]?.tenant })}>
            Link for the customer
          </Act>
        </>
      }
    >
      {isUnknown ? (
        <>
          <Empty title="No job about this subject is known">
            <Words text={error.message} />
          </Empty>
          <p>
            <a href={href("quarantine", { subject })}>Look in quarantine</a>
          </p>
        </>
      ) : error && live.data.value === undefined ? (
        <Trouble error={error} />
      ) : (
        <Shown live={live}>
          {(story) => (
            <>
              <div class="outcomes">
                {story.outcomes.map((outcome) => (
                  <OutcomeCard key={outcome.job} outcome={outcome} again={() => void live.again()} />
                ))}
              </div>
              <Telling story={story.story} dues={dues(story.outcomes)} />
              <Pages next={cursorOf(story.next)} />
            </>
          )}
        </Shown>
      )}
    </Page>
  );
}

const OPEN = ["open", "overdue", "reopened", "awaiting"];

function OutcomeCard({ outcome, again }: { outcome: OutcomeReport; again: () => void }) {
  const isOpen = OPEN.includes(outcome.status);
  const tone = outcome.status === "missed" ? "bad" : outcome.status === "achieved_in_time" ? "good" : isOpen && outcome.status !== "overdue" ? "" : "warn";
  return (
    <section class={`panel outcome ${tone}`} aria-label={outcome.kind}>
      <header>
        <h2>
          <a href={href("job", { id: outcome.job })}>{outcome.kind}</a>
        </h2>
        <StatusBadge status={outcome.status} atRisk={outcome.at_risk} />
        {isOpen && <Due at={outcome.expected_by} />}
        <span class="actions">
          <Act right="waive" run={() => own(outcome, again)}>
            Owner
          </Act>
          <Act right="waive" run={() => note(outcome, again)}>
            Note
          </Act>
          {(isOpen || outcome.status === "missed") && (
            <Act right="waive" run={() => waive(outcome, again)}>
              Waive
            </Act>
          )}
        </span>
      </header>
      {isOpen ? (
        <WhyLine job={outcome.job} />
      ) : (
        <p>{outcome.summary ? sentence(outcome.summary) : outcome.reason ? <Words text={sentence(outcome.reason.message)} /> : null}</p>
      )}
      <Facts
        of={[
          ["Route", outcome.route],
          ["Tenant", outcome.tenant],
          ["Owner", outcome.owner && `${outcome.owner.text} (${outcome.owner.by})`],
          ["Note", outcome.note && `“${outcome.note.text}” (${outcome.note.by})`],
          ["Waived", outcome.waived && `“${outcome.waived.text}” (${outcome.waived.by})`],
        ]}
      />
    </section>
  );
}

const ICONS: Record<StoryEntry["what"], IconName> = {
  accepted: "next",
  wait: "clock",
  attempt: "play",
  step: "check",
  log: "dot",
  failed: "cross",
  change: "again",
  evidence: "shield",
  verdict: "warn",
  ended: "dash",
  clock: "clock",
  now: "dot",
};

function iconOf(entry: StoryEntry): IconName {
  if (entry.what !== "verdict") return ICONS[entry.what] ?? "dot";
  if (entry.status?.startsWith("achieved")) return "check";
  return entry.status === "missed" ? "cross" : "warn";
}

function toneOf(entry: StoryEntry): string {
  if (entry.what === "failed") return "bad";
  if (entry.what !== "verdict") return entry.what === "wait" ? "faint" : "";
  if (entry.status === "achieved_in_time") return "good";
  return entry.status === "missed" ? "bad" : "warn";
}

/** By when each job's outcome is expected, ms. */
export function dues(outcomes: readonly OutcomeReport[]): Map<string, number> {
  return new Map(outcomes.flatMap((one) => (one.expected_by === null ? [] : [[one.job, Date.parse(one.expected_by)] as const])));
}

/** The axis and the entries below it; a click on the axis shows the entry. */
export function Telling({ story, dues }: { story: readonly StoryEntry[]; dues: Map<string, number> }) {
  const [picked, pick] = useState(-1);
  const first = story[0];
  const begin = first ? Date.parse(first.at) : 0;
  const kinds = new Set(story.map((entry) => entry.job));
  return (
    <section aria-label="Story">
      <AxisView
        story={story}
        dues={dues}
        onPick={(entry) => {
          pick(entry);
          document.getElementById(`entry-${entry}`)?.scrollIntoView({ block: "nearest" });
        }}
      />
      <ol class="story">
        {story.map((entry, n) => {
          const at = Date.parse(entry.at);
          const before = n === 0 ? at : Date.parse(story[n - 1]?.at ?? entry.at);
          return (
            <li key={n} id={`entry-${n}`} class={`${toneOf(entry)} is-${entry.what} ${picked === n ? "picked" : ""}`}>
              {(n === 0 || day(at) !== day(before)) && <span class="day">{day(at)}</span>}
              <time dateTime={entry.at} title={`${day(at)} ${clockMs(at)}`}>
                {clockMs(at)}
              </time>
              <span class="delta faint">{at === begin ? "" : `+${lasting(at - begin)}`}</span>
              <Icon name={iconOf(entry)} />
              <div>
                <Words text={sentence(entry.text)} />
                {kinds.size > 1 && <span class="faint tag"> {entry.kind}</span>}
                {Object.keys(entry.facts).length > 0 && (
                  <details>
                    <summary>Facts</summary>
                    <Facts of={Object.entries(entry.facts).map(([name, fact]) => [name, <Value key={name} value={fact} />])} />
                  </details>
                )}
                {entry.receipt && <span class="faint tag"> receipt {entry.receipt}</span>}
              </div>
            </li>
          );
        })}
      </ol>
    </section>
  );
}
