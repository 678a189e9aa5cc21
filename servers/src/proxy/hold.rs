//! Holding back one reply of a server, so that a test can act at that moment.

use std::collections::HashSet;
use std::fmt;

use tokio::sync::oneshot;

/// Decides from the connection's number and a piece of a reply.
pub(super) type Matches = Box<dyn FnMut(u64, &[u8]) -> bool + Send>;

/// The proxy's end of a hold.
pub(super) struct Armed {
    matches: Matches,
    reached: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

/// A hold on a server's reply. Dropping it lets the reply go.
#[derive(Debug)]
pub struct HeldReply {
    reached: oneshot::Receiver<()>,
    released: oneshot::Sender<()>,
}

impl HeldReply {
    /// Returns when the reply is held: the server has sent it, the client has
    /// not got it. To be awaited once; never returns if the hold was replaced.
    pub async fn reached(&mut self) {
        if (&mut self.reached).await.is_err() {
            std::future::pending().await
        }
    }

    /// Sends the reply on to the client.
    pub fn release(self) {
        // An error means that the connection has ended.
        let _ = self.released.send(());
    }
}

impl Armed {
    pub(super) fn new(matches: Matches) -> (Self, HeldReply) {
        let (reached, when_reached) = oneshot::channel();
        let (released, when_released) = oneshot::channel();
        (Self { matches, reached, released: when_released }, HeldReply { reached: when_reached, released })
    }

    pub(super) fn matches(&mut self, connection: u64, piece: &[u8]) -> bool {
        (self.matches)(connection, piece)
    }

    /// Reports that the reply is held and waits for its release.
    pub(super) async fn wait(self) {
        let _ = self.reached.send(());
        let _ = self.released.await;
    }
}

impl fmt::Debug for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Armed")
    }
}

/// Matches the reply with which an SMTP server takes over a mail: the first
/// `250` after the `354` that asks for its content (RFC 5321, 4.3.2).
pub fn smtp_acceptance() -> impl FnMut(u64, &[u8]) -> bool + Send + 'static {
    let mut receiving = HashSet::new();
    move |connection, reply| {
        if reply.starts_with(b"354") {
            receiving.insert(connection);
            return false;
        }
        receiving.remove(&connection) && reply.starts_with(b"250")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_reply_to_a_mails_content_matches() {
        let mut matches = smtp_acceptance();
        let said = ["220 hi", "250 HELP", "250 OK", "354 go", "250 OK", "250 OK"];
        let held: Vec<bool> = said.iter().map(|reply| matches(1, reply.as_bytes())).collect();
        assert_eq!(held, [false, false, false, false, true, false]);
    }

    #[test]
    fn connections_are_told_apart() {
        let mut matches = smtp_acceptance();
        assert!(!matches(1, b"354 go"));
        assert!(!matches(2, b"250 OK"), "the answer to another connection's RCPT");
        assert!(matches(1, b"250 OK"));
    }
}
