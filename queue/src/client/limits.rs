//! Changes and reads limits, weights and pauses of a running queue.

use redis::{FromRedisValue, RedisError, Value};

use crate::{
    client::operator::Operator,
    client::{handle::Client, release::Released},
    error::Error,
    job::flow::{decode, encode},
    policy::limit::{Limit, LimitKey},
    redis::clock::utc_ms,
    scripts::{self, Call, RESERVATIONS_GIVEN_UP},
};

/// Claims that are examined at a time, of up to 160 jobs each.
const CLAIMS: usize = 4;

/// The limits and pauses of a queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Limits and weights.
    pub limits: Vec<(LimitKey, Limit)>,
    /// Whether the whole queue is paused.
    pub paused: bool,
    /// Kinds that are paused.
    pub paused_kinds: Vec<String>,
}

/// Limits and their use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitsInUse {
    /// Limits and weights, ordered by key.
    pub limits: Vec<(LimitKey, Limit, LimitUse)>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// The use of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitUse {
    /// Running jobs, if they are counted: for the whole queue, and for a limit on concurrency.
    pub running: Option<u64>,
    /// For a rate: jobs that may start at once, by this machine's clock.
    pub tokens: Option<u64>,
    /// Lanes (a tenant's jobs of one priority) that wait for it.
    pub waiting_lanes: u64,
}

impl Operator {
    /// Sets a limit or weight, in all processes at once; the default clears it. Running jobs are
    /// counted, and continue even if they exceed the limit. No job starts under the limit during
    /// the count.
    ///
    /// # Errors
    /// When the limit is invalid, or Redis failed.
    pub async fn set_limit(&self, key: &LimitKey, limit: Limit) -> Result<(), Error> {
        self.set_limit_by(key, limit, &[]).await.map(drop)
    }

    /// The same for a version of the configuration, by its number and when it was stored. Sets
    /// nothing where another one is stored; whether it did.
    pub(crate) async fn set_limit_of(
        &self,
        key: &LimitKey,
        limit: Limit,
        (version, at): (u64, i64),
    ) -> Result<bool, Error> {
        self.set_limit_by(key, limit, &[&version.to_string(), &at.to_string()]).await
    }

    async fn set_limit_by(&self, key: &LimitKey, limit: Limit, of: &[&str]) -> Result<bool, Error> {
        let stored = limit.stored(key)?;
        let name = key.stored();
        let set = self.client.limit_call("limit", &name, &[&[stored.as_str()], of].concat()).await?;
        if set.some_kept {
            self.client.give_up(&name).await?;
        }
        if let Some(claim) = set.counting {
            self.client.count_running(&name, claim).await?;
        }
        Ok(!set.refused)
    }

    /// Pauses the queue: no job starts until the resume, and running jobs continue. Waiting jobs
    /// are not touched, so the cost does not depend on their number.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn pause(&self) -> Result<(), Error> {
        self.client.limit_call("pause", "", &[]).await.map(drop)
    }

    /// Ends a pause of the queue.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn resume(&self) -> Result<(), Error> {
        self.client.limit_call("resume", "", &[]).await.map(drop)
    }

    /// Pauses a kind: none of its jobs starts until the resume. Each is parked when its turn comes.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn pause_kind(&self, kind: &str) -> Result<(), Error> {
        self.client.limit_call("pause_kind", &encode(kind), &[]).await.map(drop)
    }

    /// Ends a pause of a kind. The first of its parked jobs are released at once, the rest in the
    /// background ([`crate::client::release`]). If the caller dies, workers continue.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn resume_kind(&self, kind: &str) -> Result<Released, Error> {
        self.client.limit_call("resume_kind", &encode(kind), &[]).await?;
        self.begin_release(&format!("resume {}", encode(kind))).await
    }
}

