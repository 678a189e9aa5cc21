//! One connection to RabbitMQ: consume, gather a batch, enqueue it, ack.

use std::{sync::Arc, time::Instant};

use futures::{FutureExt, StreamExt};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio_util::sync::CancellationToken;
use upshot_runtime::amqp::{self, History, INTAKE, Link, TopologyError};

use crate::{
    Bridge,
    batch::{self, Arrived, Batch},
    enqueue,
    quarantine::Quarantine,
};

/// The part of the health that says whether the intake is consumed.
pub(crate) const INTAKE_PART: &str = "intake";

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
    if queue == INTAKE {
        bridge.health.up(INTAKE_PART);
    }
    tracing::info!(queue, prefetch = bridge.settings.bridge.prefetch, "consuming");
    let mut worked = false;
    let ended = session.consume(bridge, consumer, stop, &mut worked).await;
    if stop.is_cancelled() {
        session.quarantine.finish().await;
        // Unacknowledged deliveries go back to the queue with the connection.
        session.link.close().await;
        return Ok(());
    }
    ended.map_err(|why| Ended { worked, why })
}

struct Session {
    link: Link,
    channel: Channel,
    quarantine: Quarantine,
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
        let quarantine = Quarantine::open(
            bridge.quarantine.clone(),
            bridge.rows.clone(),
            Arc::clone(link.budget()),
            bridge.health.clone(),
        );
        Ok((Self { link, channel, quarantine }, consumer))
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

    /// Enqueues or quarantines a batch, and acknowledges what is in Redis.
    async fn hand_over(
        &self,
        bridge: &Bridge,
        arrived: Vec<Arrived>,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let arrived = Arc::new(arrived);
        let limit = bridge.settings.bridge.contract_timeout;
        let Batch { jobs, mut refused } = batch::sort(&bridge.intake, &arrived, limit).await;
        let alive = || self.link.status().connected() && self.channel.status().connected();
        refused.extend(enqueue::enqueue(bridge, &jobs, alive, stop).await?);
        // A thread that checks a contract for too long still holds the batch.
        let arrived =
            Arc::try_unwrap(arrived).unwrap_or_else(|shared| shared.iter().map(Arrived::copy).collect());
        let mut accepted = Vec::with_capacity(arrived.len());
        for (place, arrived) in arrived.into_iter().enumerate() {
            match refused.remove(&place) {
                Some(why) => self.quarantine.keep(arrived, why),
                None => accepted.push(arrived),
            }
        }
        self.acknowledge(&accepted).await?;
        self.link.budget().release(accepted.iter().map(|each| each.body.len() as u64).sum());
        Ok(())
    }

    /// Acknowledges deliveries, all at once up to the first delivery that waits for quarantine.
    async fn acknowledge(&self, accepted: &[Arrived]) -> Result<(), String> {
        let waiting = self.quarantine.oldest().unwrap_or(u64::MAX);
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
