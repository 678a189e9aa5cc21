// Now: of each route, what its outcomes say and what the infrastructure says, and where the two disagree.

import { api, ask } from "../api/client";
import type { RouteOverview, SummaryRow } from "../api/types";
import { useLive } from "../lib/live";
import { href } from "../lib/place";
import { lacks } from "../lib/session";
import { now, roughly } from "../lib/time";
import { counted, number, percent, plain, sentence } from "../lib/words";
import { Badge } from "../ui/badge";
import { Icon } from "../ui/icon";
import { AsOf, Empty, Page, Shown } from "../ui/state";
import { Figure, Words } from "../ui/text";

export function Now() {
  return lacks("see", "all-tenants") === null ? <OfAll /> : <OfTenants />;
}

function OfAll() {
  const live = useLive("overview", (signal) => ask(api.GET("/v1/overview", { signal })));
  return (
    <Page title="Now" name="Now" aside={<AsOf live={live} />}>
      <Shown live={live}>
        {({ routes, rabbitmq }) => {
          const flagged = routes.filter((route) => route.flags.length > 0);
          return (
            <>
              <Counts routes={routes} />
              {flagged.map((route) => (
                <section key={`${route.queue} ${route.route}`} class="banner warn" aria-label={`Mismatch of ${route.route}`}>
                  <Icon name="warn" />
                  <div>
                    <b>{route.route}</b>
                    {route.flags.map((flag) => (
                      <p key={flag.flag}>
                        <span>
                          <Words text={sentence(flag.words)} />
                        </span>
                        <a href={href("outcomes", { status: leads(flag.flag), route: route.route })}>Show them</a>
                      </p>
                    ))}
                  </div>
                </section>
              ))}
              <Total routes={routes} />
              {routes.length === 0 && (
                <Empty title="No route yet">
                  A route says which job an event becomes, and by when its outcome is expected: a section <code>[[routes]]</code> in{" "}
                  <code>upshot.toml</code>.
                </Empty>
              )}
              {routes.map((route) => (
                <Route key={`${route.queue} ${route.route}`} of={route} />
              ))}
              <section class="panel slim" aria-labelledby="rabbitmq">
                <h2 id="rabbitmq">RabbitMQ</h2>
                {rabbitmq ? (
                  <div class="figures">
                    <Figure value={rabbitmq.intake.messages} label="events wait for a bridge" tone="warn" />
                    <Figure value={rabbitmq.intake.consumers} label={rabbitmq.intake.consumers === 1 ? "bridge reads" : "bridges read"} />
                    <Figure value={rabbitmq.quarantine.messages} label="in quarantine" tone="warn" href={href("quarantine")} />
                    {rabbitmq.intake.consumers === 0 && (
                      <Badge tone="bad" icon="cross">
                        no bridge reads events
                      </Badge>
                    )}
                  </div>
                ) : (
                  <Badge tone="bad" icon="away">
                    does not answer
                  </Badge>
                )}
              </section>
            </>
          );
        }}
      </Shown>
    </Page>
  );
}

/** The counts that matter, said again only when one of them has changed. */
function Counts({ routes }: { routes: RouteOverview[] }) {
  const sum = (pick: (route: RouteOverview) => number) => routes.reduce((all, route) => all + pick(route), 0);
  const overdue = sum(({ outcomes }) => outcomes.overdue);
  const missed = sum(({ outcomes }) => outcomes.last_hour.missed);
  return (
    <p class="offscreen" aria-live="polite">
      {counted(overdue, "outcome")} overdue, {number(missed)} missed in the last hour
    </p>
  );
}

function leads(flag: string): string | undefined {
  if (flag.endsWith("overdue")) return "overdue";
  if (flag.endsWith("missed")) return "missed";
  return flag.endsWith("at_risk") ? "at_risk" : "open";
}

function Total({ routes }: { routes: RouteOverview[] }) {
  const sum = (pick: (route: RouteOverview) => number | null) => routes.reduce((all, route) => all + (pick(route) ?? 0), 0);
  const inTime = sum(({ outcomes }) => outcomes.last_hour.achieved_in_time);
  const late = sum(({ outcomes }) => outcomes.last_hour.achieved_late);
  const missed = sum(({ outcomes }) => outcomes.last_hour.missed);
  const decided = inTime + late + missed;
  return (
    <section class="total" aria-label="All routes">
      <Figure value={sum(({ outcomes }) => outcomes.open)} label="open" href={href("outcomes", { status: "open" })} />
      <Figure value={sum(({ outcomes }) => outcomes.at_risk)} label="at risk" tone="warn" href={href("outcomes", { status: "at_risk" })} />
      <Figure value={sum(({ outcomes }) => outcomes.overdue)} label="overdue" tone="warn" href={href("outcomes")} />
      <Figure value={missed} label="missed, last hour" tone="bad" href={href("outcomes", { status: "missed" })} />
      <Figure value={decided === 0 ? null : percent(inTime / decided)} label="in time, last hour" tone={missed + late === 0 ? "good" : "warn"} />
      <Share inTime={inTime} late={late} missed={missed} />
    </section>
  );
}

/** What the verdicts of the last hour were, as one bar. */
function Share({ inTime, late, missed }: { inTime: number; late: number; missed: number }) {
  const all = inTime + late + missed;
  if (all === 0) return <span class="share hint">No verdict in the last hour.</span>;
  const label = `${inTime} in time, ${late} late, ${missed} missed`;
  return (
    <span class="share">
      <span class="bar" role="img" aria-label={label} title={label}>
        {([["good", inTime], ["warn", late], ["bad", missed]] as const).map(
          ([tone, count]) => count > 0 && <i key={tone} class={tone} style={{ flexGrow: count }} />,
        )}
      </span>
      <span class="hint">
        {number(inTime)} in time · {number(late)} late · {number(missed)} missed
      </span>
    </span>
  );
}

