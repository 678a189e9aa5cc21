//! Values that are taken once: one-time administrator tokens, tickets of streams, logins under way.

use serde::{Serialize, de::DeserializeOwned};
use upshot_queue::{Connection, Connector};

use crate::{error::Error, keys::Keys, secret::Secret, token::Hash};

/// What a one-time administrator token begins with.
const FIRST: &str = "upb_";

/// What a value is for. A secret of one kind opens no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The one-time administrator token.
    First,
    /// A ticket for one address.
    Ticket,
    /// A login with OpenID Connect under way, by its state.
    Login,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Ticket => "ticket",
            Self::Login => "login",
        }
    }
}

/// The values of an installation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Once {
    conn: Connection,
    keys: Keys,
}

impl Once {
    /// The values of an installation, on a connection of their own.
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

    /// Keeps a value for some time, and returns the secret that takes it.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn put<T: Serialize>(&self, kind: Kind, value: &T, ttl_ms: u64) -> Result<Secret, Error> {
        let secret = Secret::new();
        // The values are strings, numbers and lists, which always serialise.
        let text = serde_json::to_string(value).unwrap_or_default();
        let mut conn = self.conn.clone();
        let mut call = redis::cmd("SET");
        call.arg(self.key(kind, &secret)).arg(text).arg("PX").arg(ttl_ms);
        let () = call.query_async(&mut conn).await?;
        Ok(secret)
    }

    /// Takes a value. The second call with the same secret finds none.
    ///
    /// # Errors
    /// When Redis failed, or the value is damaged.
    pub async fn take<T: DeserializeOwned>(&self, kind: Kind, secret: &Secret) -> Result<Option<T>, Error> {
        let key = self.key(kind, secret);
        let text: Option<String> = redis::cmd("GETDEL").arg(&key).query_async(&mut self.conn.clone()).await?;
        let read = |text: String| serde_json::from_str(&text).map_err(|why| Error::Damaged { key, why });
        text.map(read).transpose()
    }

    /// Makes the one-time administrator token; `None` if another process has made one that may still be
    /// used.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn make_first(&self, ttl_ms: u64) -> Result<Option<FirstToken>, Error> {
        let mut conn = self.conn.clone();
        let mut call = redis::cmd("SET");
        call.arg(self.keys.first()).arg(1).arg("NX").arg("PX").arg(ttl_ms);
        let is_first: Option<String> = call.query_async(&mut conn).await?;
        if is_first.is_none() {
            return Ok(None);
        }
        Ok(Some(FirstToken(self.put(Kind::First, &(), ttl_ms).await?)))
    }

    /// Takes the one-time administrator token. Returns whether it was in force.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn take_first(&self, token: &FirstToken) -> Result<bool, Error> {
        Ok(self.take::<()>(Kind::First, &token.0).await?.is_some())
    }

    fn key(&self, kind: Kind, secret: &Secret) -> String {
        self.keys.once(Hash::of(&format!("{}|{}", kind.as_str(), secret.expose())).as_str())
    }
}

/// The one-time administrator token: `upb_<secret>`.
#[derive(Clone, Debug)]
pub struct FirstToken(Secret);

impl FirstToken {
    /// Reads a token; `None` when the text has another form.
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix(FIRST).and_then(Secret::parse).map(Self)
    }

    /// The whole text, to be shown once.
    pub fn expose(&self) -> String {
        format!("{FIRST}{}", self.0.expose())
    }
}
