//! The one place that names Redis keys and channels, for Rust and for Lua.
//!
//! All keys of a queue start with its control key, which holds the hash tag
//! `{queue}`: a script is given that key, derives the others from it, and touches one slot
//! of a Redis Cluster. It is also given [`Keys::none`], a key that never exists.
//!
//! The second key protects a script while its slot moves to another node. Redis checks the named
//! keys before a script starts, and each further key at the command that uses it. Without the
//! second key, a script whose control key is still there would start, and the first moved key would
//! end it midway, with half of its writes done. While a slot moves, both nodes refuse a call with
//! several keys unless they have all of them (`TRYAGAIN`, see "Multiple keys operations" of the
//! cluster specification). Neither node ever has the second key, so no script starts until the slot
//! has moved. Callers repeat a refused call, because nothing of it ran.
//!
//! `docs/redis-keys.md` is the committed snapshot.

use crate::{
    job::id::{JobId, QueueName},
    policy::{account::Account, operation::OperationId},
};

/// The version of the layout of keys and fields. The queue stores it, and scripts refuse a queue of
/// another version.
pub const SCHEMA: u32 = 6;

/// Every key below the control key: its name in Lua, and its suffix. A suffix that ends with a
/// colon is a prefix.
pub(crate) const NAMES: [(&str, &str); 75] = [
    ("JOB", ":job:"),
    ("LANE", ":lane:"),
    ("PLACED", ":placed:"),
    ("GONE", ":gone:"),
    ("LANES", ":lanes:"),
    ("RING", ":ring:"),
    ("FLOWS", ":flows:"),
    ("SCHEDULED", ":scheduled"),
    ("RUNNING", ":running"),
    ("LEASE", ":lease:"),
    ("PARKED", ":parked"),
    ("SUCCEEDED", ":succeeded"),
    ("DEAD", ":dead"),
    ("CANCELLED", ":cancelled"),
    ("EXPIRING", ":expiring"),
    ("NEEDS", ":needs"),
    ("NEED", ":need:"),
    ("RELEASING", ":releasing"),
    ("SIGNALS", ":signals"),
    ("SIGNAL", ":signal:"),
    ("SILENT", ":silent:"),
    ("UNKNOWN", ":unknown"),
    ("UNKNOWN_JOBS", ":unknown:"),
    ("UNKNOWN_TURNS", ":unknown_turns"),
    ("LIMITS", ":limits"),
    ("BUCKETS", ":buckets"),
    ("HOLDING", ":holding"),
    ("HOLDERS", ":holders:"),
    ("COUNTING", ":counting"),
    ("BLOCKED", ":blocked:"),
    ("HELD", ":held"),
    ("PACED", ":paced"),
    ("PASSED", ":passed"),
    ("PROMISED", ":promised"),
    ("PAUSED_KINDS", ":paused_kinds"),
    ("CONFIGURATION", ":configuration"),
    ("CONFIGURATIONS", ":configurations"),
    ("SCHEDULES", ":schedules"),
    ("SCHEDULE", ":schedule:"),
    ("UNIQUE", ":unique:"),
    ("DUPLICATE", ":duplicate:"),
    ("GROUPS", ":groups"),
    ("GROUP", ":group:"),
    ("MEMBERS", ":members:"),
    ("RETRYING", ":retrying:"),
    ("PAST_GROUPS", ":past_groups"),
    ("GROUP_HOURS", ":group_hours:"),
    ("GROUP_TENANTS", ":group_tenants:"),
    ("GROUP_ACTS", ":group_acts:"),
    ("SUBJECTS", ":subjects"),
    ("STATS", ":stats"),
    ("CLAIM", ":claim:"),
    ("WORKERS", ":workers"),
    ("WORKER_FACTS", ":worker_facts"),
    ("OUTBOX", ":outbox"),
    ("OPERATION", ":operation:"),
    ("OPERATIONS", ":operations"),
    ("OPERATING", ":operating"),
    ("REFUSALS", ":refusals:"),
    ("BOOKS", ":books"),
    ("ROUTES", ":routes"),
    ("DUE", ":due"),
    ("OUTCOMES", ":outcomes:"),
    ("VERDICTS", ":verdicts"),
    ("VERDICTS_OF", ":verdicts:"),
    ("FIGURES", ":figures:"),
    ("OPEN_BY_TENANT", ":open_by_tenant"),
    ("MINUTES", ":minutes"),
    ("HOURS", ":hours"),
    ("CLOCKS", ":clocks:"),
    ("WATCHDOG", ":watchdog"),
    ("WAKE", ":wake"),
    ("CHANGES", ":changes"),
    ("CANCELS", ":cancels"),
    ("CONFIGURED", ":configured"),
];

