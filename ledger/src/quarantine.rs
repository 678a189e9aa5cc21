//! Rows about the messages in quarantine, and the bridge's book.
//!
//! | module | its one thing |
//! |---|---|
//! | [`identity`] | the id of a message, by its content |
//! | [`row`] | a row: what is known of a message, and its stored form |
//! | [`record`] | counts a message once and keeps a row; forgets rows beyond the bounds |
//! | [`list`] | pages of rows, the newest first, with filters |
//! | [`figures`] | the book, and its comparison with RabbitMQ's depth |
//! | [`error`] | why a call did not succeed |
//!
//! The message itself stays in RabbitMQ, in `upshot.quarantine`. The bridge records it between the
//! confirm of the quarantined copy and the acknowledgement of the original. So a message in
//! quarantine has a row, also after a crash: the original comes again, its id is the same, and the
//! book counts it once. Reading never consumes the queue.
//!
//! A row quotes its producer and may be personal. Therefore it holds no data of the event, and its
//! texts are short ([`row::MOST_DETAIL`]). A row is forgotten by age and by the bytes of all rows;
//! the counts in the book stay.

pub mod error;
pub mod figures;
pub mod identity;
pub mod list;
pub mod record;
pub mod row;

use upshot_queue::{Connection, Connector};

pub use error::Error;
pub use figures::{Balance, Figures, Reconciled};
pub use identity::MessageId;
pub use list::{BadCursor, Cursor, Filter, Page, Searched};
pub use record::{Bounds, Recorded};
pub use row::{Facts, Row};

use crate::keys::Keys;

/// The rows and the book, in Redis. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Quarantine {
    conn: Connection,
    keys: Keys,
}

impl Quarantine {
    /// The rows of an installation, on a connection of their own.
    ///
    /// # Errors
    /// When the options of Redis contradict each other.
    pub fn new(connector: &Connector) -> redis::RedisResult<Self> {
        Ok(Self::with_connection(connector.connect()?, connector.prefix()))
    }

    /// The same on a connection that is there.
    pub fn with_connection(conn: Connection, prefix: &str) -> Self {
        Self { conn, keys: Keys::new(prefix) }
    }

    /// A call of a script with all keys, in the order that `open.lua` expects.
    fn call<'a>(&self, script: &'a redis::Script) -> redis::ScriptInvocation<'a> {
        let keys = &self.keys;
        let mut call = script.key(keys.control());
        call.key(keys.book()).key(keys.quarantine()).key(keys.rows()).key(keys.notes());
        call.arg(crate::keys::SCHEMA);
        call
    }
}

/// The text of a script with what every script begins with. The macro keeps each file readable
/// alone.
macro_rules! script {
    ($flags:literal, $($file:literal),+) => {
        std::sync::LazyLock::new(|| redis::Script::new(concat!($flags, "\n", $(include_str!($file)),+)))
    };
}
use script;
