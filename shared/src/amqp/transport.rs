//! Connections to RabbitMQ that no message can end.
//!
//! | module | its one thing |
//! |---|---|
//! | [`stream`] | the stream that lapin reads: filtered, bounded, and cut from outside |
//! | [`frames`] | what RabbitMQ sends, cut into frames |
//! | [`header`], [`table`] | what of a message's properties a client cannot digest |
//! | [`kit`] | the runtime as lapin sees it |
//!
//! The socket is opened here and not by lapin, because lapin starts a thread for each attempt,
//! which lives on when the attempt is given up; and because between RabbitMQ and lapin stands
//! [`frames`]: what lapin could not parse is left out of a message, which says so in its header
//! [`HEADER_UNREADABLE`](super::HEADER_UNREADABLE).

mod frames;
mod header;
mod kit;
mod stream;
mod table;

use std::{
    io,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_rs::Runtime;
use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties,
    uri::{AMQPAuthority, AMQPUri},
};
use socket2::SockRef;
use tokio::{net::TcpStream, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    address::{Address, Target},
    tls,
};
use kit::Kit;
use stream::{Socket, Wire};

pub use stream::Budget;

/// How long a whole attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one of the addresses of a name may take.
const ADDRESS: Duration = Duration::from_secs(4);
/// How long a close in good order may take.
const CLOSE: Duration = Duration::from_secs(3);

/// An open connection. Dropping it cuts the connection, so that no thread waits for a peer
/// that is frozen; [`Link::close`] ends it in good order.
pub struct Link {
    connection: Connection,
    budget: Arc<Budget>,
    cut: CancellationToken,
    _cut: DropGuard,
}

impl Link {
    /// The bytes of messages that may be read ahead.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Cuts the connection: what was not sent yet is not sent any more, and all that waits for
    /// the broker fails.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Returns once the connection was cut.
    pub async fn was_cut(&self) {
        self.cut.cancelled().await;
    }

    /// Closes the connection: unacknowledged messages go back to their queue.
    pub async fn close(&self) {
        // A broker that is frozen does not say goodbye.
        let _ = timeout(CLOSE, self.connection.close(200, "done".into())).await;
    }
}

impl Deref for Link {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// Opens a connection that the broker shows under `name`, and that reads at most `ahead` bytes
/// of messages before they are given back to its [`Budget`]. There is no automatic recovery: the
/// caller notices the end and starts over, so that no delivery tag of an old connection is ever
/// used on a new one. An attempt that is given up leaves nothing behind.
///
/// # Errors
/// When RabbitMQ is away or refuses.
pub async fn connect(address: impl Into<Address>, name: &str, ahead: u64) -> Result<Link, lapin::Error> {
    let target = address.into().target().map_err(io::Error::other)?;
    let is_tls = target.tls.is_some();
    let patience = target.uri.query.connection_timeout.map_or(CONNECT, Duration::from_millis);
    match timeout(patience, open(target, name, ahead)).await {
        Ok(opened) if is_tls => opened.map_err(tls::refused),
        Ok(opened) => opened,
        Err(_) => {
            let said = format!("no answer within {}", humantime::format_duration(patience));
            Err(io::Error::new(io::ErrorKind::TimedOut, said).into())
        }
    }
}

async fn open(target: Target, name: &str, ahead: u64) -> Result<Link, lapin::Error> {
    let socket = socket(&target).await?;
    let budget = Arc::new(Budget::new(ahead));
    let cut = CancellationToken::new();
    // From here on: when this attempt is given up, the thread that lapin starts ends.
    let guard = cut.clone().drop_guard();
    let wire = Mutex::new(Some(Wire::new(socket, Arc::clone(&budget), cut.clone())));
    let connected = async move |_: AMQPUri, _: Runtime<Kit>| {
        let wire = wire.lock().unwrap_or_else(PoisonError::into_inner).take();
        // lapin asks a second time when RabbitMQ hangs up during the handshake.
        let ended = || io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was closed");
        wire.map(AsyncTcpStream::Plain).ok_or_else(|| ended().into())
    };
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connection =
        Connection::connector(target.uri, Runtime::new(Kit::current()), connected, properties).await?;
    Ok(Link { connection, budget, cut, _cut: guard })
}

/// Opens the socket: the first address of the name that answers.
pub(super) async fn socket(target: &Target) -> io::Result<Box<dyn Socket>> {
    let AMQPAuthority { host, port, .. } = &target.uri.authority;
    let (host, port) = (host.as_str(), *port);
    let mut why = io::Error::new(io::ErrorKind::NotFound, format!("`{host}` has no address"));
    for address in tokio::net::lookup_host((host, port)).await? {
        match timeout(ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                // What a cut connection has not delivered is dropped, not delivered later.
                SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
                return secured(target, stream).await;
            }
            Ok(Err(error)) => why = error,
            Err(_) => {
                let said = format!("{address} does not answer within {ADDRESS:?}");
                why = io::Error::new(io::ErrorKind::TimedOut, said);
            }
        }
    }
    Err(why)
}

/// Puts TLS around the socket where the address asks for it.
async fn secured(target: &Target, stream: TcpStream) -> io::Result<Box<dyn Socket>> {
    let AMQPAuthority { host, port, .. } = &target.uri.authority;
    match &target.tls {
        None => Ok(Box::new(stream)),
        Some(config) => Ok(Box::new(tls::handshake(config, host, *port, stream).await?)),
    }
}
