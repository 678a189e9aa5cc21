//! What the queues count, read when Prometheus asks.
//!
//! The figures come from Redis, so every API process gives the same ones; a
//! scrape costs one round trip per queue, whatever the size of the queue.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use futures::future;
use tokio::sync::Mutex;
use upshot_queue::{Queue, State, queue::Counts};

/// How long figures are used again: several scrapers cost one round trip.
const FRESH: Duration = Duration::from_secs(1);
/// How long a scrape waits for Redis.
const PATIENCE: Duration = Duration::from_secs(2);

/// The queues' figures in Prometheus' text format.
pub struct Scrape {
    queues: Vec<Queue>,
    last: Mutex<Option<(Instant, String)>>,
}

impl Scrape {
    /// The figures of these queues.
    pub fn new(queues: Vec<Queue>) -> Self {
        Self { queues, last: Mutex::new(None) }
    }

    /// The figures; empty while Redis is away, so that a gap is seen and not an
    /// old value.
    pub async fn text(&self) -> String {
        let mut last = self.last.lock().await;
        if let Some((_, text)) = last.as_ref().filter(|(read, _)| read.elapsed() < FRESH) {
            return text.clone();
        }
        let counts = future::try_join_all(self.queues.iter().map(Queue::counts));
        let text = match tokio::time::timeout(PATIENCE, counts).await {
            Ok(Ok(counts)) => {
                let names = self.queues.iter().map(|queue| queue.name().as_str());
                render(&names.zip(&counts).collect::<Vec<_>>())
            }
            _ => String::new(),
        };
        *last = Some((Instant::now(), text.clone()));
        text
    }
}

fn render(queues: &[(&str, &Counts)]) -> String {
    let mut text = String::new();
    let mut put = |line: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    };
    put(format_args!("# HELP upshot_queue_jobs Jobs in a state, as Redis has them."));
    put(format_args!("# TYPE upshot_queue_jobs gauge"));
    for (queue, counts) in queues {
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
    for (queue, counts) in queues {
        for (name, n) in &counts.transitions {
            put(format_args!(
                "upshot_queue_transitions_total{{queue=\"{queue}\",transition=\"{name}\"}} {n}"
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_prometheus() {
        let transitions = vec![("enqueued".into(), 28)];
        let counts = Counts { states: [1, 2, 3, 4, 5, 6, 7], transitions, ..Counts::default() };
        let text = render(&[("invoices", &counts)]);
        assert!(text.contains("\nupshot_queue_jobs{queue=\"invoices\",state=\"dead\"} 6\n"), "{text}");
        assert!(
            text.ends_with("upshot_queue_transitions_total{queue=\"invoices\",transition=\"enqueued\"} 28\n")
        );
    }
}
