//! Receipts on the way to RabbitMQ, and their confirms.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use lapin::{Confirmation, PublisherConfirm};
use tokio::time::timeout;
use upshot_queue::{Hold, JobId};
use upshot_runtime::amqp::Line;
use upshot_shared::Receipt;

use super::{metrics, session::Session};

/// The most receipts on the way.
const UNDER_WAY: usize = 512;
/// How long a confirm may take.
const CONFIRM: Duration = Duration::from_secs(10);
/// The waits before a receipt that was refused is published again. They are long, because other
/// queues get it each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Why receipts are not published.
#[derive(Debug)]
pub(super) enum Fault {
    /// RabbitMQ: the connection or the channel is lost, or no confirm came.
    Rabbit(String),
    /// The process stops, or another one relays.
    Over,
}

/// Receipts on the way, in the order in which they were sent.
pub(super) struct Flight<'a> {
    session: &'a Session<'a>,
    hold: &'a Hold,
    line: Line,
    /// Lines of which confirms are to come.
    former: Vec<Line>,
    sent: VecDeque<(Receipt, JobId, PublisherConfirm)>,
    jobs: HashSet<JobId>,
}

impl<'a> Flight<'a> {
    pub(super) async fn new(session: &'a Session<'a>, hold: &'a Hold) -> Result<Self, Fault> {
        let line = Line::open(session.link).await?;
        Ok(Self { session, hold, line, former: Vec::new(), sent: VecDeque::new(), jobs: HashSet::new() })
    }

    /// Sends a receipt, after the earlier receipts of its job are confirmed.
    pub(super) async fn send(&mut self, receipt: Receipt, job: JobId) -> Result<(), Fault> {
        if self.jobs.contains(&job) {
            self.land().await?;
        }
        while self.sent.len() >= UNDER_WAY {
            self.next().await?;
        }
        let confirm = self.line.send(&receipt).await?;
        self.jobs.insert(job.clone());
        self.sent.push_back((receipt, job, confirm));
        Ok(())
    }

    /// Waits until all receipts are confirmed.
    pub(super) async fn land(&mut self) -> Result<(), Fault> {
        while !self.sent.is_empty() {
            self.next().await?;
        }
        self.former.clear();
        Ok(())
    }

    /// Waits until the first receipt is confirmed.
    async fn next(&mut self) -> Result<(), Fault> {
        let Some((receipt, job, confirm)) = self.sent.pop_front() else { return Ok(()) };
        if !is_taken(confirm).await? {
            self.insist(&receipt).await?;
        }
        self.jobs.remove(&job);
        metrics::published(&receipt);
        Ok(())
    }

    /// Publishes a receipt that was refused until it is taken.
    async fn insist(&mut self, receipt: &Receipt) -> Result<(), Fault> {
        let mut wait = FIRST_WAIT;
        loop {
            self.session.refused(receipt);
            self.session.pause(wait).await?;
            if !self.hold.is_ours() {
                return Err(Fault::Over);
            }
            wait = (wait * 2).min(LONGEST_WAIT);
            // A channel that was refused once may stay refused even when there is room again.
            let line = Line::open(self.session.link).await?;
            if is_taken(line.send(receipt).await?).await? {
                self.former.push(std::mem::replace(&mut self.line, line));
                self.session.taken();
                return Ok(());
            }
        }
    }
}

/// Whether RabbitMQ took a message.
async fn is_taken(confirm: PublisherConfirm) -> Result<bool, Fault> {
    match timeout(CONFIRM, confirm).await {
        Ok(Ok(Confirmation::Ack(_))) => Ok(true),
        Ok(Ok(Confirmation::Nack(_))) => Ok(false),
        Ok(Ok(Confirmation::NotRequested)) => Err(Fault::Rabbit("confirms are not on".to_owned())),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Fault::Rabbit(format!("RabbitMQ did not confirm within {CONFIRM:?}"))),
    }
}

impl From<lapin::Error> for Fault {
    fn from(error: lapin::Error) -> Self {
        Self::Rabbit(error.to_string())
    }
}
