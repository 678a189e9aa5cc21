//! Copies the audit log over one connection to RabbitMQ.

use std::time::Duration;

use futures::future;
use lapin::Confirmation;
use metrics::{counter, gauge};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use upshot_access::acts::tail::{Entry, Tail};
use upshot_queue::Hold;
use upshot_runtime::amqp::{self, History, Line, Link};

use super::{Copier, STREAM, event::Event};

/// Entries of each stream in one read, which are noted together.
const ENTRIES: usize = 128;
/// How long a read waits for an entry, at most.
const WAIT: Duration = Duration::from_secs(1);
/// How long RabbitMQ may take for a declaration, and for the confirms of one read.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a stop waits for what is on the way, and for the release.
const GRACE: Duration = Duration::from_secs(12);
const RELEASE: Duration = Duration::from_secs(2);

/// One connection.
pub(super) struct Session<'a> {
    pub(super) copier: &'a Copier,
    pub(super) kept: History,
    pub(super) stop: &'a CancellationToken,
}

impl Session<'_> {
    /// Copies until a stop (`Ok`), or until RabbitMQ or Redis fails. Notes whether it began to work.
    pub(super) async fn run(self, worked: &mut bool) -> Result<(), String> {
        let link = tokio::select! {
            () = self.stop.cancelled() => return Ok(()),
            link = amqp::connect(&self.copier.amqp, "upshot-audit", u64::MAX) => link.map_err(|error| error.to_string())?,
        };
        let ended = self.connected(&link, worked).await;
        match &ended {
            Ok(()) => link.close().await,
            // Nothing of an old connection may be published later.
            Err(_) => link.cut(),
        }
        ended
    }

    async fn connected(&self, link: &Link, worked: &mut bool) -> Result<(), String> {
        let declaring = timeout(PATIENCE, amqp::declare_audit(link, self.kept));
        let wrong = declaring.await.map_err(|_| silent())?.map_err(|error| error.to_string())?;
        match wrong {
            Some(why) => self.copier.health.warn(STREAM, &why),
            None => self.copier.health.clear_warning(STREAM),
        }
        *worked = true;
        let hold = self.copier.acts.hold_relay(&self.copier.owner);
        let ended = tokio::select! {
            ended = self.held(link, &hold) => ended,
            never = hold.run() => match never {},
            () = self.too_late() => Ok(()),
        };
        gauge!("upshot_audit_copying").set(0.0);
        // Another process need not wait. If Redis does not answer, the key expires.
        let _ = timeout(RELEASE, hold.release()).await;
        ended
    }

    /// Returns when a stop takes too long: Redis or RabbitMQ does not answer.
    async fn too_late(&self) {
        self.stop.cancelled().await;
        sleep(GRACE).await;
    }

    /// Copies whenever this process holds the log.
    async fn held(&self, link: &Link, hold: &Hold) -> Result<(), String> {
        let wait = WAIT.min(self.copier.connector.response_timeout() / 2);
        loop {
            gauge!("upshot_audit_copying").set(0.0);
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = hold.until_ours() => {}
            }
            gauge!("upshot_audit_copying").set(1.0);
            let mut tail = Tail::new(&self.copier.connector).await.map_err(|error| error.to_string())?;
            let line = Line::open(link).await.map_err(|error| error.to_string())?;
            self.copier.works();
            while hold.is_ours() {
                if !link.status().connected() {
                    return Err("the connection to RabbitMQ was lost".to_owned());
                }
                let entries = tokio::select! {
                    () = self.stop.cancelled() => return Ok(()),
                    entries = tail.read(ENTRIES, wait) => entries.map_err(|error| error.to_string())?,
                };
                if entries.is_empty() {
                    continue;
                }
                self.publish(&line, &entries).await?;
                let lost = tail.copied(&entries).await.map_err(|error| error.to_string())?;
                if lost > 0 {
                    tracing::warn!(
                        entries = lost,
                        "entries of the audit log were trimmed before they were copied to RabbitMQ: it was away \
                         for longer than `audit.keep`, or `audit.keep_acts` is small"
                    );
                }
                counter!("upshot_audit_copied_total").increment(entries.len() as u64);
                self.copier.works();
            }
        }
    }

    /// Publishes entries, and waits until all are confirmed. If one is not, all come again.
    async fn publish(&self, line: &Line, entries: &[Entry]) -> Result<(), String> {
        let publishing = async {
            let mut sent = Vec::with_capacity(entries.len());
            for event in entries.iter().filter_map(|entry| Event::of(self.copier.connector.prefix(), entry)) {
                // Milliseconds are in the body; the property has seconds.
                sent.push(line.send_act(&event.id, event.kind, event.at(), &event.body()).await?);
            }
            future::try_join_all(sent).await
        };
        let confirms = timeout(PATIENCE, publishing).await.map_err(|_| silent())?;
        for confirm in confirms.map_err(|error| error.to_string())? {
            match confirm {
                Confirmation::Ack(None) => {}
                Confirmation::Ack(Some(_)) => {
                    return Err(format!("no queue is bound to the exchange `{}`", amqp::AUDIT));
                }
                Confirmation::Nack(_) | Confirmation::NotRequested => {
                    return Err(
                        "RabbitMQ refused an entry (negative confirm): a queue that is bound for the audit \
                                log is full and refuses messages, or is not available"
                            .to_owned(),
                    );
                }
            }
        }
        Ok(())
    }
}

fn silent() -> String {
    format!("RabbitMQ did not answer within {PATIENCE:?}")
}
