//! The state of alarms in Redis, and the right of one process to change it.

use std::{sync::LazyLock, time::Duration};

use redis::Script;
use upshot_queue::{Connection, Error};

use super::State;
use crate::keys::Keys;

/// How long a process may change the state after its last call. A look with everything that it sends
/// is shorter.
const LEASE: Duration = Duration::from_secs(60);

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("alarms.lua")));

/// The state of alarms of an installation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    conn: Connection,
    keys: Keys,
}

/// The right to change the state, as one process has it.
#[derive(Clone, Debug)]
pub struct Holding {
    store: Store,
    process: String,
}

impl Store {
    /// The state on a connection that is there.
    pub fn with_connection(conn: Connection, prefix: &str) -> Self {
        Self { conn, keys: Keys::new(prefix) }
    }

    /// The state as it is, for people to read.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn read(&self) -> Result<State, Error> {
        let mut get = redis::cmd("HGET");
        get.arg(self.keys.alarms()).arg("state");
        let text: Option<String> = get.query_async(&mut self.conn.clone()).await?;
        Ok(text.as_deref().map(parsed).unwrap_or_default())
    }

    /// The right of a process, named without blanks, to change the state.
    pub fn holding(&self, process: String) -> Holding {
        Holding { store: self.clone(), process }
    }
}

impl Holding {
    /// The state, and the time of Redis (UTC ms); `None` while another process has the right.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn take(&self) -> Result<Option<(State, i64)>, Error> {
        let (has, now, text) = self.call("take", "").await?;
        Ok(has.then(|| (parsed(&text), now)))
    }

    /// Stores the state. Returns the time of Redis; `None` where another process has the right: then
    /// nothing is stored.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn put(&self, state: &State) -> Result<Option<i64>, Error> {
        // Texts and numbers always serialise.
        let text = serde_json::to_string(state).unwrap_or_default();
        let (has, now, _) = self.call("put", &text).await?;
        Ok(has.then_some(now))
    }

    /// Gives the right up, so that another process need not wait for its end.
    ///
    /// # Errors
    /// When Redis failed: the right then ends by itself.
    pub async fn release(&self) -> Result<(), Error> {
        self.call("release", "").await.map(drop)
    }

    async fn call(&self, what: &str, state: &str) -> Result<(bool, i64, String), Error> {
        let mut call = SCRIPT.key(self.store.keys.alarms());
        call.arg(what).arg(&self.process).arg(LEASE.as_millis() as u64).arg(state);
        let (has, now, text): (u8, i64, String) = call.invoke_async(&mut self.store.conn.clone()).await?;
        Ok((has == 1, now, text))
    }
}

/// The stored form. What another version wrote and this one cannot read counts as nothing: alarms
/// that are on are then told once more.
fn parsed(text: &str) -> State {
    if text.is_empty() {
        return State::default();
    }
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(%error, "the state of alarms cannot be read, and begins anew");
        State::default()
    })
}
