//! Logins of a device that has no browser, after RFC 8628: the device shows a code, its person types
//! the code in a browser that is logged in, and the device gets the rights of that person.

use std::{fmt, sync::LazyLock};

use rand::Rng;
use redis::Script;
use serde::{Deserialize, Serialize};
use upshot_queue::{Connection, Connector};

use crate::{error::Error, keys::Keys, principal::Principal, secret::Secret, token::Hash};

/// How long a device waits for its person, ms.
pub const WAIT_MS: u64 = 600_000;
/// How long a device waits between two polls, ms.
pub const INTERVAL_MS: u64 = 5_000;
/// A poll may come this much earlier, ms, because networks are uneven.
const SLACK_MS: u64 = 500;
/// How often another code is made when a code is in use.
const TRIES: usize = 8;
/// Letters of a code: consonants, so that no word appears (RFC 8628, section 6.1). A code of eight has
/// 34 bits.
const LETTERS: [char; 20] =
    ['B', 'C', 'D', 'F', 'G', 'H', 'J', 'K', 'L', 'M', 'N', 'P', 'Q', 'R', 'S', 'T', 'V', 'W', 'X', 'Z'];
const CODE_LETTERS: usize = 8;

static BEGIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("devices/begin.lua")));
static LOOK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("devices/look.lua")));
static DECIDE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("devices/decide.lua")));
static POLL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("devices/poll.lua")));

/// The code that a person types: eight letters, shown as `WDJB-MJHT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedCode(String);

impl TypedCode {
    fn new() -> Self {
        let mut random = rand::rng();
        let letter = |_| LETTERS.get(random.random_range(0..LETTERS.len())).copied();
        Self((0..CODE_LETTERS).filter_map(letter).collect())
    }

    /// Reads a code, in any case and with any spaces and dashes; `None` when it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 40 {
            return None;
        }
        let is_letter = |letter: &char| !letter.is_whitespace() && *letter != '-';
        let code: String = text.chars().filter(is_letter).map(|letter| letter.to_ascii_uppercase()).collect();
        let is_code =
            code.chars().count() == CODE_LETTERS && code.chars().all(|letter| LETTERS.contains(&letter));
        is_code.then_some(Self(code))
    }

    fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }
}

impl fmt::Display for TypedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.0.split_at_checked(CODE_LETTERS / 2).unwrap_or((&self.0, ""));
        write!(f, "{first}-{last}")
    }
}

/// What a device says of itself, so that its person knows what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// The address that it asked from.
    pub address: Option<String>,
}

/// What a poll found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Its person has not answered.
    Waiting,
    /// It polls more often than each [`INTERVAL_MS`].
    TooOften,
    /// Its person refused.
    Refused,
    /// It waited too long, or has got its answer.
    Expired,
    /// The rights of its person. The next poll finds [`Polled::Expired`].
    Approved(Box<Principal>),
}

/// The devices of an installation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Devices {
    conn: Connection,
    keys: Keys,
    interval_ms: u64,
}

impl Devices {
    /// The devices of an installation, on a connection of their own.
    ///
    /// # Errors
    /// When the options of Redis contradict each other.
    pub fn new(connector: &Connector) -> redis::RedisResult<Self> {
        Ok(Self::with_connection(connector.connect()?, connector.prefix()))
    }

    /// The same on a connection that is there.
    pub fn with_connection(conn: Connection, prefix: &str) -> Self {
        Self { conn, keys: Keys::new(prefix), interval_ms: INTERVAL_MS - SLACK_MS }
    }

    /// The same with another time between two polls, for tests.
    #[must_use]
    pub fn polled_every(self, interval_ms: u64) -> Self {
        Self { interval_ms, ..self }
    }

    /// Lets a device wait. Returns its code, and the code that its person types.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn begin(&self, about: &About) -> Result<(Secret, TypedCode), Error> {
        // Strings always serialise.
        let about = serde_json::to_string(about).unwrap_or_default();
        for _ in 0..TRIES {
            let (device, typed) = (Secret::new(), TypedCode::new());
            let hash = device.hash();
            let mut call = BEGIN.key(self.keys.device(hash.as_str()));
            call.key(self.typed(&typed)).arg(hash.as_str()).arg(&about).arg(WAIT_MS);
            if call.invoke_async(&mut self.conn.clone()).await? {
                return Ok((device, typed));
            }
        }
        Err(Error::Contended)
    }

    /// What the device says that waits with this code; `None` if none does.
    ///
    /// # Errors
    /// When Redis failed, or the device is damaged.
    pub async fn look(&self, typed: &TypedCode) -> Result<Option<About>, Error> {
        let mut call = LOOK.key(self.typed(typed));
        let about: Option<String> =
            call.arg(self.keys.devices()).invoke_async(&mut self.conn.clone()).await?;
        about.map(|about| self.read(&about)).transpose()
    }

    /// Gives the device that waits with this code the rights of a person; `None` refuses it. Returns
    /// whether a device waited.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn decide(&self, typed: &TypedCode, principal: Option<&Principal>) -> Result<bool, Error> {
        // Strings, numbers and lists always serialise.
        let text = principal.and_then(|principal| serde_json::to_string(principal).ok());
        let mut call = DECIDE.key(self.typed(typed));
        call.arg(self.keys.devices()).arg(text.unwrap_or_default());
        Ok(call.invoke_async(&mut self.conn.clone()).await?)
    }

    /// What became of a device.
    ///
    /// # Errors
    /// When Redis failed, or the device is damaged.
    pub async fn poll(&self, device: &Secret) -> Result<Polled, Error> {
        let mut call = POLL.key(self.keys.device(device.hash().as_str()));
        let found: Vec<String> = call.arg(self.interval_ms).invoke_async(&mut self.conn.clone()).await?;
        let mut found = found.into_iter();
        Ok(match (found.next().as_deref(), found.next()) {
            (Some("principal"), Some(principal)) => Polled::Approved(Box::new(self.read(&principal)?)),
            (Some("waiting"), _) => Polled::Waiting,
            (Some("often"), _) => Polled::TooOften,
            (Some("refused"), _) => Polled::Refused,
            _ => Polled::Expired,
        })
    }

    fn typed(&self, code: &TypedCode) -> String {
        self.keys.device_code(code.hash().as_str())
    }

    fn read<T: serde::de::DeserializeOwned>(&self, text: &str) -> Result<T, Error> {
        serde_json::from_str(text).map_err(|why| Error::Damaged { key: self.keys.devices(), why })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_code_is_read_as_a_person_types_it(dash in "[- ]{0,3}", is_lower in any::<bool>()) {
            let code = TypedCode::new();
            let shown = code.to_string();
            prop_assert_eq!(shown.len(), CODE_LETTERS + 1);
            let typed = shown.replace('-', &dash);
            let typed = if is_lower { typed.to_lowercase() } else { typed };
            prop_assert_eq!(TypedCode::parse(&typed), Some(code));
        }

        #[test]
        fn other_texts_are_no_codes(text in "\\PC{0,60}") {
            if let Some(code) = TypedCode::parse(&text) {
                prop_assert!(code.0.chars().all(|letter| LETTERS.contains(&letter)));
            }
        }
    }
}
