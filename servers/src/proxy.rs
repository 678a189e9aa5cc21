//! A TCP proxy in front of a server, for tests of what happens when a connection fails.
//!
//! It listens on a free port of 127.0.0.1 and can cut every connection, refuse
//! new ones, swallow what is sent (a network that has silently gone), heal, cut a
//! connection in the middle of a reply, and hold back one particular reply of the server:
//!
//! ```no_run
//! # async fn example(mail: &upshot_servers::MailServer) -> Result<(), upshot_servers::Error> {
//! use upshot_servers::{Proxy, proxy};
//! let proxy = Proxy::start(mail.port()).await?;
//! let mut hold = proxy.hold_reply(proxy::smtp_acceptance());
//! // … an executor sends a mail through proxy.port() …
//! hold.reached().await; // the server has the mail, the executor does not know
//! // … kill the executor …
//! hold.release();
//! # Ok(())
//! # }
//! ```

mod accept;
mod cut;
mod hold;
mod relay;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::Error;
use crate::ports;
use accept::Shared;
pub(crate) use accept::to_tokio;
use cut::Rule;
pub use hold::{HeldReply, smtp_acceptance};

/// What the proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Accepts and relays.
    Relay,
    /// Does not listen: the system refuses new connections. Existing connections continue.
    Refuse,
    /// Accepts and relays nothing, in either direction.
    Blackhole,
}

/// A running proxy. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    wanted: watch::Sender<Mode>,
    /// The mode that the listening side has taken up.
    applied: watch::Receiver<Mode>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Starts a proxy in front of the server at 127.0.0.1:`upstream`.
    ///
    /// # Errors
    /// [`Error::NoPort`] when no port is free.
    pub async fn start(upstream: u16) -> Result<Self, Error> {
        let listener = ports::listen_anywhere()?;
        let (port, listener) = to_tokio(listener)?;
        let (wanted, mode) = watch::channel(Mode::Relay);
        let (applied_by, applied) = watch::channel(Mode::Relay);
        let shared = Arc::new(Shared::new(upstream));
        let accepting = accept::run(listener, port, Arc::clone(&shared), mode, applied_by);
        let _accepting = AbortOnDropHandle::new(tokio::spawn(accepting));
        Ok(Self { port, shared, wanted, applied, _accepting })
    }

    /// Where to connect to on 127.0.0.1 instead of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// Closes every connection and returns when they are closed. New ones are
    /// accepted as before: follow [`Proxy::refuse`] with this to keep clients away.
    pub async fn cut(&self) {
        self.shared.cut().await;
    }

    /// Stops listening, so that new connections are refused; existing ones continue.
    pub async fn refuse(&self) {
        self.set(Mode::Refuse).await;
    }

    /// Stops relaying without closing anything. New connections are accepted, and stay silent.
    pub async fn blackhole(&self) {
        self.set(Mode::Blackhole).await;
    }

    /// Listens and relays again; what was held up by a blackhole arrives late.
    pub async fn heal(&self) {
        self.set(Mode::Relay).await;
    }

    /// Holds back the first piece of a server's reply for which `matches` says
    /// yes, and everything after it on that connection, until the hold is
    /// released or dropped. `matches` gets a number that names the connection
    /// and the bytes as they arrived: a short reply comes in one piece.
    ///
    /// A second hold replaces the first, which then never matches.
    pub fn hold_reply(&self, matches: impl FnMut(u64, &[u8]) -> bool + Send + 'static) -> HeldReply {
        self.shared.hold(Box::new(matches))
    }

    /// Cuts connections in the middle of replies: `rule` is asked about each piece of a
    /// reply, and says after how many of its bytes the connection is closed; `None` lets
    /// it through. It gets what the client has sent since the last reply, and the piece;
    /// a short reply comes in one. The server has done what it was asked by then.
    ///
    /// It stays until another takes its place, or [`Proxy::cut_no_replies`].
    pub fn cut_replies(&self, rule: impl FnMut(&[u8], &[u8]) -> Option<usize> + Send + 'static) {
        self.shared.cut_replies(Some(Rule::new(rule)));
    }

    /// Lets every reply through again.
    pub fn cut_no_replies(&self) {
        self.shared.cut_replies(None);
    }

    async fn set(&self, mode: Mode) {
        // The receiver lives in the accepting task, which ends with the proxy only.
        let _ = self.wanted.send(mode);
        let mut applied = self.applied.clone();
        let _ = applied.wait_for(|now| *now == mode).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.cancel();
    }
}
