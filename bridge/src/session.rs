//! One connection to RabbitMQ: consume, gather a batch, hand it to Redis, ack.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use upshot_runtime::amqp::{self, CONFIRMATIONS, History, INTAKE, Link, TopologyError};

use crate::{
    Bridge,
    batch::{self, Arrived, Batch, Reading},
    confirm::{self, Confirmed},
    enqueue,
    full::Full,
    quarantine::Quarantine,
    waiting::Waiting,
};

/// How long a stop waits for the copies and rows in hand.
const FINISH: Duration = Duration::from_secs(3);

/// The part of the health that says whether a queue is consumed; the intake of an earlier version
/// has none.
pub(crate) fn part(queue: &str) -> Option<&'static str> {
    match queue {
        INTAKE => Some("intake"),
        CONFIRMATIONS => Some("confirmations"),
        _ => None,
    }
}

/// The end of a session that was not stopped.
pub(crate) struct Ended {
    /// Whether a batch went through. After a session that fails at once, the next one must wait.
    pub(crate) worked: bool,
    /// Why it ended.
    pub(crate) why: String,
}

/// Runs one session that consumes a queue. `Ok` only after a stop.
pub(crate) async fn run(bridge: &Bridge, queue: &'static str, stop: &CancellationToken) -> Result<(), Ended> {
    let connecting = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        connecting = Session::open(bridge, queue) => connecting,
    };
    let (session, consumer) = connecting.map_err(|why| Ended { worked: false, why })?;
    if let Some(part) = part(queue) {
        bridge.health.up(part);
    }
    tracing::info!(queue, prefetch = bridge.settings.bridge.prefetch, "consuming");
    let mut worked = false;
    let ended = session.consume(bridge, consumer, stop, &mut worked).await;
    if stop.is_cancelled() {
        // What is not done by then comes again, and RabbitMQ has a second copy of it if it is bad.
        let _ = timeout(FINISH, session.waiting.emptied()).await;
        // Unacknowledged deliveries go back to the queue with the connection.
        session.link.close().await;
        return Ok(());
    }
    ended.map_err(|why| Ended { worked, why })
}

struct Session {
    link: Link,
    channel: Channel,
    reading: Reading,
    waiting: Waiting,
    quarantine: Quarantine,
    full: Full,
}

impl Session {
    async fn open(bridge: &Bridge, queue: &'static str) -> Result<(Self, Consumer), String> {
        let settings = &bridge.settings;
        let ahead = settings.bridge.prefetch_bytes.0 as u64;
        let said = |error: lapin::Error| error.to_string();
        let link = amqp::connect(&bridge.amqp, "upshot-bridge", ahead).await.map_err(said)?;
        match amqp::declare(&link, History::of(&bridge.settings.outcomes)).await {
            // The watch reports a wrong topology. The session can consume a queue that is there.
            Ok(_) | Err(TopologyError::Different { .. } | TopologyError::Missing { .. }) => {}
            Err(error @ TopologyError::Away(_)) => return Err(error.to_string()),
        }
        let channel = link.create_channel().await.map_err(said)?;
        channel.basic_qos(settings.bridge.prefetch, BasicQosOptions::default()).await.map_err(said)?;
        let options = BasicConsumeOptions::default();
        let consuming =
            channel.basic_consume(queue.into(), "upshot-bridge".into(), options, FieldTable::default());
        let consumer = consuming.await.map_err(|error| match amqp::is_refused(&error) {
            true => format!(
                "{error}; let the user of `amqp.url` read this queue (deploy/rabbitmq lists what each service needs)"
            ),
            false => said(error),
        })?;
        let waiting = Waiting::default();
        let quarantine = Quarantine::open(
            bridge.quarantine.clone(),
            bridge.rows.clone(),
            Arc::clone(link.budget()),
            bridge.health.clone(),
            waiting.clone(),
        );
        let reading = bridge.reading(queue);
        let full = Full::new(bridge, &reading, waiting.clone());
        Ok((Self { link, channel, reading, waiting, quarantine, full }, consumer))
    }

