//! Publishes with confirms: a call returns when the broker has the message.
//!
//! One task keeps the connection; callers use it or fail at once. So a frozen broker costs one
//! attempt at a time for any number of callers. A caller that gives up leaves no message that is
//! published later.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt};
use lapin::{
    BasicProperties, Channel, Confirmation, Event,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::{
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use upshot_queue::connect::Backoff;

use super::{
    address::Address,
    names::{EVENTS, PROBE},
    topology::{self, Declared, History, Refused, TopologyError},
    transport::{self, Link},
};
use upshot_shared::event::STRUCTURED;

/// How often the task checks the connection beside its events.
const LOOK: Duration = Duration::from_secs(1);
/// Messages in flight at the same time, each on its own channel.
const UNDER_WAY: usize = 32;

/// Why a message was not published, or may not have been.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// RabbitMQ is away, or takes no messages. The message was not published.
    #[error("not published: {0}; publish the same event again later")]
    Unavailable(Arc<str>),
    /// The message was sent, and no confirm came: RabbitMQ may have it.
    #[error(
        "RabbitMQ did not confirm ({0}): it may have the event or not; publish it again under the same id, \
         which is safe"
    )]
    Unknown(String),
    /// The broker took the message and had no queue for it.
    #[error("not published: no queue is bound for it; start `upshot bridge`, it declares exchange and queue")]
    Unroutable,
    /// The broker refused it.
    #[error(
        "not published: RabbitMQ refused the message (negative confirm): a queue is full or not available"
    )]
    Refused,
    /// The user lacks the right to publish there.
    #[error(
        "not published: {0}; let the user of `amqp.url` write to this exchange (deploy/rabbitmq lists what each \
         service needs)"
    )]
    NotPermitted(String),
}

/// Publishes messages. A background task connects at first use and again after every loss. Cheap to
/// clone; clones share a connection, which ends with the last clone.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
    alive: CancellationToken,
    _alive: Arc<DropGuard>,
}

struct Shared {
    address: Address,
    name: Box<str>,
    declares: bool,
    history: Option<History>,
    patience: Duration,
    state: watch::Sender<State>,
    keeper: OnceLock<()>,
}

#[derive(Clone)]
enum State {
    /// No attempt yet.
    Unknown,
    Up(Arc<Live>),
    Down(Arc<str>),
}

