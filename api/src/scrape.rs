//! Reads the counts of the queues when Prometheus asks.
//!
//! The counts come from Redis, so every API process reports the same ones. A scrape costs a few
//! round trips for each queue of any size.

mod objectives;
mod outcomes;
mod workers;

use std::{
    fmt::{Display, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::Utc;
use futures::future;
use tokio::sync::Mutex;
use upshot_access::acts::{self, Acts};
use upshot_ledger::{
    quarantine::{Figures as Quarantined, Quarantine},
    risk::RunTimesCache,
};
use upshot_queue::{Client, Counts, Outbox, Phase, State, Workers};
use upshot_runtime::amqp::{CONFIRMATIONS, Depths, INTAKE, QUARANTINE};
use upshot_shared::{Reason, Route};

use objectives::Objectives;
use outcomes::Outcomes;

/// How long a reading is reused, so that several scrapers cost one round trip.
const FRESH: Duration = Duration::from_secs(1);
/// How long a scrape waits for Redis.
const PATIENCE: Duration = Duration::from_secs(2);

/// Transitions that are shown with 0 before the first one, so that a rate has a beginning.
/// Transitions of a later version appear when they happen.
const TRANSITIONS: [&str; 27] = [
    "cancelled",
    "claimed",
    "confirmed",
    "crashed",
    "dead",
    "duplicates",
    "enqueued",
    "expired",
    "forgotten",
    "lapsed",
    "mended",
    "parked",
    "partial",
    "prioritised",
    "promoted",
    "refused",
    "refuted",
    "released",
    "repaired",
    "rescheduled",
    "retried",
    "revived",
    "signalled",
    "snoozed",
    "succeeded",
    "unconfirmed",
    "unparked",
];

/// The queues' figures in Prometheus' text format.
pub struct Scrape {
    queues: Vec<Scraped>,
    quarantine: Quarantine,
    acts: Acts,
    times: Arc<RunTimesCache>,
    last: Mutex<Option<(Instant, String, Option<Quarantined>)>>,
}

impl Scrape {
    /// The figures of these queues with their routes, of the list of messages in quarantine, and of the
    /// audit log.
    pub fn new(
        queues: Vec<(Client, Vec<Route>)>,
        quarantine: Quarantine,
        acts: Acts,
        times: Arc<RunTimesCache>,
    ) -> Self {
        let scraped = |(queue, routes)| Scraped { queue, routes, is_up: AtomicBool::new(true) };
        let queues = queues.into_iter().map(scraped).collect();
        Self { queues, quarantine, acts, times, last: Mutex::new(None) }
    }

    /// The figures, with those of RabbitMQ if known. A queue that cannot be read has none, so that
    /// a graph shows a gap instead of an old value.
    pub async fn text(&self, depths: Option<Depths>) -> String {
        let (queues, quarantined) = self.of_redis().await;
        queues + &of_rabbitmq(depths) + &of_quarantine(quarantined.as_ref(), depths)
    }

    async fn of_redis(&self) -> (String, Option<Quarantined>) {
        let mut last = self.last.lock().await;
        if let Some((_, text, quarantined)) = last.as_ref().filter(|(read, ..)| read.elapsed() < FRESH) {
            return (text.clone(), quarantined.clone());
        }
        let queues = future::join_all(self.queues.iter().map(|queue| Figures::read(queue, &self.times)));
        let quarantined = tokio::time::timeout(PATIENCE, self.quarantine.figures());
        let audit = tokio::time::timeout(PATIENCE, self.acts.figures());
        let (queues, quarantined, audit) = future::join3(queues, quarantined, audit).await;
        // A list that cannot be read has no figures; its address says why.
        let (text, quarantined) = (render(&queues), quarantined.ok().and_then(Result::ok));
        let text = text + &audit.ok().and_then(Result::ok).map_or_else(String::new, of_audit);
        *last = Some((Instant::now(), text.clone(), quarantined.clone()));
        (text, quarantined)
    }
}

struct Scraped {
    queue: Client,
    /// The routes of the settings that lead to it.
    routes: Vec<Route>,
    /// Whether the last read succeeded, so that a failure is logged once.
    is_up: AtomicBool,
}

/// What is read of a queue.
type Read = (Counts, Outbox, Workers, Outcomes, Objectives);

/// The figures of one queue.
struct Figures<'a> {
    queue: &'a str,
    routes: &'a [Route],
    /// `None` if the queue cannot be read.
    read: Option<Read>,
}

impl<'a> Figures<'a> {
    async fn read(Scraped { queue, routes, is_up }: &'a Scraped, times: &RunTimesCache) -> Self {
        let name = queue.name().as_str();
        let read = tokio::time::timeout(
            PATIENCE,
            future::try_join5(
                queue.counts(),
                queue.outbox(),
                queue.workers(),
                Outcomes::read(queue, times, routes),
                Objectives::read(queue, routes),
            ),
        )
        .await;
        let read = match read {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(_) => Err("Redis does not answer".to_owned()),
        };
        let was_up = is_up.swap(read.is_ok(), Ordering::Relaxed);
        if let Some(why) = read.as_ref().err().filter(|_| was_up) {
            tracing::warn!(queue = name, %why, "no figures of the queue until it can be read");
        }
        Self { queue: name, routes, read: read.ok() }
    }
}

fn render<'a>(queues: &[Figures<'a>]) -> String {
    let mut text = String::new();
    let up = queues
        .iter()
        .map(|Figures { queue, read, .. }| (format!("queue=\"{queue}\""), u64::from(read.is_some())));
    family(&mut text, "upshot_queue_up", "gauge", "Whether the figures of a queue could be read.", up);
    let whole: Vec<(&str, &Read)> =
        queues.iter().filter_map(|Figures { queue, read, .. }| Some((*queue, read.as_ref()?))).collect();
    let read: Vec<(&str, &Counts, &Outbox)> =
        whole.iter().map(|(queue, (counts, outbox, ..))| (*queue, counts, outbox)).collect();
    let jobs = read.iter().flat_map(|(queue, counts, _)| {
        State::ALL.map(|state| (format!("queue=\"{queue}\",state=\"{state}\""), counts.of(state)))
    });
    family(&mut text, "upshot_queue_jobs", "gauge", "Jobs in a state, as Redis has them.", jobs);
    let workers = |of: &Figures<'a>| {
        let (_, _, workers, ..) = of.read.as_ref()?;
        Some((of.queue, of.routes, workers.clone()))
    };
    let workers: Vec<(&str, &[Route], Workers)> = queues.iter().filter_map(workers).collect();
    workers::render(&mut text, &workers);
    let transitions = read.iter().flat_map(|(queue, counts, _)| {
        let known = TRANSITIONS.map(|name| (name, counts.transitions(name)));
        let is_other =
            |(name, _): &&(String, u64)| !TRANSITIONS.contains(&name.as_str()) && !name.contains(':');
        let others = counts.transitions.iter().filter(is_other);
        let others = others.map(|(name, n)| (name.as_str(), *n));
        let label = |(name, n)| (format!("queue=\"{queue}\",transition=\"{name}\""), n);
        known.into_iter().chain(others).map(label).collect::<Vec<_>>()
    });
    let help = "Transitions of jobs since the queue began, as Redis counts them.";
    family(&mut text, "upshot_queue_transitions_total", "counter", help, transitions);
    let operations = read.iter().flat_map(|(queue, counts, _)| {
        Phase::ALL.map(|phase| {
            (
                format!("queue=\"{queue}\",state=\"{phase}\""),
                counts.transitions(&format!("operation:{phase}")),
            )
        })
    });
    let help = "Operations on many jobs that came into a state since the queue began, as Redis counts them.";
    family(&mut text, "upshot_operations_total", "counter", help, operations);
    let signals = read.iter().flat_map(|(queue, counts, _)| {
        let signals = counts.signals;
        let known =
            [("stored", signals.stored), ("early", signals.early), ("contradictory", signals.contradictions)];
        known.map(|(result, n)| (format!("queue=\"{queue}\",result=\"{result}\""), n))
    });
    let help = "Signals since the queue began: kept ones, those of them that no job waited for yet, and \
                contradictory ones.";
    family(&mut text, "upshot_queue_signals_total", "counter", help, signals);
    let bytes = read.iter().map(|(queue, counts, _)| (format!("queue=\"{queue}\""), counts.signals.bytes));
    family(&mut text, "upshot_queue_signal_bytes", "gauge", "Bytes that a queue keeps of signals.", bytes);
    let entries = read.iter().map(|(queue, _, outbox)| (format!("queue=\"{queue}\""), outbox.entries));
    let help = "Entries of the outbox that are kept, as Redis has them.";
    family(&mut text, "upshot_outbox_entries", "gauge", help, entries);
    let lag = read.iter().flat_map(|(queue, _, outbox)| {
        outbox.groups.iter().filter_map(move |group| {
            let name = escaped(&group.name);
            // If Redis does not know, no figure is better than a figure that is too small.
            Some((format!("queue=\"{queue}\",group=\"{name}\""), group.lag? + group.unacknowledged))
        })
    });
    let help = "Entries of the outbox that a group of readers has not acknowledged.";
    family(&mut text, "upshot_outbox_lag", "gauge", help, lag);
    let outcomes: Vec<(&str, &Outcomes)> = whole.iter().map(|(queue, (.., of, _))| (*queue, of)).collect();
    outcomes::render(&mut text, &outcomes);
    let objectives: Vec<(&str, &Objectives)> = whole.iter().map(|(queue, (.., of))| (*queue, of)).collect();
    objectives::render(&mut text, &objectives);
    let now = Utc::now().timestamp_millis();
    let oldest = read.iter().flat_map(|(queue, _, outbox)| {
        outbox.groups.iter().map(move |group| {
            let age =
                group.needs_since.map_or(0, |since| now.saturating_sub(since).max(0).unsigned_abs() / 1000);
            (format!("queue=\"{queue}\",group=\"{}\"", escaped(&group.name)), age)
        })
    });
    let help = "Age of the oldest entry of the outbox that a group of readers has not acknowledged.";
    family(&mut text, "upshot_outbox_oldest_seconds", "gauge", help, oldest);
    text
}