    async fn consume(
        &self,
        bridge: &Bridge,
        mut consumer: Consumer,
        stop: &CancellationToken,
        worked: &mut bool,
    ) -> Result<(), String> {
        let most = bridge.settings.bridge.batch;
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                first = consumer.next() => first,
            };
            let mut arrived = Vec::with_capacity(64);
            let mut ended = take(first, &mut arrived);
            let since = Instant::now();
            // Takes what has arrived, and does not wait for more.
            while ended.is_ok() && arrived.len() < most {
                match consumer.next().now_or_never() {
                    Some(next) => ended = take(next, &mut arrived),
                    None => break,
                }
            }
            if !arrived.is_empty() {
                self.hand_over(bridge, arrived, stop).await?;
                *worked = true;
                metrics::histogram!("upshot_bridge_ack_seconds").record(since.elapsed().as_secs_f64());
            }
            ended?;
        }
    }

    /// Enqueues, confirms or quarantines a batch, and acknowledges what is in Redis.
    async fn hand_over(
        &self,
        bridge: &Bridge,
        arrived: Vec<Arrived>,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let arrived = Arc::new(arrived);
        let limit = bridge.settings.bridge.contract_timeout;
        let Batch { jobs, mut confirmations, mut refused } =
            batch::sort(&self.reading, &arrived, limit).await;
        let alive = || self.link.status().connected() && self.channel.status().connected();
        refused.extend(enqueue::enqueue(bridge, &jobs, alive, stop).await?);
        confirmations.retain(|(place, _)| !refused.contains_key(place));
        let Confirmed { refused: too_large, mut full } =
            confirm::confirm(bridge, confirmations, alive, stop).await?;
        refused.extend(too_large);
        // A thread that checks a contract for too long still holds the batch.
        let arrived =
            Arc::try_unwrap(arrived).unwrap_or_else(|shared| shared.iter().map(Arrived::copy).collect());
        let (mut accepted, mut bytes) = (Vec::with_capacity(arrived.len()), 0);
        for (place, arrived) in arrived.into_iter().enumerate() {
            if let Some(why) = refused.remove(&place) {
                self.quarantine.keep(arrived, why);
                continue;
            }
            // The rest of the session needs no body.
            bytes += arrived.body.len() as u64;
            match full.remove(&place) {
                Some(left) => self.full.keep(arrived, left),
                None => accepted.push(arrived),
            }
        }
        self.acknowledge(&accepted).await?;
        self.link.budget().release(bytes);
        Ok(())
    }

    /// Acknowledges deliveries, all at once up to the first delivery that waits alone.
    async fn acknowledge(&self, accepted: &[Arrived]) -> Result<(), String> {
        let waiting = self.waiting.oldest().unwrap_or(u64::MAX);
        let (at_once, alone): (Vec<&Arrived>, Vec<&Arrived>) =
            accepted.iter().partition(|each| each.tag < waiting);
        let last = at_once.into_iter().max_by_key(|each| each.tag);
        for (arrived, multiple) in
            last.into_iter().map(|each| (each, true)).chain(alone.into_iter().map(|each| (each, false)))
        {
            match arrived.acker.ack(BasicAckOptions { multiple }).await {
                Ok(true) => {}
                // The connection of the delivery tag is gone. The whole batch comes again, and the
                // job ids identify it.
                Ok(false) => return Err("the connection was lost before the acknowledgement".to_owned()),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }
}

fn take(next: Option<Result<Delivery, lapin::Error>>, arrived: &mut Vec<Arrived>) -> Result<(), String> {
    match next {
        Some(Ok(delivery)) => {
            arrived.push(delivery.into());
            Ok(())
        }
        Some(Err(error)) => Err(error.to_string()),
        None => {
            Err("RabbitMQ ended the subscription: the connection was lost or the queue deleted".to_owned())
        }
    }
}
