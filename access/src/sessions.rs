//! Sessions of browsers in Redis: begun at a login, identified at each request, ended.
//!
//! The id of a session is a secret that the server makes. A session that begins with an API token or a
//! capability link ends with it.

mod record;

use std::sync::LazyLock;

use redis::Script;
use upshot_queue::{Connection, Connector};

pub use record::{Lengths, Login, Session};

use self::record::{Looked, Record, person, power};
use crate::{
    error::{Error, Refusal},
    keys::Keys,
    principal::{Identity, Principal},
    secret::Secret,
    token::Hash,
};

/// Sessions and devices of a person at most. A login beyond it ends others.
pub const MOST: usize = 100;

macro_rules! script {
    ($name:ident, $file:literal) => {
        static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!($file)));
    };
}

script!(LOOK, "sessions/look.lua");
script!(RENEW, "sessions/renew.lua");
script!(BEGIN, "sessions/begin.lua");
script!(ATTACH, "sessions/attach.lua");
script!(END, "sessions/end.lua");
script!(END_ALL, "sessions/end_all.lua");

/// The sessions of an installation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sessions {
    conn: Connection,
    keys: Keys,
    lengths: Lengths,
}

impl Sessions {
    /// The sessions of an installation, on a connection of their own.
    ///
    /// # Errors
    /// When the options of Redis contradict each other.
    pub fn new(connector: &Connector, lengths: Lengths) -> redis::RedisResult<Self> {
        Ok(Self::with_connection(connector.connect()?, connector.prefix(), lengths))
    }

    /// The same on a connection that is there.
    pub fn with_connection(conn: Connection, prefix: &str, lengths: Lengths) -> Self {
        Self { conn, keys: Keys::new(prefix), lengths }
    }

    /// Begins a session under a new id. Ends the other sessions of the same person, and the tokens that
    /// its devices got, if they stand for another role or scope.
    ///
    /// # Errors
    /// When Redis failed, or the principal has expired.
    pub async fn begin(&self, login: Login) -> Result<(Secret, Session), Error> {
        let mut conn = self.conn.clone();
        let now = self.now().await?;
        let id = Secret::new();
        let hash = id.hash();
        let record = Record::new(login, now, &self.lengths);
        let ttl = record.ttl(now, &self.lengths).ok_or(Refusal::Expired)?;
        let person = person(&record.principal().identity).unwrap_or_default();
        let mut call = BEGIN.key(self.keys.session(hash.as_str()));
        call.key(self.keys.tokens()).key(self.keys.used()).key(self.keys.person(&person));
        call.arg(record.text()).arg(record.token()).arg(record.link()).arg(&person).arg(ttl);
        call.arg(power(record.principal())).arg(hash.as_str()).arg(record.until()).arg(now);
        call.arg(MOST).arg(self.keys.sessions());
        let is_new: bool = call.invoke_async(&mut conn).await?;
        if !is_new {
            return Err(Error::Contended);
        }
        Ok((id, record.session()))
    }

    /// The session with this id, with the rights that its principal has at this moment.
    ///
    /// # Errors
    /// When there is no such session, what it began with has ended, or Redis failed.
    pub async fn identify(&self, id: &Secret) -> Result<Session, Error> {
        self.identify_by(&id.hash()).await
    }

    /// The same by the hash of the id.
    ///
    /// # Errors
    /// Those of [`Self::identify`].
    pub async fn identify_by(&self, hash: &Hash) -> Result<Session, Error> {
        let key = self.keys.session(hash.as_str());
        let mut call = LOOK.key(&key);
        call.key(self.keys.tokens()).key(self.keys.key()).key(self.keys.revoked());
        let mut conn = self.conn.clone();
        let looked: Looked = call.invoke_async(&mut conn).await?;
        let (session, expires, now) = Record::check(looked, &self.keys)?;
        if let Some(longer) = self.lengths.renewal(expires - now, now, session.until) {
            let mut call = RENEW.key(&key);
            // The session is in force all the same if this fails, as with a Redis whose disk is full.
            let _: redis::RedisResult<bool> =
                call.arg(longer).arg(now.saturating_add(longer)).invoke_async(&mut conn).await;
        }
        Ok(session)
    }

    /// Lets an API token end with the sessions of a person. Returns whether any session with the same
    /// rights and scope is left.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn attach(&self, principal: &Principal, token: &str, until: i64) -> Result<bool, Error> {
        let Some(person) = person(&principal.identity) else { return Ok(false) };
        let mut call = ATTACH.key(self.keys.person(&person));
        call.arg(token).arg(until).arg(power(principal)).arg(self.now().await?);
        Ok(call.invoke_async(&mut self.conn.clone()).await?)
    }

    /// Ends a session. Returns whether there was one.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn end(&self, id: &Secret) -> Result<bool, Error> {
        let hash = id.hash();
        let mut call = END.key(self.keys.session(hash.as_str()));
        call.arg(hash.as_str()).arg(self.keys.people());
        Ok(call.invoke_async(&mut self.conn.clone()).await?)
    }

    /// Ends all sessions of a person, and the tokens that its devices got. Returns their number.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn end_all_of(&self, issuer: &str, subject: &str) -> Result<usize, Error> {
        let identity =
            Identity::Person { issuer: issuer.to_owned(), subject: subject.to_owned(), name: String::new() };
        let person = person(&identity).unwrap_or_default();
        let mut call = END_ALL.key(self.keys.person(&person));
        call.key(self.keys.tokens()).key(self.keys.used()).arg(self.keys.sessions());
        Ok(call.invoke_async(&mut self.conn.clone()).await?)
    }

    /// Redis' clock, UTC ms.
    async fn now(&self) -> Result<i64, Error> {
        let mut conn = self.conn.clone();
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut conn).await?;
        Ok(seconds * 1000 + micros / 1000)
    }
}
