//! Connections to RabbitMQ that no message can end.
//!
//! | module | its one thing |
//! |---|---|
//! | [`connect`](mod@connect) | from a name, or several, to an open connection |
//! | [`stream`] | the stream that lapin reads: filtered, bounded, and cut from outside |
//! | [`frames`] | cuts the stream from RabbitMQ into frames |
//! | [`header`], [`table`] | finds properties of a message that a client cannot parse |
//! | [`kit`] | the runtime as lapin sees it |
//!
//! This module opens the socket instead of lapin, for two reasons. lapin starts a thread for each
//! attempt, and the thread survives an attempt that is given up. And [`frames`] filters the stream
//! between RabbitMQ and lapin: it leaves out of a message what lapin could not parse, and adds the
//! header [`HEADER_UNREADABLE`](super::HEADER_UNREADABLE).

mod connect;
mod frames;
mod header;
mod kit;
mod stream;
mod table;

use std::{ops::Deref, sync::Arc, time::Duration};

use lapin::Connection;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use connect::connect;
pub(super) use connect::first_socket;
pub use stream::Budget;

/// How long an orderly close may take.
const CLOSE: Duration = Duration::from_secs(3);

/// An open connection. Dropping it cuts the connection, so that no thread waits for a frozen peer;
/// [`Link::close`] closes it in order.
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

    /// Cuts the connection. Unsent data is dropped, and every wait for the broker fails.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Returns once the connection was cut.
    pub async fn was_cut(&self) {
        self.cut.cancelled().await;
    }

    /// Closes the connection: unacknowledged messages go back to their queue.
    pub async fn close(&self) {
        // A frozen broker does not answer a close.
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
