//! One connection to RabbitMQ: consume, gather a batch, hand it over, ack.

use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use lapin::{
    Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio_util::sync::CancellationToken;
use upshot_shared::amqp;

use crate::{Bridge, batch, enqueue, quarantine};

/// A session that ended by itself.
pub(crate) struct Ended {
    /// Whether a batch went through; a session that fails at once must not be
    /// followed by the next one at once.
    pub(crate) worked: bool,
    /// Why it ended.
    pub(crate) why: String,
}

/// Runs one session. `Ok` only when it was told to stop.
pub(crate) async fn run(bridge: &Bridge, stop: &CancellationToken) -> Result<(), Ended> {
    let connecting = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        connecting = Session::open(bridge) => connecting,
    };
    let mut session = connecting.map_err(|error| Ended { worked: false, why: error.to_string() })?;
    bridge.health.up("rabbitmq");
    tracing::info!(queue = amqp::BRIDGE, prefetch = bridge.settings.bridge.prefetch, "consuming");
    let mut worked = false;
    let ended = session.consume(bridge, stop, &mut worked).await;
    if stop.is_cancelled() {
        // Unacknowledged deliveries go back to the queue with the connection. A
        // broker that is frozen does not say goodbye.
        let closing = session.connection.close(200, "stopped".into());
        let _ = tokio::time::timeout(Duration::from_secs(3), closing).await;
        return Ok(());
    }
    ended.map_err(|why| Ended { worked, why })
}

struct Session {
    connection: Connection,
    channel: Channel,
    consumer: Consumer,
}

impl Session {
    async fn open(bridge: &Bridge) -> Result<Self, lapin::Error> {
        let connection = amqp::connect(&bridge.settings.amqp, "upshot-bridge").await?;
        let channel = connection.create_channel().await?;
        amqp::declare(&channel).await?;
        channel.basic_qos(bridge.settings.bridge.prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let consumer = channel
            .basic_consume(amqp::BRIDGE.into(), "upshot-bridge".into(), options, FieldTable::default())
            .await?;
        Ok(Self { connection, channel, consumer })
    }

    async fn consume(
        &mut self,
        bridge: &Bridge,
        stop: &CancellationToken,
        worked: &mut bool,
    ) -> Result<(), String> {
        let most = bridge.settings.bridge.batch;
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                first = self.consumer.next() => first,
            };
            let mut deliveries = Vec::with_capacity(64);
            let mut ended = take(first, &mut deliveries);
            let arrived = Instant::now();
            // Whatever has arrived by now; an empty buffer is not waited for.
            while ended.is_ok() && deliveries.len() < most {
                match self.consumer.next().now_or_never() {
                    Some(next) => ended = take(next, &mut deliveries),
                    None => break,
                }
            }
            if !deliveries.is_empty() {
                self.hand_over(bridge, deliveries, stop).await?;
                *worked = true;
                metrics::histogram!("upshot_bridge_ack_seconds").record(arrived.elapsed().as_secs_f64());
            }
            ended?;
        }
    }

    /// Puts a batch where it belongs and acknowledges all of it at once.
    async fn hand_over(
        &self,
        bridge: &Bridge,
        deliveries: Vec<Delivery>,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let last = deliveries.last().map(|delivery| delivery.acker.clone());
        let batch = batch::sort(&bridge.intake, deliveries);
        let alive = || self.connection.status().connected() && self.channel.status().connected();
        enqueue::enqueue(bridge, &batch.jobs, alive, stop).await?;
        if let Err(error) = quarantine::publish(&bridge.quarantine, &batch.rejected).await {
            // The good ones must not wait for the bad ones.
            for acker in batch.accepted {
                acker.ack(BasicAckOptions::default()).await.map_err(|error| error.to_string())?;
            }
            return Err(format!("quarantine: {error}"));
        }
        let Some(last) = last else { return Ok(()) };
        match last.ack(BasicAckOptions { multiple: true }).await {
            Ok(true) => Ok(()),
            // The connection under the delivery tag is gone: everything of this
            // batch comes again, and is recognised by its job ids.
            Ok(false) => Err("the connection was lost before the acknowledgement".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn take(next: Option<Result<Delivery, lapin::Error>>, deliveries: &mut Vec<Delivery>) -> Result<(), String> {
    match next {
        Some(Ok(delivery)) => {
            deliveries.push(delivery);
            Ok(())
        }
        Some(Err(error)) => Err(error.to_string()),
        None => {
            Err("RabbitMQ ended the subscription: the connection was lost or the queue deleted".to_owned())
        }
    }
}