impl Client {
    /// Lanes that need a key of which the limit was changed may keep places under other keys in
    /// an order that holds no more. What is kept from now on is kept in the new one.
    async fn give_up(&self, key: &str) -> Result<(), Error> {
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(self.keys.promised()).arg(cursor).arg("COUNT").arg(RESERVATIONS_GIVEN_UP);
            let (next, promised): (u64, Vec<(String, String)>) =
                scan.query_async(&mut self.conn.clone()).await?;
            let others: Vec<&str> = promised
                .iter()
                .filter(|(_, lane)| has_key(lane, key))
                .map(|(other, _)| other.as_str())
                .collect();
            for others in others.chunks(RESERVATIONS_GIVEN_UP) {
                self.limit_call("give_up", key, others).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Counts the jobs that run already under a new limit, up to a claim. Until then no job starts
    /// under the limit. Counting a job twice counts it once.
    async fn count_running(&self, key: &str, claim: u64) -> Result<(), Error> {
        let running: Vec<String> = redis::cmd("ZRANGE")
            .arg(self.keys.running())
            .arg(0)
            .arg(-1)
            .query_async(&mut self.conn.clone())
            .await?;
        for claims in running.chunks(CLAIMS) {
            let mut call = Call::new(&scripts::RECOUNT, &self.keys);
            call.arg(key);
            for claim in claims {
                call.arg(claim);
            }
            let _: u64 = call.run(&mut self.conn.clone()).await?;
        }
        self.limit_call("counted", key, &[&claim.to_string()]).await.map(drop)
    }

    /// Continues a count that another caller began. Both may count at the same time; each job
    /// counts once.
    pub(crate) async fn finish_counting(&self) -> Result<(), Error> {
        let mut cmd = redis::cmd("HKEYS");
        let counting: Vec<String> = cmd.arg(self.keys.counting()).query_async(&mut self.conn.clone()).await?;
        for key in counting {
            let mut cmd = redis::cmd("HGET");
            cmd.arg(self.keys.limits()).arg(&key);
            let limit: Option<String> = cmd.query_async(&mut self.conn.clone()).await?;
            if let Some(claim) = limit.as_deref().and_then(Limit::counted_from) {
                self.count_running(&key, claim).await?;
            }
        }
        Ok(())
    }

    /// The present limits and pauses.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn limits(&self) -> Result<Limits, Error> {
        self.check_layout().await?;
        let mut pipe = redis::pipe();
        pipe.cmd("HGETALL").arg(self.keys.limits());
        pipe.cmd("HGET").arg(self.keys.control()).arg("paused");
        pipe.cmd("SMEMBERS").arg(self.keys.paused_kinds());
        type Reply = (Vec<(String, String)>, Option<u8>, Vec<String>);
        let (stored, paused, kinds): Reply = pipe.query_async(&mut self.conn.clone()).await?;
        let read = |(key, limit): (String, String)| Some((read_key(&key)?, Limit::read(&limit)));
        let mut limits: Vec<(LimitKey, Limit)> = stored.into_iter().filter_map(read).collect();
        limits.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut paused_kinds: Vec<String> = kinds.iter().map(|kind| decode(kind)).collect();
        paused_kinds.sort();
        Ok(Limits { limits, paused: paused == Some(1), paused_kinds })
    }

    /// At most `most` limits, up to 1,000, with their use, ordered by key.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn limits_in_use(&self, most: usize) -> Result<LimitsInUse, Error> {
        let mut call = Call::new(&scripts::LIMITS, &self.keys);
        let mut reply: Vec<Value> = call.arg(most).run(&mut self.conn.clone()).await?;
        let rest = Value::Array(reply.split_off(reply.len().min(1)));
        let is_cut = reply.pop() == Some(Value::Int(1));
        type Each = Vec<(String, String, u64, String, u64)>;
        let each = Each::from_redis_value(rest).map_err(RedisError::from)?;
        let read = |(key, limit, running, bucket, waiting_lanes): (String, String, u64, String, u64)| {
            let (key, limit) = (read_key(&key)?, Limit::read(&limit));
            let used = used(&key, &limit, running, Some(bucket.as_str()), waiting_lanes);
            Some((key, limit, used))
        };
        let mut limits: Vec<_> = each.into_iter().filter_map(read).collect();
        limits.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        Ok(LimitsInUse { limits, is_cut })
    }

