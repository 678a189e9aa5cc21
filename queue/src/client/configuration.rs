//! The configuration that is stored with the queue, and its versions.
//!
//! A change names the version that its author has seen, so that no change undoes another one
//! unseen. Limits have one truth, the key `limits`: a version sets those that it names and clears
//! those that only the version before it named, and [`Operator::set_limit`] sets single ones
//! between two versions.

use redis::RedisError;

use crate::{
    client::{handle::Client, operator::Operator},
    error::Error,
    policy::{
        configuration::Configuration,
        limit::{Limit, LimitKey},
    },
    scripts::{self, Call},
};

/// Versions that are kept.
pub const VERSIONS_KEPT: usize = 20;

/// Bytes of an author's name that are kept.
const LONGEST_AUTHOR: usize = 200;

/// A version of the configuration of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredConfiguration {
    /// Which, counted from 1.
    pub version: u64,
    /// When it was stored, UTC ms of Redis' clock.
    pub at: i64,
    /// Who stored it, as they said.
    pub by: String,
    /// What it says.
    pub configuration: Configuration,
}

/// What became of a configuration that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Configured {
    /// It is this version now, and its limits are set.
    Stored(u64),
    /// Another version than the expected one is stored; 0 for none. Nothing was changed.
    Conflict(u64),
}

impl Client {
    /// The configuration that is stored with the queue; `None` before the first worker or operator
    /// stored one.
    ///
    /// # Errors
    /// When Redis failed, or a program that this one does not understand wrote it.
    pub async fn configuration(&self) -> Result<Option<StoredConfiguration>, Error> {
        Ok(self.configurations(1).await?.pop())
    }

    /// The latest versions of the configuration, at most 20, the newest first.
    ///
    /// # Errors
    /// Those of [`Self::configuration`].
    pub async fn configurations(&self, most: usize) -> Result<Vec<StoredConfiguration>, Error> {
        if most == 0 {
            return Ok(Vec::new());
        }
        self.check_layout().await?;
        let mut cmd = redis::cmd("LRANGE");
        cmd.arg(self.keys.configurations()).arg(0).arg(most.min(VERSIONS_KEPT) - 1);
        let stored: Vec<String> = cmd.query_async(&mut self.conn.clone()).await?;
        let mut stored = stored.iter().map(|text| read(text));
        let latest = stored.next().transpose()?;
        // An earlier version that cannot be read hides none of the others.
        Ok(latest.into_iter().chain(stored.flatten()).collect())
    }

    /// Of the limits that a configuration names, those that are set otherwise, and how.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn limits_apart(&self, configuration: &Configuration) -> Result<Vec<(LimitKey, Limit)>, Error> {
        let keys: Vec<&LimitKey> = configuration.limits.keys().collect();
        let set = self.limits_of(&keys).await?;
        let named = configuration.limits.iter().zip(set);
        Ok(named
            .filter(|((_, named), set)| *named != set)
            .map(|((key, _), set)| (key.clone(), set))
            .collect())
    }

    /// The limits of these keys, in order.
    async fn limits_of(&self, keys: &[&LimitKey]) -> Result<Vec<Limit>, RedisError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(self.keys.limits());
        for key in keys {
            cmd.arg(key.stored());
        }
        let stored: Vec<Option<String>> = cmd.query_async(&mut self.conn.clone()).await?;
        Ok(stored.into_iter().map(|limit| limit.as_deref().map(Limit::read).unwrap_or_default()).collect())
    }

    /// The version that is stored, 0 for none; and whether its limits may not be set yet.
    pub(crate) async fn configuration_state(&self) -> Result<(u64, bool), Error> {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(self.keys.configuration()).arg(&["version", "unset"]);
        let (version, unset): (Option<u64>, Option<u8>) = cmd.query_async(&mut self.conn.clone()).await?;
        Ok((version.unwrap_or(0), unset.is_some()))
    }

    async fn configure_call(
        &self,
        what: &str,
        version: u64,
        args: &[&str],
    ) -> Result<(bool, u64), RedisError> {
        let mut call = Call::new(&scripts::CONFIGURE, &self.keys);
        call.arg(what).arg(version);
        for arg in args {
            call.arg(arg);
        }
        let (done, stored): (u8, u64) = call.run(&mut self.conn.clone()).await?;
        Ok((done == 1, stored))
    }
}

impl Operator {
    /// Stores a configuration as the next version, if the stored one has the expected version (0:
    /// none is stored), and sets its limits. Workers that follow it do so within a moment.
    ///
    /// # Errors
    /// When it cannot be used, or Redis failed: it may be stored then, and the same call may be
    /// repeated.
    pub async fn configure(
        &self,
        configuration: &Configuration,
        expected: u64,
        by: &str,
    ) -> Result<Configured, Error> {
        configuration.check()?;
        let by: String = by.chars().filter(|c| !c.is_control()).take(LONGEST_AUTHOR).collect();
        let (document, kept) = (configuration.stored(), VERSIONS_KEPT.to_string());
        let (done, stored) = self.client.configure_call("store", expected, &[&document, &by, &kept]).await?;
        if !done {
            return Ok(Configured::Conflict(stored));
        }
        self.finish_configuration().await?;
        Ok(Configured::Stored(stored))
    }

    /// Sets the limits of the stored version, as long as that is not done. Several that do this at
    /// once do no harm.
    pub(crate) async fn finish_configuration(&self) -> Result<(), Error> {
        loop {
            let (version, is_unset) = self.client.configuration_state().await?;
            if !is_unset {
                return Ok(());
            }
            let mut latest = self.client.configurations(2).await?.into_iter();
            let Some(now) = latest.next() else { return Ok(()) };
            let named = now.configuration.limits;
            let before = latest.next().map(|before| before.configuration.limits).unwrap_or_default();
            let dropped = before.into_keys().filter(|key| !named.contains_key(key));
            let mut wanted: Vec<(LimitKey, Limit)> = dropped.map(|key| (key, Limit::default())).collect();
            wanted.extend(named.iter().map(|(key, limit)| (key.clone(), *limit)));
            let keys: Vec<&LimitKey> = wanted.iter().map(|(key, _)| key).collect();
            let set = self.client.limits_of(&keys).await?;
            for ((key, limit), _) in wanted.iter().zip(set).filter(|((_, limit), set)| limit != set) {
                self.set_limit(key, *limit).await?;
            }
            // Should another version be stored meanwhile, its limits are set from the beginning.
            if now.version == version {
                self.client.configure_call("done", version, &[]).await?;
            }
        }
    }
}

/// Reads `version at author`, a line feed and the document.
fn read(text: &str) -> Result<StoredConfiguration, Error> {
    let (head, document) = text.split_once('\n').unwrap_or((text, ""));
    let mut head = head.splitn(3, ' ');
    let version = head.next().and_then(|version| version.parse().ok()).unwrap_or(0);
    let at = head.next().and_then(|at| at.parse().ok()).unwrap_or(0);
    let by = head.next().unwrap_or_default().to_owned();
    match serde_json::from_str(document) {
        Ok(configuration) => Ok(StoredConfiguration { version, at, by, configuration }),
        Err(why) => Err(Error::Configuration { version, why: why.to_string() }),
    }
}
