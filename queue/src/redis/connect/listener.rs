//! A connection that only listens, and knows whether it still does.

use std::time::Duration;

use futures::StreamExt;
use redis::{
    Msg, RedisError, RedisResult, ToRedisArgs,
    aio::{PubSub, PubSubSink, PubSubStream},
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How often the server is asked whether it is still there. One that froze, or a
/// network that swallows everything, ends no connection by itself.
const CHECK: Duration = Duration::from_secs(5);

/// What a [`Listener`] comes back with.
#[derive(Debug)]
pub enum Heard {
    /// A message on one of the channels.
    Message(Msg),
    /// The server is still there. **A message may have been lost all the same:**
    /// in a cluster it travels from node to node, and what is published while
    /// the link between two of them is made anew comes to nobody. Whoever must
    /// not miss a change looks again now.
    Checked,
}

/// Hears what is published, until the server is gone.
pub struct Listener {
    sink: PubSubSink,
    messages: PubSubStream,
    check: Interval,
    /// How long an answer may take.
    patience: Duration,
}

impl Listener {
    pub(super) fn new(connection: PubSub, patience: Duration) -> Self {
        let (sink, messages) = connection.split();
        let mut check = interval_at(Instant::now() + CHECK, CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { sink, messages, check, patience }
    }

    /// Listens to one or more channels, too.
    ///
    /// # Errors
    /// When the server is gone. The caller then opens another listener.
    pub async fn subscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        in_time(self.patience, self.sink.subscribe(channels)).await
    }

    /// Listens to one or more channels no longer.
    ///
    /// # Errors
    /// As [`Listener::subscribe`].
    pub async fn unsubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        in_time(self.patience, self.sink.unsubscribe(channels)).await
    }

    /// Waits for the next message, or the next sign of life. No message is lost
    /// when the waiting is given up.
    ///
    /// # Errors
    /// As [`Listener::subscribe`]; a silent server counts as gone when it does not
    /// answer a check, of which one is made every five seconds.
    pub async fn next(&mut self) -> RedisResult<Heard> {
        tokio::select! {
            // However much there is to hear, the checks are made.
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
