//! What must be true of a queue after each run: every key of it is looked at.

use std::collections::{BTreeMap, BTreeSet};

use redis::{FromRedisValue, RedisResult};
use upshot_queue::{JobId, Late, LimitKey, Scrubber, State};

use crate::handles::Queue;

use crate::{
    groups,
    job::{ModelJob, class, encode, stored},
    legal::Walk,
    model::Model,
    operation::CONDITIONS,
    server::Server,
};

/// A sorted set, by member.
type Scores = BTreeMap<String, u64>;

pub async fn check(server: &Server, queue: &Queue, model: &Model) -> Result<(), String> {
    let end = End { server, queue, model };
    end.indexes().await?;
    end.lanes().await?;
    end.limits().await?;
    end.groups().await?;
    end.open_by_tenant().await?;
    end.subjects().await?;
    end.nothing_else().await?;
    end.outbox().await?;
    end.conserved()?;
    // It comes last, because it mends what it finds.
    let found = Scrubber::pass(&queue.worker).await.map_err(|error| error.to_string())?;
    if found.total() > 0 { Err(format!("the scrubber found {found:?}")) } else { Ok(()) }
}

struct End<'a> {
    server: &'a Server,
    queue: &'a Queue,
    model: &'a Model,
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, model: &T, stored: &T) -> Result<(), String> {
    if model == stored { Ok(()) } else { Err(format!("{what}: the model has {model:?}, Redis {stored:?}")) }
}

