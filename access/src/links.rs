//! Capability links: an end user's right to see one job or one subject.
//!
//! A link is signed and not stored. Redis holds the key that signs, and the ids of revoked links until
//! they expire. Another key ends all links.

mod text;

use std::sync::LazyLock;

use redis::Script;
use upshot_queue::{Connection, Connector};

pub use text::{LinkId, LinkText};

use self::text::Payload;
use crate::{
    error::{Error, Refusal},
    keys::Keys,
    principal::{Identity, Principal},
    right::Right,
    scope::Scope,
    token::{Hash, random},
};

/// How long a link lasts at most, ms: a year and a day.
pub const LONGEST_MS: i64 = 366 * 24 * 3_600_000;
/// Links that are revoked and have not expired, at most.
pub const MOST_REVOKED: usize = 100_000;
/// Bytes of the key, as many as the hash has.
const KEY_BYTES: usize = 32;

static CHECK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("links/check.lua")));
static MINT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("links/mint.lua")));
static REVOKE_ALL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("links/revoke_all.lua")));
static REVOKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("links/revoke.lua")));

/// The capability links of an installation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CapabilityLinks {
    conn: Connection,
    keys: Keys,
}

/// A link that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its id, to revoke it.
    pub id: LinkId,
    /// Its text, for the end user.
    pub text: LinkText,
    /// When it expires, UTC ms.
    pub until: i64,
}

impl CapabilityLinks {
    /// The links of an installation, on a connection of their own.
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

    /// Makes a link to the target of a scope. It lasts [`LONGEST_MS`] at most.
    ///
    /// # Errors
    /// When the scope has no target, or Redis failed.
    pub async fn make(&self, scope: Scope, lifetime_ms: i64) -> Result<Made, Error> {
        if scope.target.is_none() {
            return Err(Error::NoTarget);
        }
        let (key, now): (String, i64) =
            MINT.key(self.keys.key()).arg(random::<KEY_BYTES>()).invoke_async(&mut self.conn.clone()).await?;
        let until = now.saturating_add(lifetime_ms.clamp(0, LONGEST_MS));
        let id = LinkId::new(until);
        let text = Payload { id: id.clone(), scope }.sign(&key);
        Ok(Made { id, text, until })
    }

    /// The principal that a link stands for, and the hash of the key that signed it.
    ///
    /// # Errors
    /// When the link is refused, or Redis failed.
    pub async fn identify(&self, text: &LinkText) -> Result<(Principal, Hash), Error> {
        let looked = self.look(&text.id().ok_or(Refusal::Form)?).await?;
        let Payload { id, scope } = text.verify(&looked.key)?;
        Ok((looked.principal(&id, scope)?, Hash::of(&looked.key)))
    }

    /// The same for a link whose signature by the key with this hash was verified before.
    ///
    /// # Errors
    /// When the link is refused, another key signs by now, or Redis failed.
    pub async fn identify_by(&self, id: &str, key: &Hash, scope: &Scope) -> Result<Principal, Error> {
        let id: LinkId = id.parse()?;
        let looked = self.look(&id).await?;
        if !Hash::of(&looked.key).is(key) {
            return Err(Refusal::Unknown.into());
        }
        Ok(looked.principal(&id, scope.clone())?)
    }

    async fn look(&self, id: &LinkId) -> Result<Looked, Error> {
        let (key, revoked, now): (Option<String>, Option<f64>, i64) = CHECK
            .key(self.keys.key())
            .key(self.keys.revoked())
            .arg(id.as_str())
            .invoke_async(&mut self.conn.clone())
            .await?;
        Ok(Looked { key: key.ok_or(Refusal::Unknown)?, is_revoked: revoked.is_some(), now })
    }

    /// Ends a link, and the sessions that began with it. Returns whether it had not expired.
    ///
    /// # Errors
    /// When there are [`MOST_REVOKED`] already, no link can have this id, or Redis failed.
    pub async fn revoke(&self, id: &LinkId) -> Result<bool, Error> {
        let mut call = REVOKE.key(self.keys.revoked());
        call.arg(id.as_str()).arg(id.until()).arg(MOST_REVOKED).arg(LONGEST_MS);
        match call.invoke_async::<i64>(&mut self.conn.clone()).await? {
            -1 => Err(Error::FullOfRevoked(MOST_REVOKED)),
            -2 => Err(Refusal::Form.into()),
            done => Ok(done == 1),
        }
    }

    /// Ends all links, and the sessions that began with them, by another key.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn revoke_all(&self) -> Result<(), Error> {
        let mut call = REVOKE_ALL.key(self.keys.key());
        call.key(self.keys.revoked()).arg(random::<KEY_BYTES>());
        let _: bool = call.invoke_async(&mut self.conn.clone()).await?;
        Ok(())
    }
}

/// What Redis says about a link.
struct Looked {
    /// The key that signs links.
    key: String,
    is_revoked: bool,
    /// UTC ms.
    now: i64,
}

impl Looked {
    /// The principal of a link whose signature is verified.
    fn principal(&self, id: &LinkId, scope: Scope) -> Result<Principal, Refusal> {
        if self.is_revoked {
            return Err(Refusal::Unknown);
        }
        if id.until() <= self.now {
            return Err(Refusal::Expired);
        }
        Ok(Principal {
            identity: Identity::Link { id: id.as_str().to_owned() },
            role: None,
            rights: [Right::SeeOwn].into_iter().collect(),
            scope,
            until: Some(id.until()),
        })
    }
}