/// What waits in RabbitMQ.
fn of_rabbitmq(depths: Option<Depths>) -> String {
    let mut text = String::new();
    let up = [(String::new(), u64::from(depths.is_some()))];
    let help = "Whether RabbitMQ answered when it was last looked at.";
    family(&mut text, "upshot_rabbitmq_up", "gauge", help, up);
    let Some(Depths { intake, confirmations, quarantine }) = depths else { return text };
    let queues = [(INTAKE, intake), (CONFIRMATIONS, confirmations), (QUARANTINE, quarantine)];
    let messages = queues.map(|(queue, depth)| (format!("queue=\"{queue}\""), u64::from(depth.messages)));
    let help = "Messages that wait in a queue of RabbitMQ.";
    family(&mut text, "upshot_rabbitmq_messages", "gauge", help, messages);
    let consumers = queues.map(|(queue, depth)| (format!("queue=\"{queue}\""), u64::from(depth.consumers)));
    family(&mut text, "upshot_rabbitmq_consumers", "gauge", "Consumers of a queue of RabbitMQ.", consumers);
    text
}

/// What the list of messages in quarantine has, beside RabbitMQ's own count.
fn of_quarantine(quarantined: Option<&Quarantined>, depths: Option<Depths>) -> String {
    let mut text = String::new();
    let Some(figures) = quarantined else { return text };
    let one = |value: u64| [(String::new(), value)];
    let balances = figures.by_reason();
    let known = Reason::ALL.map(Reason::as_str);
    let others = balances.keys().copied().filter(|reason| !known.contains(reason));
    let received = known.into_iter().chain(others).map(|reason| {
        (
            format!("reason=\"{}\"", escaped(reason)),
            balances.get(reason).copied().unwrap_or_default().received,
        )
    });
    let help = "Messages that came into quarantine, each counted once, as Redis counts them.";
    family(&mut text, "upshot_quarantine_received_total", "counter", help, received);
    let help = "Messages in quarantine that are listed.";
    family(&mut text, "upshot_quarantine_messages", "gauge", help, one(figures.rows));
    let help = "How long the oldest listed message is in quarantine, in seconds; 0 without one.";
    family(&mut text, "upshot_quarantine_oldest_seconds", "gauge", help, one(figures.oldest_age() / 1000));
    let Some(depths) = depths else { return text };
    let reconciled = figures.reconcile(depths.quarantine.messages.into());
    let help = "Messages in RabbitMQ's quarantine that are not listed.";
    family(&mut text, "upshot_quarantine_unlisted", "gauge", help, one(reconciled.unlisted));
    let help = "Copies of listed messages that RabbitMQ does not have any more.";
    family(&mut text, "upshot_quarantine_missing", "gauge", help, one(reconciled.missing));
    text
}