/// A connection that takes messages.
struct Live {
    link: Link,
    refused: Refused,
    /// Idle channels. Each channel carries one message at a time, because lapin matches a returned
    /// message to the next confirm of any message.
    idle: Mutex<Vec<Channel>>,
    /// One permit for each message that may be in flight.
    slots: Semaphore,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl Publisher {
    /// A publisher that waits for a confirm for `patience`. With `declares` it declares Upshot's
    /// topology on each connection, for which it needs the permission to configure.
    pub fn new(address: impl Into<Address>, name: &str, declares: bool, patience: Duration) -> Self {
        let alive = CancellationToken::new();
        let shared = Shared {
            address: address.into(),
            name: name.into(),
            declares,
            history: None,
            patience,
            state: watch::Sender::new(State::Unknown),
            keeper: OnceLock::new(),
        };
        let guard = Arc::new(alive.clone().drop_guard());
        Self { shared: Arc::new(shared), alive, _alive: guard }
    }

    /// Declares the exchange for receipts, and this history of them, as well. Has no effect on a
    /// publisher that was used or cloned.
    #[must_use]
    pub fn with_history(mut self, history: Option<History>) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.history = history;
        }
        self
    }

    /// The connection; waits for the first attempt, and fails at once while there is none.
    async fn live(&self) -> Result<Arc<Live>, PublishError> {
        self.shared.keeper.get_or_init(|| {
            tokio::spawn(keep(Arc::clone(&self.shared), self.alive.clone()));
        });
        let mut states = self.shared.state.subscribe();
        let tried = states.wait_for(|state| !matches!(state, State::Unknown));
        let state = match timeout(self.shared.patience, tried).await {
            Ok(Ok(state)) => state.clone(),
            // The sender is ours.
            Ok(Err(_)) | Err(_) => State::Unknown,
        };
        match state {
            State::Up(live) => Ok(live),
            State::Down(why) => Err(PublishError::Unavailable(why)),
            State::Unknown => {
                let why = format!("no connection to RabbitMQ within {:?}", self.shared.patience);
                Err(PublishError::Unavailable(why.into()))
            }
        }
    }

    /// Publishes a message that goes nowhere, so that a caller learns early whether RabbitMQ takes
    /// messages. Only for a publisher that declares.
    ///
    /// # Errors
    /// When RabbitMQ does not confirm.
    pub async fn check(&self) -> Result<(), PublishError> {
        self.publish(PROBE, "", b"", BasicProperties::default(), false).await
    }

    /// Declares Upshot's topology again, and returns what it found.
    ///
    /// # Errors
    /// When RabbitMQ is away, or something cannot be declared.
    pub async fn declare(&self) -> Result<Declared, DeclareError> {
        let live = self.live().await?;
        let declaring = topology::declare_again(&live.link, self.shared.history, &live.refused);
        match timeout(self.shared.patience, declaring).await {
            Ok(declared) => Ok(declared?),
            Err(_) => {
                live.link.cut();
                Err(self.silent().into())
            }
        }
    }

    /// Publishes one persistent message and waits for the confirm. With `mandatory`, a message
    /// for which no queue is bound is an error.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        body: &[u8],
        properties: BasicProperties,
        mandatory: bool,
    ) -> Result<(), PublishError> {
        let live = self.live().await?;
        let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
        let persistent = properties.with_delivery_mode(2);
        let patience = self.shared.patience;
        let unsent = |why: String| PublishError::Unavailable(why.into());
        let busy =
            |_| unsent(format!("{UNDER_WAY} messages are under way, and none ended within {patience:?}"));
        // The semaphore is never closed.
        let _slot = timeout(patience, live.slots.acquire()).await.map_err(busy)?;
        let channel = match timeout(patience, live.channel()).await {
            Ok(channel) => channel.map_err(|error| unsent(error.to_string()))?,
            Err(_) => {
                live.link.cut();
                return Err(unsent(format!("no answer within {patience:?}")));
            }
        };
        let confirm = async {
            let key = short_string(routing_key);
            let sent = channel.basic_publish(exchange.into(), key, options, body, persistent);
            let confirmed = sent.await?.await?;
            // A channel that was refused once may stay refused even when there is room again.
            if matches!(confirmed, Confirmation::Ack(_)) {
                live.idle().push(channel);
            }
            Ok::<_, lapin::Error>(confirmed)
        };
        match timeout(patience, confirm).await {
            Ok(Ok(Confirmation::Ack(None))) => Ok(()),
            Ok(Ok(Confirmation::Ack(Some(_)))) => Err(PublishError::Unroutable),
            Ok(Ok(Confirmation::Nack(_))) => Err(PublishError::Refused),
            Ok(Ok(Confirmation::NotRequested)) => {
                Err(PublishError::Unknown("confirms are not on".to_owned()))
            }
            Ok(Err(error)) if topology::is_refused(&error) => {
                Err(PublishError::NotPermitted(error.to_string()))
            }
            Ok(Err(error)) => Err(PublishError::Unknown(error.to_string())),
            Err(_) => {
                // A message that was not sent must not be sent after the caller got an error.
                live.link.cut();
                Err(self.silent())
            }
        }
    }

    /// Publishes an event in structured mode, for any bound queue.
    ///
    /// # Errors
    /// See [`PublishError`].
    #[expect(clippy::disallowed_methods, reason = "the id is cut to a short string")]
    pub async fn publish_event(&self, event: &upshot_shared::Event, body: &[u8]) -> Result<(), PublishError> {
        let mut properties = BasicProperties::default()
            .with_content_type(STRUCTURED.into())
            .with_message_id(short_string(&event.id));
        if let Some(trace) = &event.trace {
            let mut headers = FieldTable::default();
            headers.insert("traceparent".into(), AMQPValue::LongString(trace.as_str().into()));
            properties = properties.with_headers(headers);
        }
        self.publish(EVENTS, &event.kind, body, properties, true).await
    }

    fn silent(&self) -> PublishError {
        PublishError::Unknown(format!("no answer within {:?}", self.shared.patience))
    }

    /// Closes the connection in good order.
    pub async fn close(&self) {
        let state = self.shared.state.borrow().clone();
        if let State::Up(live) = state {
            live.link.close().await;
        }
        self.alive.cancel();
    }
}

/// A text as a short string, truncated to its 255 bytes.
pub(super) fn short_string(text: &str) -> ShortString {
    let end = text.floor_char_boundary(255);
    text.get(..end).unwrap_or_default().into()
}

