//! RabbitMQ: names, connections, publishing with confirms.

mod address;
mod greeting;
mod names;
mod publisher;
mod tls;
mod topology;
mod wire;

pub use address::{Address, Unusable};
pub use greeting::{Greeting, greeting};
pub use names::*;
pub use publisher::{PublishError, Publisher};
pub use topology::declare;

use std::{io, time::Duration};

use lapin::{Connection, ConnectionProperties};
use tokio_util::sync::CancellationToken;

/// How long a connection may take where the URL does not say (`?connection_timeout=` in ms).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a connection that the broker shows under `name`. An `amqps` address is
/// connected to over TLS or not at all.
///
/// There is no automatic recovery: the caller notices the end and starts over,
/// so that no delivery tag of an old connection is ever used on a new one. A
/// call that is dropped, or takes too long, closes its socket and ends its
/// thread, also while the broker is frozen.
///
/// # Errors
/// When the address cannot be used, or RabbitMQ is away or refuses.
pub async fn connect(address: impl Into<Address>, name: &str) -> Result<Connection, lapin::Error> {
    let target = address.into().target().map_err(io::Error::other)?;
    let patience = target.uri.query.connection_timeout.map_or(CONNECT_TIMEOUT, Duration::from_millis);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let given_up = CancellationToken::new();
    let giving_up = given_up.clone().drop_guard();
    let uri = target.uri.clone();
    let connecting = Connection::connector(
        uri,
        wire::runtime(),
        async move |_, _| Ok(wire::open(&target, given_up.clone()).await?),
        properties,
    );
    match tokio::time::timeout(patience, connecting).await {
        Ok(Ok(connection)) => {
            giving_up.disarm();
            Ok(connection)
        }
        Ok(Err(error)) => Err(tls::refused(error)),
        Err(_) => {
            let waited = humantime::format_duration(patience);
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {waited}")).into())
        }
    }
}
