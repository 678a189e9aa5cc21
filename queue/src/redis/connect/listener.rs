//! A connection that only listens, and checks that its server is alive.

use std::time::Duration;

use futures::StreamExt;
use redis::{
    Msg, RedisError, RedisResult, ToRedisArgs,
    aio::{PubSub, PubSubSink, PubSubStream},
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How often the listener checks its server. A frozen server, or a network that drops all packets,
/// does not close a connection.
const CHECK: Duration = Duration::from_secs(5);

/// An event of a [`Listener`].
#[derive(Debug)]
pub enum Heard {
    /// A message on one of the channels.
    Message(Msg),
    /// The server is alive. **A message may be lost all the same:** in a cluster messages travel
    /// from node to node, and a message is lost while a link between two nodes is opened again. A
    /// caller that must not miss a change reads again now.
    Checked,
}

/// Receives published messages until the server is gone.
pub struct Listener {
    sink: PubSubSink,
    messages: PubSubStream,
    check: Interval,
    /// How long a reply may take.
    patience: Duration,
}

impl Listener {
    pub(super) fn new(connection: PubSub, patience: Duration) -> Self {
        let (sink, messages) = connection.split();
        let mut check = interval_at(Instant::now() + CHECK, CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { sink, messages, check, patience }
    }

    /// Subscribes to further channels.
    ///
    /// # Errors
    /// When the server is gone. The caller then opens another listener.
    pub async fn subscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        in_time(self.patience, self.sink.subscribe(channels)).await
    }

    /// Unsubscribes from channels.
    ///
    /// # Errors
    /// As [`Listener::subscribe`].
    pub async fn unsubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        in_time(self.patience, self.sink.unsubscribe(channels)).await
    }

    /// Waits for the next message, or the next sign of life. Dropping the future loses no message.
    ///
    /// # Errors
    /// As [`Listener::subscribe`]; a server counts as gone if it does not answer a check, which
    /// comes every five seconds.
    pub async fn next(&mut self) -> RedisResult<Heard> {
        tokio::select! {
            // Checks are made even with many messages.
            biased;
            _ = self.check.tick() => {
                in_time(self.patience, self.sink.ping::<redis::Value>()).await?;
                Ok(Heard::Checked)
            }
            message = self.messages.next() => match message {
                Some(message) => Ok(Heard::Message(message)),
                None => Err(lost("it ended the connection")),
            },
        }
    }
}

async fn in_time<T>(patience: Duration, answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    tokio::time::timeout(patience, answer).await.unwrap_or_else(|_| Err(lost("no answer in time")))
}

fn lost(why: &'static str) -> RedisError {
    (redis::ErrorKind::Io, why).into()
}
