//! From the names of the settings to an open connection.
//!
//! The kernel of a frozen node still accepts connections. So each address has a time limit for TCP,
//! TLS and login together, and then the next address is tried. After a lost connection, the next
//! one goes to the next host.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_rs::Runtime;
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, uri::AMQPUri};
use socket2::SockRef;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        address::{Address, Host, Target},
        tls,
    },
    Link,
    kit::Kit,
    stream::{Budget, Socket, Wire},
};

/// How long the last address may take, unless the URL says so.
const LAST: Duration = Duration::from_secs(10);
/// How long an address may take if another one follows, and how long the lookup of a name may take.
const EACH: Duration = Duration::from_secs(4);

/// Opens a connection that the broker shows under `name`, and that reads at most `ahead` bytes of
/// messages before they are given back to its [`Budget`]. There is no automatic recovery. The
/// caller notices the end and starts again, so a delivery tag of an old connection is never used on
/// a new one. An attempt that is given up leaves nothing behind.
///
/// # Errors
/// When no node of RabbitMQ answers, or every node refuses. The error has the answer of each node.
pub async fn connect(address: impl Into<Address>, name: &str, ahead: u64) -> Result<Link, lapin::Error> {
    let address = address.into();
    let target = address.target().map_err(io::Error::other)?;
    let on = &target;
    let open = |host: Host, socket| async move {
        let opened = open(on, &host, socket, name, ahead).await;
        if on.tls.is_some() { opened.map_err(tls::refused) } else { opened }
    };
    let start = address.first_host();
    match first(&target, start, open).await {
        Ok((place, link)) => {
            address.used_host(place);
            Ok(link)
        }
        Err(error) => {
            // Each host is the last one at some time, and the last one may take longest.
            address.used_host(start);
            Err(error)
        }
    }
}

/// The socket of the first address that answers.
pub(in crate::amqp) async fn first_socket(address: &Address) -> io::Result<Box<dyn Socket>> {
    let target = address.target().map_err(io::Error::other)?;
    let on = &target;
    let open = |host: Host, socket| async move { Ok(connected(on, &host, socket).await?) };
    let opened = first(&target, address.first_host(), open).await;
    opened.map(|(_, socket)| socket).map_err(io::Error::other)
}

/// The result of the first address that works, and the position of its host. Hosts are tried in
/// turn from `start`.
async fn first<T, F: Future<Output = Result<T, lapin::Error>>>(
    target: &Target,
    start: usize,
    open: impl Fn(Host, SocketAddr) -> F,
) -> Result<(usize, T), lapin::Error> {
    let said = target.uri.query.connection_timeout.map(Duration::from_millis);
    let last = said.unwrap_or(LAST);
    let mut failed: Vec<(String, lapin::Error)> = Vec::new();
    let hosts = target.hosts.len();
    for turn in 0..hosts {
        let place = (start + turn) % hosts;
        let Some(host) = target.hosts.get(place) else { continue };
        let found = match timeout(EACH, lookup_host((host.name.as_str(), host.port))).await {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(error)) => {
                failed.push((host.to_string(), error.into()));
                continue;
            }
            Err(_) => {
                failed.push((host.to_string(), late("its name is not resolved", EACH)));
                continue;
            }
        };
        let addresses: Vec<SocketAddr> = found;
        for (n, socket) in addresses.iter().enumerate() {
            let is_last = turn + 1 == hosts && n + 1 == addresses.len();
            let patience = if is_last { last } else { said.unwrap_or(EACH) };
            match timeout(patience, open(host.clone(), *socket)).await {
                Ok(Ok(opened)) => return Ok((place, opened)),
                Ok(Err(error)) => failed.push((socket.to_string(), error)),
                Err(_) => failed.push((socket.to_string(), late("no answer", patience))),
            }
        }
    }
    match (failed.pop(), failed.is_empty()) {
        (Some((_, alone)), true) => Err(alone),
        (Some(last), false) => {
            failed.push(last);
            let said: Vec<String> = failed.iter().map(|(at, why)| format!("{at}: {why}")).collect();
            Err(io::Error::new(io::ErrorKind::NotConnected, said.join("; ")).into())
        }
        (None, _) => Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address").into()),
    }
}

fn late(what: &str, patience: Duration) -> lapin::Error {
    let said = format!("{what} within {}", humantime::format_duration(patience));
    io::Error::new(io::ErrorKind::TimedOut, said).into()
}

async fn open(
    target: &Target,
    host: &Host,
    socket: SocketAddr,
    name: &str,
    ahead: u64,
) -> Result<Link, lapin::Error> {
    let socket = connected(target, host, socket).await?;
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
        Connection::connector(target.uri.clone(), Runtime::new(Kit::current()), connected, properties)
            .await?;
    Ok(Link { connection, budget, cut, _cut: guard })
}

/// The socket to one address, with TLS if the settings ask for it.
async fn connected(target: &Target, host: &Host, socket: SocketAddr) -> io::Result<Box<dyn Socket>> {
    let stream = match timeout(EACH, TcpStream::connect(socket)).await {
        Ok(connected) => connected?,
        Err(_) => {
            let said = format!("{socket} does not answer within {EACH:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, said));
        }
    };
    stream.set_nodelay(true)?;
    // A cut connection drops undelivered data instead of delivering it later.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    match &target.tls {
        None => Ok(Box::new(stream)),
        Some(config) => Ok(Box::new(tls::handshake(config, &host.name, host.port, stream).await?)),
    }
}
