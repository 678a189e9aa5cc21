//! A listener that writes down what clients send, for tests of what travels in plain text.
//!
//! ```no_run
//! # async fn example() -> Result<(), upshot_servers::Error> {
//! use upshot_servers::Wiretap;
//! let tap = Wiretap::start(b"", |_| None).await?;
//! // … a client connects to tap.port() …
//! let first = tap.heard().await;
//! assert_eq!(&first[..2], b"\x16\x03"); // a handshake of TLS
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::Error;
use crate::ports;
use crate::proxy::to_tokio;

/// A running listener. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Wiretap {
    port: u16,
    heard: watch::Receiver<Vec<u8>>,
    _accepting: AbortOnDropHandle<()>,
}

/// What is said after this much was heard on a connection; `None` closes it.
type Answer = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

impl Wiretap {
    /// Listens on a free port of 127.0.0.1. Each connection is greeted, and each
    /// piece that a client sends is answered: `answer` gets the piece.
    ///
    /// # Errors
    /// [`Error::NoPort`] when no port is free.
    pub async fn start(
        greeting: &'static [u8],
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let (port, listener) = to_tokio(ports::listen_anywhere()?)?;
        let (hearing, heard) = watch::channel(Vec::new());
        let answer: Arc<Answer> = Arc::new(answer);
        let accepting = async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(listen(stream, greeting, hearing.clone(), Arc::clone(&answer)));
            }
        };
        Ok(Self { port, heard, _accepting: AbortOnDropHandle::new(tokio::spawn(accepting)) })
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until something was heard, and returns all of it, of all connections.
    pub async fn heard(&self) -> Vec<u8> {
        let mut heard = self.heard.clone();
        // The sender lives in the accepting task, which ends with this.
        let _ = heard.wait_for(|heard| !heard.is_empty()).await;
        self.so_far()
    }

    /// What was heard so far, of all connections.
    pub fn so_far(&self) -> Vec<u8> {
        self.heard.borrow().clone()
    }
}

async fn listen(
    mut stream: TcpStream,
    greeting: &'static [u8],
    hearing: watch::Sender<Vec<u8>>,
    answer: Arc<Answer>,
) {
    let mut piece = vec![0; 64 * 1024];
    if stream.write_all(greeting).await.is_err() {
        return;
    }
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        let Some(said) = piece.get(..length) else { return };
        hearing.send_modify(|heard| heard.extend_from_slice(said));
        let Some(answer) = answer(said) else { return };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}