function Route({ of }: { of: RouteOverview }) {
  const { outcomes, infrastructure: infra } = of;
  const oldest = outcomes.oldest_due === null ? null : Date.parse(outcomes.oldest_due);
  const isFine = outcomes.overdue === 0 && outcomes.last_hour.missed === 0 && outcomes.at_risk === 0;
  const hour = outcomes.last_hour;
  const waits = infra.next_ready_since === null ? null : now.value - Date.parse(infra.next_ready_since);
  const event = of.route.split(":")[0] ?? of.route;
  return (
    <section class="panel route" aria-label={of.route}>
      <header>
        <h2>
          {event} <span class="faint">→ {of.kind ?? "a route that is not in the settings"}</span>
        </h2>
        <a class="hint" href={href("queue", { name: of.queue })}>
          queue {of.queue}
        </a>
      </header>
      <div class="halves">
        <div>
          <h3>
            Outcomes{" "}
            {isFine ? (
              <Badge tone="good" icon="check">
                in time
              </Badge>
            ) : (
              <Badge tone="warn" icon="warn">
                not all in time
              </Badge>
            )}
          </h3>
          <div class="figures">
            <Figure value={outcomes.open} label="open" href={href("outcomes", { status: "open", route: of.route })} />
            <Figure
              value={outcomes.at_risk_cut ? `≥ ${outcomes.at_risk}` : outcomes.at_risk}
              label="at risk"
              tone="warn"
              href={href("outcomes", { status: "at_risk", route: of.route })}
            />
            <Figure value={outcomes.overdue} label="overdue" tone="warn" href={href("outcomes", { route: of.route })} />
            <Figure value={hour.missed} label="missed, 1 h" tone="bad" href={href("outcomes", { status: "missed", route: of.route })} />
            <Figure value={hour.share_in_time === null ? null : percent(hour.share_in_time)} label="in time, 1 h" tone={hour.share_in_time === 1 ? "good" : "warn"} />
          </div>
          <p class="hint">
            {oldest === null
              ? "Nothing is open."
              : oldest > now.value
                ? `The next one is due in ${roughly(oldest - now.value)}.`
                : `The oldest was due ${roughly(now.value - oldest)} ago.`}
          </p>
        </div>
        <div>
          <h3>
            Infrastructure{" "}
            {infra.is_calm ? (
              <Badge tone="good" icon="check">
                calm
              </Badge>
            ) : (
              <Badge tone="bad" icon="warn">
                troubled
              </Badge>
            )}{" "}
            {infra.is_paused && (
              <Badge tone="warn" icon="pause">
                paused
              </Badge>
            )}
          </h3>
          <div class="figures">
            <Figure value={infra.ready} label="ready" href={href("jobs", { queue: of.queue, state: "ready" })} />
            <Figure value={infra.running} label="running" tone="info" href={href("jobs", { queue: of.queue, state: "running" })} />
            <Figure value={infra.scheduled} label="scheduled" href={href("jobs", { queue: of.queue, state: "scheduled" })} />
            <Figure value={infra.parked} label="parked" href={href("jobs", { queue: of.queue, state: "parked" })} />
            <Figure value={infra.dead} label="dead" tone="bad" href={href("failures", { queue: of.queue })} />
          </div>
          <p class="hint">
            {infra.unread_events === null
              ? "RabbitMQ does not answer."
              : waits === null
                ? "No job waits for a worker."
                : `The next job has waited for ${roughly(waits)}.`}
          </p>
        </div>
      </div>
    </section>
  );
}

/** A principal of some tenants sees no sums over all of them, but the figures of its own. */
function OfTenants() {
  const live = useLive("summary tenant", (signal) => ask(api.GET("/v1/outcomes/summary", { params: { query: { by: "tenant" } }, signal })), 10_000);
  return (
    <Page title="Now" name="Now" aside={<AsOf live={live} />} lead={<p>You see the tenants below. Figures of queues and routes add up over all tenants.</p>}>
      <Shown live={live}>
        {({ rows }) =>
          rows.length === 0 ? (
            <Empty title="No verdict yet">A row for each of your tenants appears with its first verdict.</Empty>
          ) : (
            rows.map((row) => <Tenant key={named(row)} row={row} />)
          )
        }
      </Shown>
    </Page>
  );
}

const named = (row: SummaryRow): string => row.name ?? "without a tenant";

const SHOWN = ["achieved_in_time", "achieved_late", "missed", "cancelled", "waived"] as const;

function Tenant({ row }: { row: SummaryRow }) {
  const name = named(row);
  return (
    <section class="panel" aria-label={name}>
      <h2>{name}</h2>
      <div class="figures">
        {SHOWN.map((figure) => (
          <Figure
            key={figure}
            value={row[figure]}
            label={sentence(plain(figure)).toLowerCase()}
            tone={figure === "missed" ? "bad" : figure === "achieved_late" ? "warn" : "plain"}
            href={href("outcomes", { status: figure, tenant: name })}
          />
        ))}
      </div>
      <p>
        <a href={href("outcomes", { tenant: name })}>Overdue outcomes</a> · <a href={href("jobs", { tenant: name })}>Jobs</a>
      </p>
    </section>
  );
}
