//! The configuration that is stored with the queue, and its versions.
//!
//! A change names the version that its author has seen, so that no change undoes another one
//! unseen. Limits have one truth, the key `limits`: a version sets those that it names otherwise than
//! the version before it and clears those that only that one named, and [`Operator::set_limit`] sets
//! single ones between two versions. A limit that both versions name alike is left as it is.

use std::collections::BTreeMap;

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
    /// Its number, counted from 1.
    pub version: u64,
    /// When it was stored, UTC ms of Redis' clock.
    pub at: i64,
    /// Its author, as given by the caller.
    pub by: String,
    /// The configuration.
    pub configuration: Configuration,
}

/// The result of storing a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Configured {
    /// It is stored as this version, and its limits are set.
    Stored(u64),
    /// Another version than the expected one is stored; 0 for none. Nothing was changed.
    Conflict(u64),
}

/// Which version is stored, and whether its limits are set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConfigurationState {
    /// Its number, 0 for none, and when it was stored: a Redis that lost its last second may give
    /// a number twice.
    pub(crate) version: (u64, i64),
    /// Where its limits are not all set: the last version whose limits were, 0 for none.
    pub(crate) set: Option<u64>,
}

impl StoredConfiguration {
    /// Its number, and when it was stored.
    pub(crate) fn which(&self) -> (u64, i64) {
        (self.version, self.at)
    }
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
        // An unreadable earlier version does not hide the others.
        Ok(latest.into_iter().chain(stored.flatten()).collect())
    }

    /// The limits that a configuration names and that are set differently, with their present
    /// values.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn limits_apart(&self, configuration: &Configuration) -> Result<Vec<(LimitKey, Limit)>, Error> {
        let keys: Vec<&LimitKey> = configuration.limits.keys().collect();
        let set = self.limits_of(&keys).await?;
        let named = configuration.limits.iter().zip(set);
        Ok(named
            .filter(|((_, named), set)| named.with_burst() != *set)
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

    /// Which version is stored, and whether its limits are set.
    pub(crate) async fn configuration_state(&self) -> Result<ConfigurationState, Error> {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(self.keys.configuration()).arg(&["version", "at", "unset"]);
        type Reply = (Option<u64>, Option<i64>, Option<u64>);
        let (version, at, set): Reply = cmd.query_async(&mut self.conn.clone()).await?;
        Ok(ConfigurationState { version: (version.unwrap_or(0), at.unwrap_or(0)), set })
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
    /// none is stored), and sets its limits. Workers follow it within a moment.
    ///
    /// # Errors
    /// When it is invalid, or Redis failed. It may then be stored already; the same call may be
    /// repeated.
    pub async fn configure(
        &self,
        configuration: &Configuration,
        expected: u64,
        by: &str,
    ) -> Result<Configured, Error> {
        let done = self.store_configuration(configuration, expected, by).await?;
        if let Configured::Stored(_) = done {
            self.finish_configuration().await?;
        }
        Ok(done)
    }

    /// Stores it without setting its limits ([`Self::finish_configuration`]).
    pub(crate) async fn store_configuration(
        &self,
        configuration: &Configuration,
        expected: u64,
        by: &str,
    ) -> Result<Configured, Error> {
        configuration.check()?;
        let by: String = by.chars().filter(|c| !c.is_control()).take(LONGEST_AUTHOR).collect();
        let (document, kept) = (configuration.stored(), VERSIONS_KEPT.to_string());
        let (done, stored) = self.client.configure_call("store", expected, &[&document, &by, &kept]).await?;
        Ok(if done { Configured::Stored(stored) } else { Configured::Conflict(stored) })
    }

    /// Sets the limits of the stored version, as long as that is not done. Several that do this at
    /// once do no harm, and none sets limits of a version that is not the stored one any more. A
    /// limit that cannot be kept keeps no other from being set.
    pub(crate) async fn finish_configuration(&self) -> Result<(), Error> {
        loop {
            let ConfigurationState { version, set } = self.client.configuration_state().await?;
            let Some(set) = set else { return Ok(()) };
            let versions = self.client.configurations(VERSIONS_KEPT).await?;
            if versions.first().map(StoredConfiguration::which) != Some(version) {
                // Another one was stored meanwhile, or its text is gone.
                if self.client.configuration_state().await?.version == version {
                    let why = "its text is missing".to_owned();
                    return Err(Error::Configuration { version: version.0, why });
                }
                continue;
            }
            let wanted = to_set(&versions, set);
            let keys: Vec<&LimitKey> = wanted.keys().collect();
            let there = self.client.limits_of(&keys).await?;
            let mut bad = None;
            let mut is_stored = true;
            for ((key, limit), _) in wanted.iter().zip(there).filter(|((_, limit), there)| *limit != there) {
                match self.set_limit_of(key, *limit, version).await {
                    Ok(is_set) => is_stored &= is_set,
                    Err(Error::Limit(why)) => bad = Some(why),
                    Err(error) => return Err(error),
                }
            }
            if let (Some(bad), true) = (bad, is_stored) {
                return Err(bad.into());
            }
            // If another version is stored in the meantime, its limits are set from the beginning.
            if is_stored {
                self.client.configure_call("done", version.0, &[&version.1.to_string()]).await?;
            }
        }
    }
}

/// What the latest of these versions sets and clears, where all limits of the version `set` were
/// set: what any version since then names otherwise. What all of them name alike was maybe set
/// otherwise by hand, and is left as it is.
fn to_set(versions: &[StoredConfiguration], set: u64) -> BTreeMap<LimitKey, Limit> {
    let Some((now, before)) = versions.split_first() else { return BTreeMap::new() };
    let named = &now.configuration.limits;
    let since = before.iter().filter(|each| each.version >= set);
    let since: Vec<_> = since.map(|each| &each.configuration.limits).collect();
    let is_known = before.iter().any(|each| each.version == set);
    let dropped = since.iter().flat_map(|limits| limits.keys()).filter(|key| !named.contains_key(key));
    let mut wanted: BTreeMap<_, _> = dropped.map(|key| (key.clone(), Limit::default())).collect();
    let differs = |(key, limit): &(&LimitKey, &Limit)| {
        !is_known || since.iter().any(|each| each.get(key) != Some(limit))
    };
    wanted.extend(named.iter().filter(differs).map(|(key, limit)| (key.clone(), *limit)));
    wanted
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A version that limits these keys.
    fn version(version: u64, limits: &[(&str, u32)]) -> StoredConfiguration {
        let limits = limits.iter().map(|(key, n)| (key.parse().unwrap(), Limit::concurrency(*n))).collect();
        let configuration = Configuration { limits, ..Configuration::default() };
        StoredConfiguration { version, at: 1, by: "ada".to_owned(), configuration }
    }

    /// What is set, 0 for what is cleared.
    fn set(versions: &[StoredConfiguration], since: u64) -> Vec<(String, u32)> {
        let wanted = to_set(versions, since).into_iter();
        wanted.map(|(key, limit)| (key.to_string(), limit.concurrency.unwrap_or(0))).collect()
    }

    #[test]
    fn a_version_sets_what_differs_from_every_version_since_all_limits_were_set() {
        let [a, b, c] = ["key:a", "key:b", "key:c"];
        let versions = [
            version(3, &[(a, 1), (b, 1)]),
            version(2, &[(a, 1), (b, 2), (c, 1)]),
            version(1, &[(a, 1), (b, 1)]),
        ];
        let said =
            |sets: &[(&str, u32)]| sets.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect::<Vec<_>>();
        assert_eq!(set(&versions, 2), said(&[(b, 1), (c, 0)]));
        // The setter of version 2 came to an end somewhere.
        assert_eq!(set(&versions, 1), said(&[(b, 1), (c, 0)]));
        assert_eq!(set(&versions[..1], 0), said(&[(a, 1), (b, 1)]), "the first one sets all");
        assert_eq!(
            set(&versions[..2], 1),
            said(&[(a, 1), (b, 1), (c, 0)]),
            "nobody knows what version 1 was"
        );
    }
}
