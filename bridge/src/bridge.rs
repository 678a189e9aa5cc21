//! The service: sessions with RabbitMQ, one after another, until it is stopped.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use upshot_ledger::{
    Relay,
    quarantine::{Bounds, Quarantine},
};
use upshot_queue::{Client, Connector, MAX_SIGNAL, QueueName, connect::Backoff};
use upshot_runtime::{
    Health, Settings,
    amqp::{self, CONFIRMATIONS, History, INTAKE, Publisher},
};
use upshot_shared::{Intake, contract};

use crate::{acts::Copier, batch::Reading, former, full::Crowds, quarantine::Rows, session};

/// Why a bridge cannot be set up. A running bridge does not fail; it waits.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A contract cannot be used.
    #[error(transparent)]
    Contract(#[from] contract::Error),
    /// The Redis URL cannot be used.
    #[error("redis.url cannot be used: {0}")]
    Redis(#[from] redis::RedisError),
    /// A queue's client cannot be set up.
    #[error(transparent)]
    Queue(#[from] upshot_queue::Error),
}

/// How long quarantine may take to confirm.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bridge. Clones share everything.
#[derive(Clone)]
pub struct Bridge {
    pub(crate) settings: Arc<Settings>,
    /// Kept, because it remembers which of RabbitMQ's hosts to try first.
    pub(crate) amqp: amqp::Address,
    pub(crate) intake: Arc<Intake>,
    pub(crate) queues: Arc<HashMap<QueueName, Client>>,
    pub(crate) quarantine: Publisher,
    pub(crate) rows: Rows,
    relay: Relay,
    copier: Copier,
    pub(crate) health: Health,
    /// The deliveries that wait because a queue has no room for their confirmations.
    pub(crate) full: Crowds,
}

impl Bridge {
    /// Checks the settings. It does not connect yet.
    ///
    /// # Errors
    /// A contract or an address that cannot be used.
    pub fn new(settings: &Settings, health: Health) -> Result<Self, Error> {
        let connector = Connector::new(settings.redis.options())?;
        let mut queues = HashMap::new();
        for name in settings.queues.keys() {
            let client = Client::new(&connector, name.clone())?;
            queues.insert(name.clone(), client.with_max_payload(settings.bridge.max_event_bytes.0));
        }
        let amqp = amqp::Address::from(&settings.amqp);
        crate::metrics::describe(queues.keys());
        let intake = Intake::new(settings.intake())?;
        for route in intake.without_contract() {
            tracing::warn!(
                route,
                "its event type has no contract, so any JSON is accepted: add one to `contracts.dir`"
            );
        }
        Ok(Self {
            settings: Arc::new(settings.clone()),
            intake: Arc::new(intake),
            rows: Rows::new(Quarantine::new(&connector)?, Bounds::from(&settings.quarantine)),
            quarantine: Publisher::new(&settings.amqp, "upshot-bridge-quarantine", true, PATIENCE)
                .with_history(History::of(&settings.outcomes)),
            relay: Relay::new(settings, health.clone())?,
            copier: Copier::new(settings, health.clone())?,
            queues: Arc::new(queues),
            amqp,
            health,
            full: Crowds::default(),
        })
    }

    /// What the messages of a queue in RabbitMQ are.
    pub(crate) fn reading(&self, queue: &str) -> Reading {
        match queue {
            CONFIRMATIONS => Reading::Confirmations {
                queues: self.settings.queues.keys().cloned().collect(),
                // The confirmations of an event may come as a message; see `full`.
                max_bytes: self.settings.bridge.max_event_bytes.0.max(2 * MAX_SIGNAL),
            },
            _ => Reading::Events(Arc::clone(&self.intake)),
        }
    }

    /// Runs until `stop` fires. Meanwhile it repairs exchanges, queues and bindings, and relays
    /// receipts and the audit log. Finishes and acknowledges a batch in hand first.
    pub async fn run(self, stop: CancellationToken) {
        let watch = amqp::watch(self.quarantine.clone(), self.health.clone(), "rabbitmq", |_| {});
        let _watch = AbortOnDropHandle::new(tokio::spawn(watch));
        let due = upshot_ledger::watch(self.queues.values().cloned().collect::<Vec<_>>());
        let _due = AbortOnDropHandle::new(tokio::spawn(due));
        let _trimming = AbortOnDropHandle::new(tokio::spawn(self.rows.clone().trim()));
        let (bridge, stopping) = (self.clone(), stop.clone());
        let former = async move { former::drain(&bridge, &stopping).await };
        let former = AbortOnDropHandle::new(tokio::spawn(former));
        let relay = AbortOnDropHandle::new(tokio::spawn(self.relay.clone().run(stop.clone())));
        let copier = AbortOnDropHandle::new(tokio::spawn(self.copier.clone().run(stop.clone())));
        tokio::join!(self.consume(INTAKE, &stop), self.consume(CONFIRMATIONS, &stop));
        // They finish what is in hand.
        let _ = tokio::join!(former, relay, copier);
    }

    /// Runs sessions on a queue, one after another.
    async fn consume(&self, queue: &'static str, stop: &CancellationToken) {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            match session::run(self, queue, stop).await {
                Ok(()) => return,
                Err(session::Ended { worked, why }) => {
                    if let Some(part) = session::part(queue) {
                        self.health.down(part, &why);
                    }
                    if worked {
                        backoff.reset();
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = backoff.wait() => {}
            }
        }
    }
}
