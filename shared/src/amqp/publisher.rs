//! Publishing with confirms: it returns when the broker has the message.

use std::{sync::Arc, time::Duration};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::sync::Mutex;

use super::Address;

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// RabbitMQ is away, or did not confirm in time. The message may have
    /// arrived all the same: publishing it again under the same id is safe.
    #[error("RabbitMQ did not confirm: {0}; publish the same event again later")]
    Unavailable(String),
    /// The broker took it and had no queue for it.
    #[error("no queue is bound for it: start `upshot bridge` once, it declares exchange and queue")]
    Unroutable,
    /// The broker refused it.
    #[error("RabbitMQ refused the message (negative confirm): a queue is full or not available")]
    Refused,
}

struct Link {
    connection: Connection,
    channel: Channel,
}

/// Publishes messages. Connects at first use and again after every loss.
/// Cheap to clone; clones share a connection.
#[derive(Clone)]
pub struct Publisher {
    address: Address,
    name: Arc<str>,
    declare: bool,
    confirm_timeout: Duration,
    link: Arc<Mutex<Option<Arc<Link>>>>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Publisher {
    /// A publisher; `declare` makes it declare Upshot's topology on each
    /// connection, for which it needs the permission to configure.
    pub fn new(address: impl Into<Address>, name: &str, declare: bool) -> Self {
        Self {
            address: address.into(),
            name: name.into(),
            declare,
            confirm_timeout: Duration::from_secs(10),
            link: Arc::default(),
        }
    }

    async fn link(&self) -> Result<Arc<Link>, lapin::Error> {
        let mut link = self.link.lock().await;
        if let Some(link) = link.as_ref().filter(|link| link.channel.status().connected()) {
            return Ok(Arc::clone(link));
        }
        let connection = super::connect(&self.address, &self.name).await?;
        let channel = connection.create_channel().await?;
        if self.declare {
            super::declare(&channel).await?;
        }
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let fresh = Arc::new(Link { connection, channel });
        *link = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Connects now, so that a caller can tell early whether RabbitMQ is there.
    ///
    /// # Errors
    /// When it is not.
    pub async fn check(&self) -> Result<(), PublishError> {
        let in_time = tokio::time::timeout(self.confirm_timeout, self.link()).await;
        let link = in_time.map_err(|_| self.silent())?;
        link.map(drop).map_err(|error| PublishError::Unavailable(error.to_string()))
    }

    /// Publishes one persistent message and waits for the confirm. With
    /// `mandatory`, a message for which no queue is bound is an error.
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
        let unavailable = |error: lapin::Error| PublishError::Unavailable(error.to_string());
        let in_time = tokio::time::timeout(self.confirm_timeout, self.link()).await;
        let link = in_time.map_err(|_| self.silent())?.map_err(unavailable)?;
        let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
        let persistent = properties.with_delivery_mode(2);
        let confirm = async {
            link.channel
                .basic_publish(exchange.into(), routing_key.into(), options, body, persistent)
                .await?
                .await
        };
        match tokio::time::timeout(self.confirm_timeout, confirm).await {
            Ok(Ok(Confirmation::Ack(None))) => Ok(()),
            Ok(Ok(Confirmation::Ack(Some(_)))) => Err(PublishError::Unroutable),
            Ok(Ok(Confirmation::Nack(_))) => Err(PublishError::Refused),
            Ok(Ok(Confirmation::NotRequested)) => {
                Err(PublishError::Unavailable("confirms are not on".to_owned()))
            }
            Ok(Err(error)) => {
                self.drop_link(&link).await;
                Err(unavailable(error))
            }
            Err(_) => {
                self.drop_link(&link).await;
                Err(self.silent())
            }
        }
    }

    fn silent(&self) -> PublishError {
        PublishError::Unavailable(format!("no answer within {:?}", self.confirm_timeout))
    }

    /// Forgets a connection that failed; the next call makes a new one.
    async fn drop_link(&self, failed: &Arc<Link>) {
        let mut link = self.link.lock().await;
        if link.as_ref().is_some_and(|link| Arc::ptr_eq(link, failed)) {
            *link = None;
        }
    }

    /// Closes the connection in good order.
    pub async fn close(&self) {
        if let Some(link) = self.link.lock().await.take() {
            let closing = link.connection.close(200, "done".into());
            let _ = tokio::time::timeout(Duration::from_secs(3), closing).await;
        }
    }
}
