//! The least that a bridge could do: consume a batch, run one script, ack.
//!
//! No parsing, no contract, no routes, no states: what this loop reaches on a
//! machine is the ceiling for the real bridge on that machine.

use std::time::Duration;

use anyhow::Context;
use futures::{FutureExt, StreamExt};
use lapin::{
    Connection, ConnectionProperties,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use redis::AsyncConnectionConfig;
use tokio::signal::unix::{SignalKind, signal};
use upshot_runtime::amqp;

use crate::arguments::BareLoop;

/// The list that the script fills; its length says how far the loop is.
pub const LIST: &str = "bare:{b}:ready";
const BATCH: usize = 256;
const PREFETCH: u16 = 2000;
const SCRIPT: &str = r"
for i = 1, #ARGV, 2 do
  if redis.call('SET', 'bare:{b}:seen:' .. ARGV[i], 1, 'NX', 'EX', 604800) then
    redis.call('HSET', 'bare:{b}:job:' .. ARGV[i], 'job', ARGV[i + 1], 'state', 'ready')
    redis.call('RPUSH', KEYS[1], ARGV[i])
  end
end
return 1";

/// Runs until it is told to stop: what it has counted it has also acknowledged
/// by then, so that nothing is left over for the next round.
pub async fn run(options: &BareLoop) -> anyhow::Result<()> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
    let client = redis::Client::open(options.redis.as_str())?;
    let mut redis = client.get_multiplexed_async_connection_with_config(&config).await?;
    let sha: String = redis::cmd("SCRIPT").arg(&["LOAD", SCRIPT]).query_async(&mut redis).await?;

    let connection = Connection::connect(&options.amqp, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let consume = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume(amqp::INTAKE.into(), "bare".into(), consume, FieldTable::default()).await?;
    let mut stop = signal(SignalKind::terminate())?;
    let mut batch: Vec<Delivery> = Vec::with_capacity(BATCH);
    loop {
        let first = tokio::select! {
            biased;
            _ = stop.recv() => return Ok(connection.close(200, "stopped".into()).await?),
            first = consumer.next() => first,
        };
        batch.push(first.context("RabbitMQ ended the subscription")??);
        while batch.len() < BATCH {
            let Some(next) = consumer.next().now_or_never() else { break };
            batch.push(next.context("RabbitMQ ended the subscription")??);
        }
        let mut script = redis::cmd("EVALSHA");
        script.arg(&sha).arg(1).arg(LIST);
        for delivery in &batch {
            let id = delivery.properties.message_id().as_ref().context("a message without an id")?;
            script.arg(id.as_str()).arg(delivery.data.as_slice());
        }
        () = script.query_async(&mut redis).await?;
        if let Some(last) = batch.last() {
            last.ack(BasicAckOptions { multiple: true }).await?;
        }
        batch.clear();
    }
}
