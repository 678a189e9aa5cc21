//! API tokens in Redis: made, looked up, rotated, revoked.

mod memory;
mod record;

use std::sync::LazyLock;

use redis::Script;
use upshot_queue::{Connection, Connector};

pub use record::{NewToken, Token};

pub(crate) use self::record::Record;

use self::memory::Memory;
use crate::{
    error::{Error, Refusal},
    keys::Keys,
    principal::Principal,
    token::{Credential, Hash},
};

/// API tokens at most. A list of them is one answer.
pub const MOST: usize = 1_000;
/// How old the time of the last use may be, ms. Otherwise each request would write.
const USED_MS: i64 = 60_000;
/// How often a change is tried again when another process changes the same token.
const TRIES: usize = 8;

static LOOK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("tokens/look.lua")));
static REPLACE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("tokens/replace.lua")));

/// The API tokens of an installation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tokens {
    conn: Connection,
    keys: Keys,
    memory: Memory,
}

impl Tokens {
    /// The tokens of an installation, on a connection of their own.
    ///
    /// # Errors
    /// When the options of Redis contradict each other.
    pub fn new(connector: &Connector) -> redis::RedisResult<Self> {
        Ok(Self::with_connection(connector.connect()?, connector.prefix()))
    }

    /// The same on a connection that is there.
    pub fn with_connection(conn: Connection, prefix: &str) -> Self {
        Self { conn, keys: Keys::new(prefix), memory: Memory::default() }
    }

    /// Makes a token. The credential is not stored, so this is the only time that it is known.
    ///
    /// # Errors
    /// When there are [`MOST`] already, or Redis failed.
    pub async fn create(&self, new: NewToken) -> Result<(Credential, Token), Error> {
        let credential = Credential::new();
        let (_, _, now) = self.look(credential.id()).await?;
        let record = Record::new(new, credential.hash(), now);
        if !self.replace(credential.id(), None, Some(&record)).await? {
            return Err(Error::Full(MOST));
        }
        let token = record.token(credential.id(), None);
        Ok((credential, token))
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// When Redis failed, or a token is damaged.
    pub async fn list(&self) -> Result<Vec<Token>, Error> {
        let mut conn = self.conn.clone();
        let stored: Vec<(String, String)> =
            redis::cmd("HGETALL").arg(self.keys.tokens()).query_async(&mut conn).await?;
        let used: std::collections::HashMap<String, i64> =
            redis::cmd("HGETALL").arg(self.keys.used()).query_async(&mut conn).await?;
        let token = |(id, text): (String, String)| Ok(self.read(&text)?.token(&id, used.get(&id).copied()));
        let mut tokens = stored.into_iter().map(token).collect::<Result<Vec<Token>, Error>>()?;
        tokens.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(tokens)
    }

    /// A token, by its id.
    ///
    /// # Errors
    /// When there is none, Redis failed, or the token is damaged.
    pub async fn find(&self, id: &str) -> Result<Token, Error> {
        let (stored, used, _) = self.look(id).await?;
        let stored = stored.ok_or_else(|| Error::UnknownToken(id.to_owned()))?;
        Ok(self.read(&stored)?.token(id, used))
    }

    /// Gives a token another secret. The old one is taken for `overlap_ms` more.
    ///
    /// # Errors
    /// When there is no such token, or Redis failed.
    pub async fn rotate(&self, id: &str, overlap_ms: i64) -> Result<(Credential, Token), Error> {
        for _ in 0..TRIES {
            let (stored, used, now) = self.look(id).await?;
            let stored = stored.ok_or_else(|| Error::UnknownToken(id.to_owned()))?;
            let credential = Credential::renewed(id);
            let record = self.read(&stored)?.rotated(credential.hash(), now, overlap_ms);
            if self.replace(id, Some(&stored), Some(&record)).await? {
                return Ok((credential, record.token(id, used)));
            }
        }
        Err(Error::Contended)
    }

    /// Ends a token at once, and returns what it was.
    ///
    /// # Errors
    /// When there is no such token, or Redis failed.
    pub async fn revoke(&self, id: &str) -> Result<Token, Error> {
        for _ in 0..TRIES {
            let (stored, used, _) = self.look(id).await?;
            let stored = stored.ok_or_else(|| Error::UnknownToken(id.to_owned()))?;
            let record = self.read(&stored)?;
            if self.replace(id, Some(&stored), None).await? {
                self.memory.forget(id);
                return Ok(record.token(id, used));
            }
        }
        Err(Error::Contended)
    }

    /// The principal that a token stands for.
    ///
    /// # Errors
    /// When the token is refused, or Redis failed.
    pub async fn identify(&self, credential: &Credential) -> Result<Principal, Error> {
        self.identify_by(credential.id(), &credential.hash()).await
    }

    /// The same by the hash of the secret.
    ///
    /// # Errors
    /// Those of [`Self::identify`].
    pub async fn identify_by(&self, id: &str, given: &Hash) -> Result<Principal, Error> {
        let (stored, used, now) = self.look(id).await?;
        let checked = match stored {
            Some(stored) => self.read(&stored)?.check(id, given, now),
            None => Err(Refusal::Unknown),
        };
        let principal = checked.inspect_err(|_| self.memory.forget_secret(id, given))?;
        if used.is_none_or(|used| now - used >= USED_MS) {
            let mut conn = self.conn.clone();
            let () = redis::cmd("HSET").arg(self.keys.used()).arg(id).arg(now).query_async(&mut conn).await?;
        }
        self.memory.remember(id, given, &principal);
        Ok(principal)
    }

    /// The principal of a token that this process identified some minutes ago at most. For publishing
    /// while Redis does not answer: the event itself goes to RabbitMQ.
    pub fn remembered(&self, credential: &Credential) -> Option<Principal> {
        self.memory.principal(credential.id(), &credential.hash())
    }

    /// Whether there is a token with every right on every job, that has not expired.
    ///
    /// # Errors
    /// When Redis failed, or a token is damaged.
    pub async fn has_administrator(&self) -> Result<bool, Error> {
        let (_, _, now) = self.look("").await?;
        let is_administrator = |token: &Token| {
            token.rights() == crate::Rights::all()
                && token.scope.is_everything()
                && token.expires_at.is_none_or(|at| at > now)
        };
        Ok(self.list().await?.iter().any(is_administrator))
    }

    /// The stored token, when it was last used, and Redis' clock.
    async fn look(&self, id: &str) -> Result<(Option<String>, Option<i64>, i64), Error> {
        let mut call = LOOK.key(self.keys.tokens());
        Ok(call.key(self.keys.used()).arg(id).invoke_async(&mut self.conn.clone()).await?)
    }

    /// Puts a token in the place of another, if that one is still there.
    async fn replace(&self, id: &str, old: Option<&str>, new: Option<&Record>) -> Result<bool, Error> {
        let new = new.map(Record::text).unwrap_or_default();
        let mut call = REPLACE.key(self.keys.tokens());
        call.key(self.keys.used()).arg(id).arg(old.unwrap_or_default()).arg(new).arg(MOST);
        Ok(call.invoke_async(&mut self.conn.clone()).await?)
    }

    fn read(&self, text: &str) -> Result<Record, Error> {
        serde_json::from_str(text).map_err(|why| Error::Damaged { key: self.keys.tokens(), why })
    }
}
