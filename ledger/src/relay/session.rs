//! Relays one queue on one connection to RabbitMQ.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use upshot_queue::{Client, Hold, Job, JobId, OutboxTail, QueueName, connect::Backoff, outbox::Entry};
use upshot_runtime::amqp::Link;
use upshot_shared::Receipt;

use super::{
    GROUP, Relay,
    flight::{Fault, Flight},
};
use crate::receipt::{Maker, Told, told};

/// Entries of one read, which are acknowledged together.
const ENTRIES: usize = 128;
/// Jobs of one read: their arguments come along.
const JOBS: usize = 64;
/// How long a read waits for an entry, at most.
const WAIT: Duration = Duration::from_secs(1);
/// The shortest time from one read to the next, unless more entries wait. A busy queue appends an
/// entry for each call, and a read for each would cost Redis more than the entries do.
const PACE: Duration = Duration::from_millis(25);
/// How long a stop waits for the receipts on the way.
const GRACE: Duration = Duration::from_secs(12);
/// How long a release may take.
const RELEASE: Duration = Duration::from_secs(2);
/// After this long as a standby, another process relays.
const STANDBY: Duration = Duration::from_secs(20);

/// One queue on one connection.
pub(super) struct Session<'a> {
    pub(super) relay: &'a Relay,
    pub(super) link: &'a Link,
    pub(super) queue: &'a QueueName,
    pub(super) stop: &'a CancellationToken,
}

/// Why a session does not continue.
enum Ended {
    /// Redis failed.
    Redis(upshot_queue::Error),
    /// RabbitMQ failed.
    Rabbit(String),
}

impl From<upshot_queue::Error> for Ended {
    fn from(error: upshot_queue::Error) -> Self {
        Self::Redis(error)
    }
}

impl From<redis::RedisError> for Ended {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}

impl Session<'_> {
    /// Relays until a stop, or until RabbitMQ fails. A failure of Redis ends nothing.
    pub(super) async fn run(self) -> Result<(), String> {
        let mut backoff = Backoff::default();
        loop {
            match self.relay(&mut backoff).await {
                Ok(()) => return Ok(()),
                Err(Ended::Rabbit(why)) => return Err(why),
                Err(Ended::Redis(error)) => {
                    // The health of Redis says it.
                    tracing::debug!(queue = %self.queue, %error, "receipts wait");
                    ::metrics::counter!("upshot_receipts_failures_total", "cause" => "redis").increment(1);
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = backoff.wait() => {}
            }
        }
    }

    /// Relays until a stop, with a hold of its own.
    async fn relay(&self, backoff: &mut Backoff) -> Result<(), Ended> {
        let client = Client::new(&self.relay.connector, self.queue.clone())?;
        let hold = client.hold_relay(&self.relay.owner);
        let held = self.held(&client, &hold, backoff);
        let ended = tokio::select! {
            ended = held => ended,
            never = hold.run() => match never {},
            () = self.too_late() => Ok(()),
        };
        super::metrics::holds(self.queue, false);
        // Another process need not wait. If Redis does not answer, the key expires.
        let _ = timeout(RELEASE, hold.release()).await;
        ended
    }

    /// Returns when a stop takes too long: Redis or RabbitMQ does not answer.
    async fn too_late(&self) {
        self.stop.cancelled().await;
        sleep(GRACE).await;
    }

    /// Relays whenever this process holds the queue.
    async fn held(&self, client: &Client, hold: &Hold, backoff: &mut Backoff) -> Result<(), Ended> {
        let wait = WAIT.min(self.relay.connector.response_timeout() / 2);
        loop {
            super::metrics::holds(self.queue, false);
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = hold.until_ours() => {}
                never = self.stand_by() => match never {},
            }
            super::metrics::holds(self.queue, true);
            let mut tail = OutboxTail::join(&self.relay.connector, self.queue.clone(), GROUP).await?;
            let mut receipts = Receipts::new(self, client.clone(), hold);
            while hold.is_ours() {
                if !self.link.status().connected() {
                    return Err(Ended::Rabbit("the connection was lost".to_owned()));
                }
                let entries = tokio::select! {
                    () = self.stop.cancelled() => return Ok(()),
                    entries = tail.read(ENTRIES, wait) => entries?,
                };
                let began = Instant::now();
                if !receipts.publish(&entries).await? {
                    break;
                }
                tail.acknowledge(&entries).await?;
                backoff.reset();
                self.works();
                if !entries.is_empty() && entries.len() < ENTRIES {
                    tokio::select! {
                        () = self.stop.cancelled() => return Ok(()),
                        () = sleep(PACE.saturating_sub(began.elapsed())) => {}
                    }
                }
            }
        }
    }

    /// Waits as a standby. What this process warned of is then the concern of the process that
    /// relays.
    async fn stand_by(&self) -> Infallible {
        sleep(STANDBY).await;
        self.works();
        std::future::pending().await
    }

    fn works(&self) {
        self.relay.works(super::WARNING);
        self.relay.works(&self.warning());
    }

    /// The name of the warning about this queue.
    fn warning(&self) -> String {
        format!("{} of {}", super::WARNING, self.queue)
    }

    /// Notes that RabbitMQ refused a receipt.
    pub(super) fn refused(&self, receipt: &Receipt) {
        let why = format!(
            "RabbitMQ refuses receipts with the key `{}` (negative confirm): a queue that is bound for them is full \
             and refuses messages (`x-overflow`), or is not available. Later receipts of queue {} wait: make room \
             there, or unbind it",
            receipt.routing_key(),
            self.queue
        );
        self.relay.failed(&self.warning(), "refused", &why);
    }

    /// Notes that a receipt that was refused is taken.
    pub(super) fn taken(&self) {
        self.works();
    }

    /// Waits, unless the process stops.
    pub(super) async fn pause(&self, wait: Duration) -> Result<(), Fault> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Fault::Over),
            () = sleep(wait) => Ok(()),
        }
    }
}

