//! Relays one connection, in both directions, as the proxy's mode allows.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Mutex;

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
    let asked = Mutex::default();
    let inspected = |direction| Inspected { direction, connection, shared, asked: &asked };
    let requests = copy(from_client, to_server, mode.clone(), inspected(Direction::Request));
    let replies = copy(from_server, to_client, mode, inspected(Direction::Reply));
    tokio::try_join!(requests, replies).map(|_| ())
}

/// Which way pieces go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}

/// What is known of a connection whose pieces may be held or cut.
struct Inspected<'a> {
    direction: Direction,
    connection: u64,
    shared: &'a Shared,
    /// What the client has sent since the last reply.
    asked: &'a Mutex<Vec<u8>>,
}

/// Relays one direction.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    inspected: Inspected<'_>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let length = from.read(&mut buffer).await?;
        let piece = &buffer[..length];
        let cut = match inspected.direction {
            Direction::Request => {
                inspected.shared.note_request(inspected.asked, piece);
                None
            }
            Direction::Reply => {
                if let Some(hold) = inspected.shared.take_hold(inspected.connection, piece) {
                    hold.wait().await;
                }
                inspected.shared.cut_of_reply(inspected.asked, piece)
            }
        };
        // An end of stream is swallowed by a blackhole as any other piece is.
        if mode.wait_for(|mode| *mode != Mode::Blackhole).await.is_err() {
            return Ok(());
        }
        if length == 0 {
            return to.shutdown().await;
        }
        if let Some(kept) = cut {
            to.write_all(piece.get(..kept).unwrap_or(piece)).await?;
            to.shutdown().await?;
            // Ends the other direction as well.
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        to.write_all(piece).await?;
    }
}
