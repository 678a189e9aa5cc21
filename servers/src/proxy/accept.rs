//! The listening side of the proxy, and what its connections share.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Mode;
use super::cut::Rule;
use super::hold::{Armed, HeldReply, Matches};
use super::relay;
use crate::Error;

/// What the proxy and its connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub upstream: u16,
    next: AtomicU64,
    generation: Mutex<Generation>,
    armed: Mutex<Option<Armed>>,
    cuts: Mutex<Option<Rule>>,
}

/// The connections that the next cut closes.
#[derive(Debug, Default)]
struct Generation {
    cut: CancellationToken,
    open: TaskTracker,
}

impl Shared {
    pub(super) fn new(upstream: u16) -> Self {
        Self {
            upstream,
            next: AtomicU64::new(1),
            generation: Mutex::default(),
            armed: Mutex::default(),
            cuts: Mutex::default(),
        }
    }

    pub(super) fn connections(&self) -> usize {
        lock(&self.generation).open.len()
    }

    pub(super) async fn cut(&self) {
        let old = std::mem::take(&mut *lock(&self.generation));
        old.cut.cancel();
        old.open.close();
        old.open.wait().await;
    }

    /// Begins a cut without waiting for its end.
    pub(super) fn cancel(&self) {
        lock(&self.generation).cut.cancel();
    }

    pub(super) fn hold(&self, matches: Matches) -> HeldReply {
        let (armed, held) = Armed::new(matches);
        *lock(&self.armed) = Some(armed);
        held
    }

    /// Takes the hold if this piece is the one it waits for.
    pub(super) fn take_hold(&self, connection: u64, piece: &[u8]) -> Option<Armed> {
        if piece.is_empty() {
            return None;
        }
        let mut armed = lock(&self.armed);
        if armed.as_mut()?.matches(connection, piece) { armed.take() } else { None }
    }

    pub(super) fn cut_replies(&self, rule: Option<Rule>) {
        *lock(&self.cuts) = rule;
    }

    /// Remembers what a client asks, if a rule needs it.
    pub(super) fn note_request(&self, asked: &Mutex<Vec<u8>>, piece: &[u8]) {
        if lock(&self.cuts).is_some() {
            lock(asked).extend_from_slice(piece);
        }
    }

    /// After how many bytes of this piece the connection is to be cut.
    pub(super) fn cut_of_reply(&self, asked: &Mutex<Vec<u8>>, piece: &[u8]) -> Option<usize> {
        if piece.is_empty() {
            return None;
        }
        let request = std::mem::take(&mut *lock(asked));
        lock(&self.cuts).as_mut()?.cut_of(&request, piece)
    }

    fn serve(self: &Arc<Self>, client: TcpStream, mode: watch::Receiver<Mode>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let generation = lock(&self.generation);
        let (cut, shared) = (generation.cut.clone(), Arc::clone(self));
        generation.open.spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                ended = relay::run(client, &shared, number, mode) => {
                    tracing::trace!(connection = number, ?ended, "proxy connection ended");
                }
            }
        });
    }
}

/// Accepts connections as the mode says, for ever.
pub(super) async fn run(
    listener: TcpListener,
    port: u16,
    shared: Arc<Shared>,
    mut mode: watch::Receiver<Mode>,
    applied: watch::Sender<Mode>,
) {
    let mut listener = Some(listener);
    loop {
        let wanted = *mode.borrow_and_update();
        listener = match (listener, wanted) {
            (_, Mode::Refuse) => None,
            (Some(listener), _) => Some(listener),
            (None, _) => Some(listen_again(port).await),
        };
        applied.send_replace(wanted);
        loop {
            tokio::select! {
                biased;
                changed = mode.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
                accepted = accept(listener.as_ref()) => {
                    if let Ok((client, _)) = accepted {
                        shared.serve(client, mode.clone());
                    }
                }
            }
        }
    }
}

/// The listener for tokio, and its port.
pub(crate) fn to_tokio(listener: std::net::TcpListener) -> Result<(u16, TcpListener), Error> {
    let convert = || {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok((listener.local_addr()?.port(), listener))
    };
    convert().map_err(|source| Error::NoPort { from: 0, to: 0, source })
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, std::net::SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Listens on the port that was given up by a refusal. It lies outside the range of outgoing
/// connections, so other programs hardly ever take it.
async fn listen_again(port: u16) -> TcpListener {
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return listener,
            Err(error) => tracing::warn!(port, %error, "the proxy cannot listen again yet"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// A panic elsewhere leaves nothing half-written behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