/// Makes the receipts of entries, and publishes them.
struct Receipts<'a> {
    session: &'a Session<'a>,
    client: Client,
    hold: &'a Hold,
    maker: Maker,
    routes: BTreeMap<u32, String>,
}

impl<'a> Receipts<'a> {
    fn new(session: &'a Session<'a>, client: Client, hold: &'a Hold) -> Self {
        let maker = Maker::new(session.relay.connector.prefix(), session.queue.clone());
        Self { session, client, hold, maker, routes: BTreeMap::new() }
    }

    /// Publishes the receipts of these entries. Returns whether all are confirmed; otherwise the
    /// process stops, or another one relays.
    async fn publish(&mut self, entries: &[Entry]) -> Result<bool, Ended> {
        let all: Vec<Told<'_>> = entries.iter().flat_map(told).collect();
        if all.is_empty() {
            return Ok(true);
        }
        if all.iter().any(|told| !self.routes.contains_key(&told.moved.route)) {
            self.routes = self.client.routes().await?;
        }
        let published = self.fly(&all).await;
        match published {
            Ok(()) => Ok(true),
            Err(Failed::Redis(error)) => Err(Ended::Redis(error)),
            Err(Failed::Flight(Fault::Rabbit(why))) => Err(Ended::Rabbit(why)),
            Err(Failed::Flight(Fault::Over)) => Ok(false),
        }
    }

    async fn fly(&self, all: &[Told<'_>]) -> Result<(), Failed> {
        let mut flight = Flight::new(self.session, self.hold).await?;
        for part in all.chunks(JOBS) {
            if !self.hold.is_ours() {
                return Err(Fault::Over.into());
            }
            let ids: Vec<JobId> = part.iter().map(|told| told.job.clone()).collect();
            let jobs = self.client.jobs(&ids).await?;
            let jobs: HashMap<&JobId, &Job> = jobs.iter().map(|job| (&job.id, job)).collect();
            for told in part {
                let route = self.routes.get(&told.moved.route).map(String::as_str);
                let receipt = self.maker.receipt(told, route, jobs.get(told.job).copied());
                flight.send(receipt, told.job.clone()).await?;
            }
        }
        Ok(flight.land().await?)
    }
}

/// Why receipts of entries are not published.
enum Failed {
    Redis(upshot_queue::Error),
    Flight(Fault),
}

impl From<upshot_queue::Error> for Failed {
    fn from(error: upshot_queue::Error) -> Self {
        Self::Redis(error)
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Flight(fault)
    }
}
