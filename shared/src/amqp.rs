//! RabbitMQ: names, connections, publishing with confirms.

mod names;
mod publisher;
mod topology;

pub use names::*;
pub use publisher::{PublishError, Publisher};
pub use topology::declare;

use lapin::{Connection, ConnectionProperties};

/// Opens a connection that the broker shows under `name`. There is no automatic
/// recovery: who uses it notices the end and starts over, so that no delivery
/// tag of an old connection is ever used on a new one.
///
/// # Errors
/// When RabbitMQ is away or refuses.
pub async fn connect(url: &str, name: &str) -> Result<Connection, lapin::Error> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connecting = Connection::connect(url, properties);
    match tokio::time::timeout(std::time::Duration::from_secs(10), connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer within 10 s").into()),
    }
}