/// The keys of one queue.
#[derive(Clone, Debug)]
pub struct Keys {
    control: String,
    /// Scripts read the time from [`Keys::clock`] instead of asking Redis.
    test_clock: bool,
}

impl Keys {
    /// Keys below `prefix`, which separates installations on one Redis.
    pub fn new(prefix: &str, queue: &QueueName) -> Self {
        Self { control: format!("{prefix}:{{{queue}}}"), test_clock: false }
    }

    /// The same keys, with a clock that a test sets.
    #[doc(hidden)]
    #[must_use]
    pub fn with_test_clock(mut self) -> Self {
        self.test_clock = true;
        self
    }

    pub(crate) fn has_test_clock(&self) -> bool {
        self.test_clock
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.control)
    }

    /// Hash: schema, pause, counts of jobs and claims, virtual time. Every script receives this
    /// key.
    pub fn control(&self) -> &str {
        &self.control
    }

    /// Never exists: the second key of every script, so that Redis Cluster runs no script while the
    /// slot moves to another node.
    pub fn none(&self) -> String {
        self.key("none")
    }

    /// Hash: one job. Fields are listed in [`crate::job`].
    pub fn job(&self, id: &JobId) -> String {
        format!("{}:job:{id}", self.control)
    }

    /// The prefix of every job's key.
    pub fn job_prefix(&self) -> String {
        self.key("job:")
    }

    /// List: ids of one lane (`class:flow`) in the order in which they were enqueued,
    /// behind a `*` if the lane has one of the next two.
    pub fn lane(&self, lane: &str) -> String {
        format!("{}:lane:{lane}", self.control)
    }

    /// Sorted set: ids of a lane that have a place of their own, by when they should have
    /// run (µs): those with a deadline, and those that are ready again.
    pub fn placed(&self, lane: &str) -> String {
        format!("{}:placed:{lane}", self.control)
    }

    /// Hash: how often each id stands in a lane's list that left it without being claimed;
    /// `all`: all of them.
    pub fn gone(&self, lane: &str) -> String {
        format!("{}:gone:{lane}", self.control)
    }

    /// Sorted set, all scores 0: flows of one class that have, or just had, ready jobs.
    pub fn lanes(&self, class: usize) -> String {
        format!("{}:lanes:{class}", self.control)
    }

    /// Sorted set: flows of one class by their turn (virtual time).
    pub fn ring(&self, class: usize) -> String {
        format!("{}:ring:{class}", self.control)
    }

    /// Hash: how many lanes of one class each tenant has in the ring, and how many
    /// each limit key holds (`tenant|limit key`).
    pub fn flows(&self, class: usize) -> String {
        format!("{}:flows:{class}", self.control)
    }

    /// Sorted set: ids by the ms at which they become ready.
    pub fn scheduled(&self) -> String {
        self.key("scheduled")
    }

    /// Sorted set: numbers of claims by the ms at which their lease expires.
    pub fn running(&self) -> String {
        self.key("running")
    }

    /// Hash: the `ids` of one claim's jobs, and how many of them are `left` running.
    pub fn lease(&self, claim: u64) -> String {
        format!("{}:lease:{claim}", self.control)
    }

    /// Sorted set: ids by the ms at which they were parked.
    pub fn parked(&self) -> String {
        self.key("parked")
    }

    /// Stream: ids that succeeded, several in an entry, whose one field is named by
    /// when (ms).
    pub fn succeeded(&self) -> String {
        self.key("succeeded")
    }

    /// Sorted set: ids by the ms at which they died.
    pub fn dead(&self) -> String {
        self.key("dead")
    }

    /// Sorted set: ids by the ms at which they were cancelled.
    pub fn cancelled(&self) -> String {
        self.key("cancelled")
    }

    /// Sorted set: ids by the deadline (ms) at which they end as expired; and `wait ID` of parked
    /// jobs by when their wait ends (ms).
    pub fn expiring(&self) -> String {
        self.key("expiring")
    }

    /// Hash: how many parked jobs wait for each need.
    pub fn needs(&self) -> String {
        self.key("needs")
    }

    /// Sorted set: ids that wait for one need (see [`crate::client::parking`]), by the ms at which
    /// they were parked.
    pub fn need(&self, need: &str) -> String {
        format!("{}:need:{need}", self.control)
    }

    /// Hash: of each need whose jobs are let go in parts, how far that is: up to which time (ms)
    /// they had been parked, how many there were, how many are done, and since when (ms).
    pub fn releasing(&self) -> String {
        self.key("releasing")
    }

    /// Sorted set: conditions for which a signal is kept, by when it came (ms).
    pub fn signals(&self) -> String {
        self.key("signals")
    }

    /// Hash: the signal that is kept for a condition: `payload`, `at`; the newest other payload
    /// (`other`, `other_at`; or its `other_digest` where the queue had no room) and how many
    /// `contradictions` there were; the `job` that took it last; of a confirmation its `id`, and of
    /// one that says that the work did not come out right the `reason` and the same `normal`ised; and
    /// the `bytes` that it counts for.
    pub fn signal(&self, condition: &str) -> String {
        format!("{}:signal:{condition}", self.control)
    }

    /// Sorted set: ids of jobs that ended because no signal came for a condition, by when (ms).
    pub fn silent(&self, condition: &str) -> String {
        format!("{}:silent:{condition}", self.control)
    }

    /// Sorted set: kinds (`K@V`) that jobs are parked for because a worker did not run them,
    /// by when a claim last visited them (µs).
    pub fn unknown(&self) -> String {
        self.key("unknown")
    }

    /// Sorted set, all scores 0: `class:flow NUL place NUL id` of the jobs that are parked for
    /// one kind.
    pub fn unknown_jobs(&self, kind: &str) -> String {
        format!("{}:unknown:{kind}", self.control)
    }

    /// Hash: the flow of a class and kind (`class:K@V`) whose parked jobs a claim visited last.
    pub fn unknown_turns(&self) -> String {
        self.key("unknown_turns")
    }

    /// Hash: limits and weights by limit key.
    pub fn limits(&self) -> String {
        self.key("limits")
    }

    /// Hash: tokens left in the bucket of each limit key, and when they were counted (µs).
    pub fn buckets(&self) -> String {
        self.key("buckets")
    }

    /// Hash: how many running jobs count for each limit key.
    pub fn holding(&self) -> String {
        self.key("holding")
    }

    /// Set: the running jobs that started before the limit was set.
    pub fn holders(&self, key: &str) -> String {
        format!("{}:holders:{key}", self.control)
    }

    /// Hash: limit keys whose running jobs are being counted, and until when (ms) no job starts
    /// under them.
    pub fn counting(&self) -> String {
        self.key("counting")
    }

    /// Sorted set: lanes that wait for one limit key, by class and turn.
    pub fn blocked(&self, key: &str) -> String {
        format!("{}:blocked:{key}", self.control)
    }

    /// Hash: the limit key that each blocked lane waits for.
    pub fn held(&self) -> String {
        self.key("held")
    }

    /// Sorted set: limit keys by the ms at which they have a token for a blocked lane.
    pub fn paced(&self) -> String {
        self.key("paced")
    }

    /// Hash: of each lane that found room under one of its limit keys and none under another,
    /// how often it was sent on, and the key that it waited for last.
    pub fn passed(&self) -> String {
        self.key("passed")
    }

    /// Hash: by limit key the lane that was sent on so often that the next place is its own.
    pub fn promised(&self) -> String {
        self.key("promised")
    }

    /// Set: kinds that are paused.
    pub fn paused_kinds(&self) -> String {
        self.key("paused_kinds")
    }

    /// Hash: the `version` of the configuration, `at` which time (ms) it was stored, and until its
    /// limits are set `unset`: the last version whose limits were.
    pub fn configuration(&self) -> String {
        self.key("configuration")
    }

    /// List: the latest versions of the configuration ([`crate::Configuration`]), the newest
    /// first, each as `version at author`, a line feed and the document.
    pub fn configurations(&self) -> String {
        self.key("configurations")
    }

    /// Sorted set: names of schedules by when their next run starts (ms); `inf` for those that are
    /// paused or have none.
    pub fn schedules(&self) -> String {
        self.key("schedules")
    }

    /// Hash: a schedule: its `definition` (JSON) and the `version` of that, its `origin` (`settings` or
    /// `api`), `by` whom and when it was `changed` (ms); the `next` due time and when its run `starts` (ms);
    /// `paused`: since when (ms) and by whom; how many `runs` it had and due times it `missed`; of its last
    /// run the `last_due` time, when (ms) it was enqueued (`last_at`) and its job (`last_job`).
    pub fn schedule(&self, name: &str) -> String {
        format!("{}:schedule:{name}", self.control)
    }

    /// String: the id that holds an idempotency key.
    pub fn unique(&self, key: &str) -> String {
        format!("{}:unique:{key}", self.control)
    }

    /// String: the id of the job that this id duplicates under an idempotency key, for as long as
    /// the enqueue says.
    pub fn duplicate(&self, id: &JobId) -> String {
        format!("{}:duplicate:{id}", self.control)
    }

    /// Sorted set: groups that have jobs, by the ms of their last failure.
    pub fn groups(&self) -> String {
        self.key("groups")
    }

    /// Hash: what the jobs of a group share: `class`, `kind` and `normal`ised message; when its `first`
    /// and `last` failure was, and since when it is there `again` after it had no jobs (ms); the `count`
    /// of failures, and how many of them are of `other` tenants than those that are counted; the
    /// last job (`sample`), and what it `said`.
    pub fn group(&self, fingerprint: &str) -> String {
        format!("{}:group:{fingerprint}", self.control)
    }

    /// Sorted set: dead ids of one group by the ms at which they died.
    pub fn members(&self, fingerprint: &str) -> String {
        format!("{}:members:{fingerprint}", self.control)
    }

    /// Sorted set: ids of one group that failed so and run again, by the ms at which they failed.
    pub fn retrying(&self, fingerprint: &str) -> String {
        format!("{}:retrying:{fingerprint}", self.control)
    }

    /// Sorted set: groups that have no jobs any more, by the ms at which the last one left.
    pub fn past_groups(&self) -> String {
        self.key("past_groups")
    }

    /// Hash: failures of one group by hour (hours since 1970), of the last 7 days in which there were some.
    pub fn group_hours(&self, fingerprint: &str) -> String {
        format!("{}:group_hours:{fingerprint}", self.control)
    }

    /// Sorted set: up to 64 tenants of one group by the number of their failures.
    pub fn group_tenants(&self, fingerprint: &str) -> String {
        format!("{}:group_tenants:{fingerprint}", self.control)
    }

    /// Hash: by act what operators did about the jobs of one group, and what became of them; the newest
    /// 20 acts.
    pub fn group_acts(&self, fingerprint: &str) -> String {
        format!("{}:group_acts:{fingerprint}", self.control)
    }

    /// Sorted set, all scores 0: `subject NUL id`, read by prefix.
    pub fn subjects(&self) -> String {
        self.key("subjects")
    }

    /// Hash: counters of transitions.
    pub fn stats(&self) -> String {
        self.key("stats")
    }

    /// String: a worker's last request id that is even or odd, and the number that the queue gave its
    /// claim; for two leases.
    pub fn claim(&self, worker: &str, request_id: u64) -> String {
        format!("{}:claim:{worker}:{}", self.control, request_id % 2)
    }

    /// Sorted set: workers by until when they count as there (ms), unless they tell again.
    pub fn workers(&self) -> String {
        self.key("workers")
    }

    /// Hash: what each of these workers tells of itself.
    pub fn worker_facts(&self) -> String {
        self.key("worker_facts")
    }

    /// String: the worker that sweeps at present, and the number of its last renewal.
    pub fn sweeper(&self) -> String {
        self.key("sweeper")
    }

    /// String: the process that relays receipts at present, and the number of its last renewal.
    pub fn relay(&self) -> String {
        self.key("relay")
    }

    /// Stream: transitions, several in an entry.
    pub fn outbox(&self) -> String {
        self.key("outbox")
    }

    /// Hash: one operation on many jobs: its `plan`, its `state`, its `cursor`, its figures.
    pub fn operation(&self, id: &OperationId) -> String {
        format!("{}:operation:{id}", self.control)
    }

    /// Sorted set: ids of operations by when they were created (ms).
    pub fn operations(&self) -> String {
        self.key("operations")
    }

    /// Sorted set: ids of operations that count or run, by since when (ms).
    pub fn operating(&self) -> String {
        self.key("operating")
    }

    /// List: the newest jobs that an operation did not change, each as `id reason`.
    pub fn refusals(&self, id: &OperationId) -> String {
        format!("{}:refusals:{id}", self.control)
    }

    /// String: the process that walks operations at present, and the number of its last renewal.
    pub fn operator(&self) -> String {
        self.key("operator")
    }

    /// Hash: how often expectations moved, by `route|from>to` (route a number, accounts a letter
    /// each).
    pub fn books(&self) -> String {
        self.key("books")
    }

    /// Hash: the number of each route by its name.
    pub fn routes(&self) -> String {
        self.key("routes")
    }

    /// Sorted set: ids, separated by blanks, of jobs that one call enqueued and whose outcome is
    /// expected within the same 250 ms; by the end of these (ms). The watchdog removes a member
    /// when its time has come.
    pub fn due(&self) -> String {
        self.key("due")
    }

    /// Sorted set: ids of a route's expectations in one account, by when they were due (overdue and
    /// reopened ones) or by when they got there (ms).
    pub fn outcomes(&self, route: u32, account: Account) -> String {
        format!("{}:outcomes:{route}:{}", self.control, account.letter())
    }

    /// Sorted set: `DAY:t` (achieved in time) and `DAY:e` (exceptions) of which there are rows, by
    /// day (days since 1970).
    pub fn verdicts(&self) -> String {
        self.key("verdicts")
    }

    /// Hash: by id a row (JSON) about the verdict of a forgotten job, of one day; `t` for those
    /// achieved in time, `e` for exceptions.
    pub fn verdicts_of(&self, day: i64, of: &str) -> String {
        format!("{}:verdicts:{day}:{of}", self.control)
    }

    /// Hash: by tenant how many expectations have no verdict (`o|TENANT`), and how many of these are
    /// overdue (`v|TENANT`). A count of 0 has no field.
    pub fn open_by_tenant(&self) -> String {
        self.key("open_by_tenant")
    }

    /// Hash: counts of one day: `t|TENANT|account` and `c|CAUSE`.
    pub fn figures(&self, day: i64) -> String {
        format!("{}:figures:{day}", self.control)
    }

    /// Stream: the books at the beginning of each minute, in one field.
    pub fn minutes(&self) -> String {
        self.key("minutes")
    }

    /// Stream: the same of each hour.
    pub fn hours(&self) -> String {
        self.key("hours")
    }

    /// Hash: histograms of how long the jobs took whose outcomes were achieved in an hour (hours since
    /// 1970), by `route|stage|bucket`; `e` instead of a stage for the whole time, and
    /// `route|s` for jobs whose clocks disagreed; `by|worker` is the number of a worker's last call, and
    /// `*` what did not fit.
    pub fn clocks(&self, hour: i64) -> String {
        format!("{}:clocks:{hour}", self.control)
    }

    /// String: the process that watches what falls due.
    pub fn watchdog(&self) -> String {
        self.key("watchdog")
    }

    /// String: the time (µs), if a test sets it.
    pub fn clock(&self) -> String {
        self.key("clock")
    }

    /// Channel: there may be work for a worker that sleeps.
    pub fn wake(&self) -> String {
        self.key("wake")
    }

    /// Channel: ids of jobs that changed, separated by blanks.
    pub fn changes(&self) -> String {
        self.key("changes")
    }

    /// Channel: versions of the configuration that were stored.
    pub fn configured(&self) -> String {
        self.key("configured")
    }

    /// Channel: ids of running jobs to cancel.
    pub fn cancels(&self) -> String {
        self.key("cancels")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The committed snapshot of the layout. Changing it orphans stored jobs.
    #[test]
    fn layout_matches_the_snapshot() {
        let keys = Keys::new("upshot", &"invoices".parse().unwrap());
        let id: JobId = "aaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap();
        let operation: OperationId = "bbbbbbbbbbbbbbbbbbbbbbbbbb".parse().unwrap();
        let layout = [
            keys.control().to_owned(),
            keys.none(),
            keys.job(&id),
            keys.lane("2:acme"),
            keys.placed("2:acme"),
            keys.gone("2:acme"),
            keys.lanes(2),
            keys.ring(2),
            keys.flows(2),
            keys.scheduled(),
            keys.running(),
            keys.lease(17),
            keys.parked(),
            keys.succeeded(),
            keys.dead(),
            keys.cancelled(),
            keys.expiring(),
            keys.needs(),
            keys.need("kind invoice.issue@2"),
            keys.releasing(),
            keys.signals(),
            keys.signal("wait order-1042 confirmed"),
            keys.silent("wait order-1042 confirmed"),
            keys.unknown(),
            keys.unknown_jobs("invoice.issue@2"),
            keys.unknown_turns(),
            keys.limits(),
            keys.buckets(),
            keys.holding(),
            keys.holders("key:smtp"),
            keys.counting(),
            keys.blocked("key:smtp"),
            keys.held(),
            keys.paced(),
            keys.passed(),
            keys.promised(),
            keys.paused_kinds(),
            keys.configuration(),
            keys.configurations(),
            keys.schedules(),
            keys.schedule("nightly-report"),
            keys.unique("order-1042"),
            keys.duplicate(&id),
            keys.groups(),
            keys.group("0123456789abcdef"),
            keys.members("0123456789abcdef"),
            keys.retrying("0123456789abcdef"),
            keys.past_groups(),
            keys.group_hours("0123456789abcdef"),
            keys.group_tenants("0123456789abcdef"),
            keys.group_acts("0123456789abcdef"),
            keys.subjects(),
            keys.stats(),
            keys.claim("4711-8d3fa0b2", 5),
            keys.workers(),
            keys.worker_facts(),
            keys.sweeper(),
            keys.relay(),
            keys.outbox(),
            keys.operation(&operation),
            keys.operations(),
            keys.operating(),
            keys.refusals(&operation),
            keys.operator(),
            keys.books(),
            keys.routes(),
            keys.due(),
            keys.outcomes(3, Account::Missed),
            keys.verdicts(),
            keys.verdicts_of(20_787, "e"),
            keys.figures(20_787),
            keys.open_by_tenant(),
            keys.minutes(),
            keys.hours(),
            keys.clocks(498_888),
            keys.watchdog(),
            keys.clock(),
            keys.wake(),
            keys.changes(),
            keys.cancels(),
            keys.configured(),
        ];
        let documented = include_str!("../../../docs/redis-keys.md");
        for key in &layout {
            assert!(key.contains("{invoices}"), "{key} has no hash tag");
            assert!(documented.contains(&format!("`{key}`")), "docs/redis-keys.md does not list `{key}`");
        }
        assert_eq!(documented.matches("| `upshot:{invoices}").count(), layout.len());
    }

    #[test]
    fn lua_and_rust_name_the_same_keys() {
        let keys = Keys::new("upshot", &"invoices".parse().unwrap());
        let id: JobId = "aaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap();
        let operation: OperationId = "bbbbbbbbbbbbbbbbbbbbbbbbbb".parse().unwrap();
        let rust = [
            keys.job(&id),
            keys.lane(""),
            keys.placed(""),
            keys.gone(""),
            keys.lanes(2),
            keys.flows(2),
            keys.scheduled(),
            keys.running(),
            keys.lease(0).replace(":0", ":"),
            keys.parked(),
            keys.succeeded(),
            keys.dead(),
            keys.cancelled(),
            keys.expiring(),
            keys.needs(),
            keys.need(""),
            keys.releasing(),
            keys.signals(),
            keys.signal(""),
            keys.silent(""),
            keys.unknown(),
            keys.unknown_jobs(""),
            keys.unknown_turns(),
            keys.limits(),
            keys.buckets(),
            keys.holding(),
            keys.holders(""),
            keys.counting(),
            keys.blocked(""),
            keys.held(),
            keys.paced(),
            keys.passed(),
            keys.promised(),
            keys.paused_kinds(),
            keys.configuration(),
            keys.configurations(),
            keys.schedules(),
            keys.schedule(""),
            keys.unique(""),
            keys.duplicate(&id),
            keys.groups(),
            keys.group(""),
            keys.members(""),
            keys.retrying(""),
            keys.past_groups(),
            keys.group_hours(""),
            keys.group_tenants(""),
            keys.group_acts(""),
            keys.subjects(),
            keys.stats(),
            keys.ring(0),
            keys.claim("", 0).replace(":0", ""),
            keys.workers(),
            keys.worker_facts(),
            keys.outbox(),
            keys.operation(&operation),
            keys.operations(),
            keys.operating(),
            keys.refusals(&operation),
            keys.books(),
            keys.routes(),
            keys.due(),
            keys.outcomes(3, Account::Missed),
            keys.verdicts(),
            keys.verdicts_of(20_787, "e"),
            keys.figures(20_787),
            keys.minutes(),
            keys.hours(),
            keys.clocks(0).replace(":0", ":"),
            keys.watchdog(),
            keys.open_by_tenant(),
            keys.wake(),
            keys.changes(),
            keys.cancels(),
            keys.configured(),
        ];
        for (name, rest) in NAMES {
            let key = format!("{}{rest}", keys.control());
            let known =
                rust.iter().any(|each| *each == key || (key.ends_with(':') && each.starts_with(&key)));
            assert!(known, "{name} has no function of its own");
        }
    }
}
