//! Relays one connection, in both directions, as the proxy's mode allows.

use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use super::Mode;
use super::accept::Shared;

/// Bytes read at once.
const PIECE: usize = 64 * 1024;

/// Relays until either side closes. The other side is then closed too, after
/// what was under way has been delivered.
pub(super) async fn run(
    client: TcpStream,
    shared: &Shared,
    connection: u64,
    mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.upstream)).await?;
    // A proxy must not add the delays that its ends took care to avoid.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let requests = copy(from_client, to_server, mode.clone(), None);
    let replies = copy(from_server, to_client, mode, Some((shared, connection)));
    tokio::try_join!(requests, replies).map(|_| ())
}

/// Relays one direction. `inspected` names the connection whose pieces may be held.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    inspected: Option<(&Shared, u64)>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let length = from.read(&mut buffer).await?;
        let piece = &buffer[..length];
        if let Some((shared, connection)) = inspected
            && let Some(hold) = shared.take_hold(connection, piece)
        {
            hold.wait().await;
        }
        // An end of stream is swallowed by a blackhole as any other piece is.
        if mode.wait_for(|mode| *mode != Mode::Blackhole).await.is_err() {
            return Ok(());
        }
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(piece).await?;
    }
}
