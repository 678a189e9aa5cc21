//! What the queues count, read when Prometheus asks.
//!
//! The figures come from Redis, so every API process gives the same ones; a
//! scrape costs a few round trips per queue, whatever the size of the queue.

use std::{
    fmt::Write,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures::future;
use tokio::sync::Mutex;
use upshot_queue::{Outbox, Queue, State, queue::Counts};
use upshot_shared::amqp::{Depths, INTAKE, QUARANTINE};

/// How long figures are used again: several scrapers cost one round trip.
const FRESH: Duration = Duration::from_secs(1);
/// How long a scrape waits for Redis.
const PATIENCE: Duration = Duration::from_secs(2);

/// The queues' figures in Prometheus' text format.
pub struct Scrape {
    queues: Vec<Scraped>,
    last: Mutex<Option<(Instant, String)>>,
}

impl Scrape {
    /// The figures of these queues.
    pub fn new(queues: Vec<Queue>) -> Self {
        let scraped = |queue| Scraped { queue, is_up: AtomicBool::new(true) };
        Self { queues: queues.into_iter().map(scraped).collect(), last: Mutex::new(None) }
    }

    /// The figures, with those of RabbitMQ where they are known. Of a queue that cannot be read
    /// there are none, so that a gap is seen and not an old value; those of the others are there.
    pub async fn text(&self, depths: Option<Depths>) -> String {
        self.of_queues().await + &of_rabbitmq(depths)
    }

    async fn of_queues(&self) -> String {
        let mut last = self.last.lock().await;
        if let Some((_, text)) = last.as_ref().filter(|(read, _)| read.elapsed() < FRESH) {
            return text.clone();
        }
        let text = render(&future::join_all(self.queues.iter().map(Figures::read)).await);
        *last = Some((Instant::now(), text.clone()));
        text
    }
}

struct Scraped {
    queue: Queue,
    /// Whether it could be read the last time, so that it is said once.
    is_up: AtomicBool,
}

/// What one queue says.
struct Figures<'a> {
    queue: &'a str,
    /// `None` where it cannot be read.
    read: Option<(Counts, Outbox)>,
}

impl<'a> Figures<'a> {
    async fn read(Scraped { queue, is_up }: &'a Scraped) -> Self {
        let name = queue.name().as_str();
        let read = tokio::time::timeout(PATIENCE, future::try_join(queue.counts(), queue.outbox())).await;
        let read = match read {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(_) => Err("Redis does not answer".to_owned()),
        };
        let was_up = is_up.swap(read.is_ok(), Ordering::Relaxed);
        if let Some(why) = read.as_ref().err().filter(|_| was_up) {
            tracing::warn!(queue = name, %why, "no figures of the queue until it can be read");
        }
        Self { queue: name, read: read.ok() }
    }
}

fn render(queues: &[Figures<'_>]) -> String {
    let mut text = String::new();
    let mut put = |line: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    };
    put(format_args!("# HELP upshot_queue_up Whether the figures of a queue could be read."));
    put(format_args!("# TYPE upshot_queue_up gauge"));
    for Figures { queue, read } in queues {
        put(format_args!("upshot_queue_up{{queue=\"{queue}\"}} {}", u8::from(read.is_some())));
    }
    let queues: Vec<(&str, &Counts, &Outbox)> = queues
        .iter()
        .filter_map(|Figures { queue, read }| read.as_ref().map(|(counts, outbox)| (*queue, counts, outbox)))
        .collect();
    put(format_args!("# HELP upshot_queue_jobs Jobs in a state, as Redis has them."));
    put(format_args!("# TYPE upshot_queue_jobs gauge"));
    for (queue, counts, _) in &queues {
        for state in State::ALL {
            put(format_args!(
                "upshot_queue_jobs{{queue=\"{queue}\",state=\"{state}\"}} {}",
                counts.of(state)
            ));
        }
    }
    put(format_args!(
        "# HELP upshot_queue_transitions_total Transitions of jobs since the queue began, as Redis counts them."
    ));
    put(format_args!("# TYPE upshot_queue_transitions_total counter"));
    for (queue, counts, _) in &queues {
        for (name, n) in &counts.transitions {
            put(format_args!(
                "upshot_queue_transitions_total{{queue=\"{queue}\",transition=\"{name}\"}} {n}"
            ));
        }
    }
    put(format_args!("# HELP upshot_outbox_entries Entries of the outbox that are kept, as Redis has them."));
    put(format_args!("# TYPE upshot_outbox_entries gauge"));
    for (queue, _, outbox) in &queues {
        put(format_args!("upshot_outbox_entries{{queue=\"{queue}\"}} {}", outbox.entries));
    }
    put(format_args!(
        "# HELP upshot_outbox_lag Entries of the outbox that a group of readers has not acknowledged."
    ));
    put(format_args!("# TYPE upshot_outbox_lag gauge"));
    for (queue, _, outbox) in &queues {
        for group in &outbox.groups {
            // Where Redis does not know, no figure is better than one that is too small.
            let Some(lag) = group.lag else { continue };
            let name = escaped(&group.name);
            let n = lag + group.unacknowledged;
            put(format_args!("upshot_outbox_lag{{queue=\"{queue}\",group=\"{name}\"}} {n}"));
        }
    }
    text
}

/// What waits in RabbitMQ.
fn of_rabbitmq(depths: Option<Depths>) -> String {
    let mut text = format!(
        "# HELP upshot_rabbitmq_up Whether RabbitMQ answered when it was last looked at.\n\
         # TYPE upshot_rabbitmq_up gauge\nupshot_rabbitmq_up {}\n",
        u8::from(depths.is_some())
    );
    let Some(Depths { intake, quarantine }) = depths else { return text };
    let queues = [(INTAKE, intake), (QUARANTINE, quarantine)];
    text.push_str("# HELP upshot_rabbitmq_messages Messages that wait in a queue of RabbitMQ.\n");
    text.push_str("# TYPE upshot_rabbitmq_messages gauge\n");
    for (queue, depth) in queues {
        let _ = writeln!(text, "upshot_rabbitmq_messages{{queue=\"{queue}\"}} {}", depth.messages);
    }
    text.push_str("# HELP upshot_rabbitmq_consumers Consumers of a queue of RabbitMQ.\n");
    text.push_str("# TYPE upshot_rabbitmq_consumers gauge\n");
    for (queue, depth) in queues {
        let _ = writeln!(text, "upshot_rabbitmq_consumers{{queue=\"{queue}\"}} {}", depth.consumers);
    }
    text
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
        let away = Figures { queue: "emails", read: None };
        let text = render(&[Figures { queue: "invoices", read: Some((counts, outbox)) }, away]);
        let up = "\nupshot_queue_up{queue=\"invoices\"} 1\nupshot_queue_up{queue=\"emails\"} 0\n";
        assert!(text.contains(up) && text.matches("emails").count() == 1, "{text}");
        assert!(text.contains("\nupshot_queue_jobs{queue=\"invoices\",state=\"dead\"} 6\n"), "{text}");
        let line = "\nupshot_queue_transitions_total{queue=\"invoices\",transition=\"enqueued\"} 28\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("\nupshot_outbox_entries{queue=\"invoices\"} 9\n"), "{text}");
        assert_eq!(escaped("a\"b\\c\n"), "a\\\"b\\\\c\\n");
    }
}