/// Why the topology cannot be declared.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// There is no connection.
    #[error(transparent)]
    Connection(#[from] PublishError),
    /// RabbitMQ refused something.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

impl Live {
    fn idle(&self) -> MutexGuard<'_, Vec<Channel>> {
        // Every statement leaves the list consistent.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An idle channel.
    async fn channel(&self) -> Result<Channel, lapin::Error> {
        loop {
            let Some(channel) = self.idle().pop() else { return confirming(&self.link).await };
            if channel.status().connected() {
                return Ok(channel);
            }
        }
    }
}

async fn confirming(link: &Link) -> Result<Channel, lapin::Error> {
    let channel = link.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Keeps the connection until the last publisher is gone.
async fn keep(shared: Arc<Shared>, alive: CancellationToken) {
    let mut backoff = Backoff::default();
    while !alive.is_cancelled() {
        let why = tokio::select! {
            () = alive.cancelled() => return,
            why = connected(&shared, &mut backoff) => why,
        };
        shared.state.send_replace(State::Down(why.into()));
        tokio::select! {
            () = alive.cancelled() => return,
            () = backoff.wait() => {}
        }
    }
}

/// Connects and stays connected; returns the reason of a loss.
async fn connected(shared: &Shared, backoff: &mut Backoff) -> String {
    let link = match transport::connect(&shared.address, &shared.name, u64::MAX).await {
        Ok(link) => link,
        Err(error) => return error.to_string(),
    };
    let mut events = Box::pin(link.events_listener());
    let channel = match timeout(shared.patience, confirming(&link)).await {
        Ok(Ok(channel)) => channel,
        Ok(Err(error)) => return error.to_string(),
        Err(_) => return format!("no answer within {:?}", shared.patience),
    };
    let refused = Refused::default();
    if shared.declares {
        match timeout(shared.patience, topology::declare_again(&link, shared.history, &refused)).await {
            Ok(Ok(_)) => {}
            // The next declaration reports the problem; publishing may work all the same.
            Ok(Err(TopologyError::Different { .. } | TopologyError::Missing { .. })) => {}
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("no answer within {:?}", shared.patience),
        }
        // RabbitMQ announces an alarm only to a connection that publishes.
        let probe = probe(&channel);
        tokio::pin!(probe);
        let answer = loop {
            tokio::select! {
                answer = &mut probe => break answer.err(),
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(why)) => {
                        shared.state.send_replace(blocked(&why));
                    }
                    Some(Event::Error(error)) => break Some(error),
                    Some(_) => {}
                    None => return "the connection was closed".to_owned(),
                },
                () = sleep(shared.patience), if !link.status().blocked() => {
                    return format!("no answer within {:?}", shared.patience);
                }
            }
        };
        if let Some(error) = answer.filter(|_| !link.status().connected()) {
            return error.to_string();
        }
    }
    let (idle, slots) = (Mutex::new(vec![channel]), Semaphore::new(UNDER_WAY));
    let live = Arc::new(Live { link, refused, idle, slots });
    shared.state.send_replace(State::Up(Arc::clone(&live)));
    backoff.reset();
    stay(shared, &live, events.as_mut()).await
}

async fn stay(
    shared: &Shared,
    live: &Arc<Live>,
    mut events: std::pin::Pin<&mut (impl Stream<Item = Event> + Send)>,
) -> String {
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::ConnectionBlocked(why)) => {
                    shared.state.send_replace(blocked(&why));
                }
                Some(Event::ConnectionUnblocked) => {
                    shared.state.send_replace(State::Up(Arc::clone(live)));
                }
                // Errors of a channel arrive here too.
                Some(Event::Error(error)) if !live.link.status().connected() => return error.to_string(),
                Some(_) => {}
                None => return "the connection was closed".to_owned(),
            },
            () = live.link.was_cut() => return format!("no answer within {:?}", shared.patience),
            () = sleep(LOOK) => {
                if !live.link.status().connected() {
                    return "the connection was lost".to_owned();
                }
            }
        }
    }
}

fn blocked(why: &str) -> State {
    State::Down(
        format!("RabbitMQ takes no messages ({why}): free memory or disk there, or raise its limits").into(),
    )
}

async fn probe(channel: &Channel) -> Result<(), lapin::Error> {
    let properties = BasicProperties::default();
    let options = BasicPublishOptions::default();
    channel.basic_publish(PROBE.into(), "".into(), options, b"", properties).await?.await.map(drop)
}