impl End<'_> {
    async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Result<T, String> {
        let mut cmd = redis::cmd(words[0]);
        cmd.arg(&words[1..]);
        let answer: RedisResult<T> = cmd.query_async(&mut self.server.conn.clone()).await;
        answer.map_err(|error| format!("{words:?}: {error}"))
    }

    async fn scores(&self, key: &str) -> Result<Scores, String> {
        let scores: Vec<(String, f64)> = self.ask(&["ZRANGE", key, "0", "-1", "WITHSCORES"]).await?;
        Ok(scores.into_iter().map(|(member, score)| (member, score as u64)).collect())
    }

    async fn hash(&self, key: &str) -> Result<BTreeMap<String, String>, String> {
        self.ask(&["HGETALL", key]).await
    }

    /// The jobs that the filter admits, with a number of each.
    fn of(&self, filter: impl Fn(&ModelJob) -> bool, number: impl Fn(&ModelJob) -> u64) -> Scores {
        let jobs = self.model.jobs.iter().filter(|(_, job)| filter(job));
        jobs.map(|(id, job)| (id.to_string(), number(job))).collect()
    }

    /// Every id is in the index of its state, at its place, and in no other.
    async fn indexes(&self) -> Result<(), String> {
        let keys = self.queue.keys();
        for (state, key) in [
            (State::Scheduled, keys.scheduled()),
            (State::Parked, keys.parked()),
            (State::Dead, keys.dead()),
            (State::Cancelled, keys.cancelled()),
        ] {
            let place = |job: &ModelJob| match state {
                State::Scheduled => job.due,
                _ => job.since,
            };
            equal(&key, &self.of(|job| job.state == state, place), &self.scores(&key).await?)?;
        }
        // Each running job is in the lease of its claim, which has nothing but such.
        let mut leased = Scores::new();
        for (claim, until) in self.scores(&keys.running()).await? {
            let lease = self.hash(&keys.lease(claim.parse().unwrap())).await?;
            let of_claim = format!(" {claim}");
            let mut left = 0;
            for id in lease["ids"].split(' ') {
                let state: Option<String> =
                    self.ask(&["HGET", &format!("{}{id}", keys.job_prefix()), "state"]).await?;
                if state.is_some_and(|state| state.starts_with("running ") && state.ends_with(&of_claim)) {
                    leased.insert(id.to_owned(), until);
                    left += 1;
                }
            }
            equal("jobs left of a claim", &left.to_string(), &lease["left"])?;
        }
        let running = self.of(|job| job.state == State::Running, |job| job.until);
        equal("leases", &running, &leased)?;
        let count = self.queue.counts().await.map_err(|error| error.to_string())?.of(State::Running);
        equal("the count of those that run", &(running.len() as u64), &count)?;
        // One that was forgotten by hand stays there, and may have come again.
        let lines: Vec<(String, Vec<(String, String)>)> =
            self.ask(&["XRANGE", &keys.succeeded(), "-", "+"]).await?;
        let lines: Vec<(String, String)> = lines.into_iter().flat_map(|(_, fields)| fields).collect();
        let succeeded = self.of(|job| job.state == State::Succeeded, |job| job.since);
        let mut listed = Scores::new();
        for (at, ids) in lines {
            let at = at.parse().unwrap();
            let there = ids.split(' ').filter(|id| succeeded.get(*id) == Some(&at));
            listed.extend(there.map(|id| (id.to_owned(), at)));
        }
        equal("jobs that succeeded", &succeeded, &listed)?;
        let count = self.queue.counts().await.map_err(|error| error.to_string())?.of(State::Succeeded);
        equal("the count of those that succeeded", &(succeeded.len() as u64), &count)?;
        let mut conditions: BTreeMap<String, Scores> = BTreeMap::new();
        for (id, job) in self.model.jobs.iter().filter(|(_, job)| job.state == State::Parked) {
            conditions.entry(job.condition.clone().unwrap().0).or_default().insert(id.to_string(), job.since);
        }
        let counted: BTreeMap<String, String> =
            conditions.iter().map(|(condition, ids)| (condition.clone(), ids.len().to_string())).collect();
        equal("needs", &counted, &self.hash(&keys.needs()).await?)?;
        for (condition, ids) in &conditions {
            equal(condition, ids, &self.scores(&keys.need(condition)).await?)?;
        }
        let mut unknown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (id, job) in self.model.jobs.iter().filter(|(_, job)| job.is_unknown()) {
            let member = format!("{}\0{:014}\0{id}", job.lane(), job.unknown_place());
            unknown.entry(job.kind()).or_default().insert(member);
        }
        let kinds: BTreeSet<String> = self.scores(&keys.unknown()).await?.into_keys().collect();
        equal("kinds that jobs are parked for", &unknown.keys().cloned().collect(), &kinds)?;
        for (kind, members) in &unknown {
            let stored: BTreeSet<String> = self.scores(&keys.unknown_jobs(kind)).await?.into_keys().collect();
            equal(&format!("jobs that are parked for {kind}"), members, &stored)?;
        }
        let flag: Option<String> = self.ask(&["HGET", keys.control(), "unknown"]).await?;
        equal("the mark of these", &!unknown.is_empty(), &flag.is_some())?;
        for turn in self.hash(&keys.unknown_turns()).await?.keys() {
            let of_kind = unknown.keys().any(|kind| turn.split_once(':').is_some_and(|(_, of)| of == kind));
            equal(&format!("the turn {turn} is of such a kind"), &true, &of_kind)?;
        }
        // A job that has ended may stay until its deadline; one that waits is watched.
        let (waits, watched): (Scores, Scores) =
            self.scores(&keys.expiring()).await?.into_iter().partition(|(each, _)| each.starts_with("wait "));
        let watch = |(id, job): (&JobId, &ModelJob)| Some((format!("wait {id}"), job.watch?));
        equal("waits that end", &self.model.jobs.iter().filter_map(watch).collect(), &waits)?;
        let silent = self.of(|job| job.silent.is_some(), |job| job.since);
        equal("silence", &silent, &self.scores(&keys.silent(CONDITIONS[1])).await?)?;
        let deadline = |job: &ModelJob| match job.deadline {
            Some((by, Late::Expires)) => by,
            _ => 0,
        };
        for (id, by) in self.of(|job| job.is_watched() && deadline(job) > 0, deadline) {
            equal("the deadline that is watched", &Some(&by), &watched.get(&id))?;
        }
        let known = |id: &&String| self.model.jobs.keys().any(|job| job.as_str() == id.as_str());
        match watched.keys().find(|id| !known(id)) {
            Some(id) => Err(format!("the deadline of {id} is watched, which is forgotten")),
            None => Ok(()),
        }
    }

    /// Lanes hold the ready jobs in order; each that has jobs takes turns or is
    /// held by a limit.
    async fn lanes(&self) -> Result<(), String> {
        let keys = self.queue.keys();
        let mut lanes: BTreeMap<String, (Scores, BTreeMap<u64, String>)> = BTreeMap::new();
        for (id, job) in self.model.jobs.iter().filter(|(_, job)| job.state == State::Ready) {
            let (placed, listed) = lanes.entry(job.lane()).or_default();
            match job.place {
                (run_by, 0) => placed.insert(id.to_string(), run_by).map(|_| ()),
                (_, nth) => listed.insert(nth, id.to_string()).map(|_| ()),
            };
        }
        let held = self.hash(&keys.held()).await?;
        for each in 0..4 {
            let ring: Vec<String> = self.ask(&["ZRANGE", &keys.ring(each), "0", "-1"]).await?;
            let listed: BTreeSet<String> = self.ask(&["ZRANGE", &keys.lanes(each), "0", "-1"]).await?;
            let mut tenants: BTreeMap<String, u64> = BTreeMap::new();
            for flow in &ring {
                *tenants.entry(flow.split('|').next().unwrap().to_owned()).or_default() += 1;
            }
            for (lane, key) in held.iter().filter(|(lane, _)| lane.starts_with(&format!("{each}:"))) {
                let tenant = lane[2..].split('|').next().unwrap();
                *tenants.entry(format!("{tenant}|{key}")).or_default() += 1;
            }
            let tenants: BTreeMap<String, String> =
                tenants.into_iter().map(|(tenant, n)| (tenant, n.to_string())).collect();
            equal("lanes of each tenant", &tenants, &self.hash(&keys.flows(each)).await?)?;
            let mut waiting = 0;
            for lane in lanes.keys().filter(|lane| lane.starts_with(&format!("{each}:"))) {
                let flow = &lane[2..];
                let turns = ring.iter().any(|each| each == flow);
                if turns == held.contains_key(lane) || !listed.contains(flow) {
                    return Err(format!(
                        "lane {lane}: in the ring {turns}, held by {:?}, listed {listed:?}",
                        held.get(lane)
                    ));
                }
                waiting += 1;
            }
            if waiting == 0 && !(ring.is_empty() && listed.is_empty()) {
                return Err(format!(
                    "class {each} has no ready job, its ring {ring:?}, its lanes {listed:?}"
                ));
            }
        }
        for (lane, (placed, listed)) in &lanes {
            equal(lane, placed, &self.scores(&keys.placed(lane)).await?)?;
            let mut gone: BTreeMap<String, usize> = self.ask(&["HGETALL", &keys.gone(lane)]).await?;
            let all = gone.remove("all");
            equal("all that left a lane", &(!gone.is_empty()).then(|| gone.values().sum()), &all)?;
            let mut list: Vec<String> = self.ask(&["LRANGE", &keys.lane(lane), "0", "-1"]).await?;
            let marked = list.first().is_some_and(|first| first == "*");
            equal("the mark of a lane", &(all.is_some() || !placed.is_empty()), &marked)?;
            list.drain(..usize::from(marked));
            list.retain(|id| match gone.get_mut(id) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    false
                }
                _ => true,
            });
            equal(lane, &listed.values().cloned().collect(), &list)?;
            equal("who left a lane and is not in it", &0, &gone.values().sum())?;
        }
        let passed = self.hash(&keys.passed()).await?;
        if let Some(lane) = passed.keys().find(|lane| !lanes.contains_key(*lane)) {
            return Err(format!("lane {lane} has no jobs, and it is counted how often it was sent on"));
        }
        for (lane, key) in &held {
            let blocked: Vec<String> = self.ask(&["ZRANGE", &keys.blocked(key), "0", "-1"]).await?;
            if !lanes.contains_key(lane) || !blocked.contains(lane) {
                return Err(format!(
                    "lane {lane} is held by {key}, which holds {blocked:?}, and has {:?}",
                    lanes.get(lane)
                ));
            }
        }
        Ok(())
    }

    /// What counts for a limit is what runs.
    async fn limits(&self) -> Result<(), String> {
        let keys = self.queue.keys();
        for (key, limit) in &self.model.limits {
            let name = stored(key);
            let running: BTreeSet<String> = self
                .model
                .ids(|job| job.state == State::Running && job.limit_keys().contains(key))
                .iter()
                .map(ToString::to_string)
                .collect();
            let holders: BTreeSet<String> = self.ask(&["SMEMBERS", &keys.holders(&name)]).await?;
            if !holders.is_subset(&running) {
                return Err(format!("{name} is held by {holders:?}, of which only {running:?} run"));
            }
            let used = self.queue.limit_use(key).await.map_err(|error| error.to_string())?.running;
            if *key == LimitKey::Queue || limit.concurrency.is_some() {
                equal(&format!("what counts for {name}"), &Some(running.len() as u64), &used)?;
            }
        }
        let limits = self.queue.limits().await.map_err(|error| error.to_string())?;
        let known: BTreeSet<LimitKey> = limits.limits.into_iter().map(|(key, _)| key).collect();
        equal("limits", &self.model.limits.keys().cloned().collect(), &known)?;
        equal("paused kinds", &self.model.paused_kinds, &limits.paused_kinds.into_iter().collect())
    }

    async fn groups(&self) -> Result<(), String> {
        equal("groups of failures", &self.model.groups_now(), &groups::stored(self.queue).await?)
    }

    /// Of each tenant what has no verdict, and what of it is overdue.
    async fn open_by_tenant(&self) -> Result<(), String> {
        let mut model: BTreeMap<String, u64> = BTreeMap::new();
        for job in self.model.jobs.values().filter(|job| job.expected.is_some()) {
            let tenant = encode(job.new.tenant.as_deref().unwrap_or_default());
            if "owvn".contains(job.account) {
                *model.entry(format!("o|{tenant}")).or_default() += 1;
            }
            if job.account == 'v' {
                *model.entry(format!("v|{tenant}")).or_default() += 1;
            }
        }
        let stored: BTreeMap<String, u64> =
            self.ask(&["HGETALL", &self.queue.keys().open_by_tenant()]).await?;
        equal("open by tenant", &model, &stored)
    }

    async fn subjects(&self) -> Result<(), String> {
        let listed: BTreeSet<String> =
            self.ask(&["ZRANGE", &self.queue.keys().subjects(), "0", "-1"]).await?;
        let of = |(id, job): (&JobId, &ModelJob)| Some(format!("{}\0{id}", job.new.subject.clone()?));
        let jobs = self.model.jobs.iter().filter_map(of);
        equal("subjects", &jobs.chain(self.model.ledger.subjects()).collect(), &listed)
    }

    /// No key is left over.
    async fn nothing_else(&self) -> Result<(), String> {
        let mut expected: BTreeSet<String> = self.model.jobs.keys().map(|id| format!(":job:{id}")).collect();
        let leases: BTreeMap<String, u64> = self.scores(&self.queue.keys().running()).await?;
        expected.extend(leases.keys().map(|claim| format!(":lease:{claim}")));
        for job in self.model.jobs.values() {
            if job.state == State::Ready {
                for key in ["lane", "placed", "gone"] {
                    expected.insert(format!(":{key}:{}", job.lane()));
                }
                for key in ["lanes", "ring", "flows"] {
                    expected.insert(format!(":{key}:{}", class(job.priority)));
                }
            }
            expected.extend(job.condition.iter().map(|(condition, _)| format!(":need:{condition}")));
            if job.is_unknown() {
                expected.insert(format!(":unknown:{}", job.kind()));
            }
        }
        for key in self.model.limits.keys() {
            expected.insert(format!(":holders:{}", stored(key)));
            expected.insert(format!(":blocked:{}", stored(key)));
        }
        let names = [
            "",
            ":clock",
            ":outbox",
            ":stats",
            ":scheduled",
            ":running",
            ":parked",
            ":succeeded",
            ":dead",
            ":cancelled",
            ":expiring",
            ":needs",
            ":signals",
            ":signal:wait confirmation 17",
            ":silent:wait confirmation 17",
            ":unknown",
            ":unknown_turns",
            ":limits",
            ":buckets",
            ":holding",
            ":held",
            ":paced",
            ":passed",
            ":promised",
            ":paused_kinds",
            ":groups",
            ":past_groups",
            ":subjects",
        ];
        expected.extend(names.map(ToOwned::to_owned));
        expected.extend(self.model.ledger.keys());
        let ids: Vec<JobId> = self.model.duplicates.keys().cloned().collect();
        let noted: Vec<_> = self.model.duplicates.values().map(|id| Some(self.stands(id).clone())).collect();
        let found = self.queue.originals(&ids).await.map_err(|error| error.to_string())?;
        equal("duplicates", &noted, &found)?;
        expected.extend(ids.iter().map(|id| format!(":duplicate:{id}")));
        // Groups were compared; the rest goes by itself after a while.
        let passing = [
            ":group:",
            ":members:",
            ":retrying:",
            ":group_hours:",
            ":group_tenants:",
            ":group_acts:",
            ":claim:",
            ":unique:",
            ":figures:",
            ":outcomes:",
            ":clocks:",
        ];
        let left: Vec<String> = self.server.keys(self.queue).await;
        let left: Vec<&String> = left
            .iter()
            .filter(|key| !expected.contains(*key) && !passing.iter().any(|each| key.starts_with(each)))
            .collect();
        if !left.is_empty() {
            return Err(format!("keys are left over: {left:?}"));
        }
        let buckets: BTreeSet<String> = self.hash(&self.queue.keys().buckets()).await?.into_keys().collect();
        let limited: BTreeSet<String> = self.model.limits.keys().map(stored).collect();
        if !buckets.is_subset(&limited) {
            return Err(format!("buckets {buckets:?} are left, limited are {limited:?}"));
        }
        Ok(())
    }

    /// The job that stands for this one: itself, or where it gave way its last successor.
    fn stands<'b>(&'b self, id: &'b JobId) -> &'b JobId {
        let mut id = id;
        while let Some(successor) = self.model.jobs.get(id).and_then(|job| job.successor.as_ref())
            && self.model.jobs.contains_key(successor)
        {
            id = successor;
        }
        id
    }

    /// The outbox, read from its beginning, tells where each job is.
    async fn outbox(&self) -> Result<(), String> {
        let mut walk = Walk::default();
        walk.follow(self.queue).await?;
        walk.arrive(self.model.jobs.iter().map(|(id, job)| (id, job.state)))
    }

    fn conserved(&self) -> Result<(), String> {
        let moves = |what| self.model.moves.get(what).copied().unwrap_or_default();
        let there = self.model.jobs.len() as u64 + moves("forgotten");
        equal("enqueued = stored + forgotten", &moves("enqueued"), &there)
    }
}