fn of_audit(figures: acts::Figures) -> String {
    let mut text = String::new();
    let one = |value: u64| [(String::new(), value)];
    let help = "Entries of the audit log, as Redis counts them.";
    family(&mut text, "upshot_audit_entries_total", "counter", help, one(figures.written));
    let help = "Entries of the audit log that are not copied to RabbitMQ yet.";
    family(&mut text, "upshot_audit_uncopied", "gauge", help, one(figures.uncopied));
    let help = "Entries of the audit log that were trimmed before they were copied to RabbitMQ.";
    family(&mut text, "upshot_audit_lost_total", "counter", help, one(figures.lost));
    text
}

/// A metric with its samples, by their labels.
fn family<V: Display>(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    samples: impl IntoIterator<Item = (String, V)>,
) {
    family_of(text, name, kind, help, samples);
}

/// The same, with any numbers.
fn family_of(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    samples: impl IntoIterator<Item = (String, impl Display)>,
) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

/// The value of a label: a group may have any name.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_prometheus() {
        let transitions = vec![("enqueued".into(), 28)];
        let counts = Counts { states: [1, 2, 3, 4, 5, 6, 7], transitions, ..Counts::default() };
        let outbox = Outbox { entries: 9, groups: Vec::new() };
        let away = Figures { queue: "emails", routes: &[], read: None };
        let text = render(&[
            Figures {
                queue: "invoices",
                routes: &[],
                read: Some((counts, outbox, Workers::default(), Outcomes::default(), Objectives::default())),
            },
            away,
        ]);
        let up = "\nupshot_queue_up{queue=\"invoices\"} 1\nupshot_queue_up{queue=\"emails\"} 0\n";
        assert!(text.contains(up) && text.matches("emails").count() == 1, "{text}");
        assert!(text.contains("\nupshot_queue_jobs{queue=\"invoices\",state=\"dead\"} 6\n"), "{text}");
        let line = "\nupshot_queue_transitions_total{queue=\"invoices\",transition=\"enqueued\"} 28\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("\nupshot_outbox_entries{queue=\"invoices\"} 9\n"), "{text}");
        let line = "\nupshot_queue_transitions_total{queue=\"invoices\",transition=\"dead\"} 0\n";
        assert!(text.contains(line), "{text}");
        assert_eq!(escaped("a\"b\\c\n"), "a\\\"b\\\\c\\n");
    }
}