    /// The present use of a limit.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn limit_use(&self, key: &LimitKey) -> Result<LimitUse, Error> {
        self.check_layout().await?;
        let name = key.stored();
        let mut pipe = redis::pipe();
        match key {
            LimitKey::Queue => pipe.cmd("HGET").arg(self.keys.control()).arg("running"),
            _ => pipe.cmd("HGET").arg(self.keys.holding()).arg(&name),
        };
        pipe.cmd("ZCARD").arg(self.keys.blocked(&name));
        pipe.cmd("HGET").arg(self.keys.limits()).arg(&name);
        pipe.cmd("HGET").arg(self.keys.buckets()).arg(&name);
        type Reply = (Option<u64>, u64, Option<String>, Option<String>);
        let (running, waiting_lanes, limit, bucket): Reply = pipe.query_async(&mut self.conn.clone()).await?;
        let limit = limit.as_deref().map(Limit::read).unwrap_or_default();
        Ok(used(key, &limit, running.unwrap_or(0), bucket.as_deref(), waiting_lanes))
    }

    /// Kinds that are paused.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn paused_kinds(&self) -> Result<Vec<String>, Error> {
        let mut cmd = redis::cmd("SMEMBERS");
        let kinds: Vec<String> =
            cmd.arg(self.keys.paused_kinds()).query_async(&mut self.conn.clone()).await?;
        Ok(kinds.iter().map(|kind| decode(kind)).collect())
    }

    async fn limit_call(&self, what: &str, key: &str, args: &[&str]) -> Result<Set, Error> {
        let mut set = Set::default();
        loop {
            let mut call = Call::new(&scripts::LIMIT, &self.keys);
            call.arg(what).arg(key);
            for arg in args {
                call.arg(arg);
            }
            type Reply = (u8, u64, u8, u8);
            let (again, claim, some_kept, refused): Reply = call.run(&mut self.conn.clone()).await?;
            set.refused = refused == 1;
            // What it set before it was refused is not undone.
            if !set.refused {
                set.counting = (claim > 0).then_some(claim);
                set.some_kept = some_kept == 1;
            }
            // Lanes with room are released a few at a time.
            if again == 0 {
                return Ok(set);
            }
        }
    }
}

/// The key of a stored limit.
pub(crate) fn read_key(key: &str) -> Option<LimitKey> {
    Some(match key.parse().ok()? {
        LimitKey::Queue => LimitKey::Queue,
        LimitKey::Tenant(name) => LimitKey::Tenant(decode(&name)),
        LimitKey::Key(name) => LimitKey::Key(decode(&name)),
    })
}

fn used(key: &LimitKey, limit: &Limit, running: u64, bucket: Option<&str>, waiting_lanes: u64) -> LimitUse {
    let is_counted = *key == LimitKey::Queue || limit.concurrency.is_some();
    LimitUse { running: is_counted.then_some(running), tokens: limit.tokens(bucket, utc_ms()), waiting_lanes }
}

/// The remaining work after a limit was set.
#[derive(Default)]
struct Set {
    /// It belongs to another version of the configuration than the stored one: it was not set.
    refused: bool,
    /// Running jobs must be counted, up to this claim.
    counting: Option<u64>,
    /// Places are kept under other keys, maybe for lanes that need this one.
    some_kept: bool,
}

/// Whether the jobs of a lane (`class:tenant|key|key`) are limited by a key.
fn has_key(lane: &str, key: &str) -> bool {
    let Some((tenant, mut keys)) = lane.split_once(':').map(|(_, flow)| {
        let mut parts = flow.split('|');
        (parts.next(), parts)
    }) else {
        return false;
    };
    key.strip_prefix("tenant:").is_some_and(|name| tenant == Some(name))
        || key.strip_prefix("key:").is_some_and(|name| keys.any(|each| each == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_has_its_tenants_key_and_its_own() {
        for (key, has) in
            [("tenant:a", true), ("key:x", true), ("key:y", true), ("key:a", false), ("tenant:x", false)]
        {
            assert_eq!(has_key("2:a|x|y", key), has, "{key}");
        }
        assert!(!has_key("2:|x", "queue") && !has_key("2:", "key:"));
    }
}
