//! The policy numbers of the scripts. Each stands here or in the module that it belongs to.
//! Composing a script binds the Lua names to these numbers, so Lua has none of its own.

use crate::{
    job::{MAX_TIME, NO_DUE},
    policy::{
        limit::{FASTEST, HEAVIEST, LIGHTEST, SLOWEST},
        priority::Priority,
    },
    redis::keys::SCHEMA,
};

/// Bytes of history that are kept with a job.
const HISTORY_BYTES: usize = 8 * 1024;
/// Lines of history that are kept with a job.
const HISTORY_LINES: usize = 64;

/// A job without a deadline is as urgent as a job that is due a day after it became ready. So jobs
/// with deadlines do not starve it.
const PATIENCE_US: u64 = 24 * 3600 * 1_000_000;

/// The largest batch. It bounds Lua's `unpack`, and the time for which one call blocks Redis.
pub(crate) const MAX_BATCH: usize = 128;

/// Jobs of one claim. More than in other batches, because a part of a call's cost does not depend
/// on the number of jobs. Not more, because claims are the longest calls: one should stay below 5
/// ms even with a tick of the kernel (4 ms) in it.
pub(crate) const MAX_CLAIM: usize = 160;

/// Ends of one completion, which cost less.
pub(crate) const MAX_ENDS: usize = 192;

/// A call stops adding jobs (enqueue, claim, promotion, reclaim) or ends (completion) once their
/// bodies total this many bytes, because Redis copies each.
pub(crate) const CALL_BYTES: usize = 512 * 1024;
/// The same with a test's clock: few enough to be reached in thousands of runs.
pub(super) const TEST_CALL_BYTES: usize = 64 * 1024;

/// About the most lanes of a claim, because a lane costs as much as two jobs. A class with a part
/// of the claim gets the same part of the lanes.
pub(crate) const LANES_AT_MOST: usize = 32;
/// The most lanes of all classes of a claim together.
const CLAIM_LANES: usize = 48;
/// With more lanes than this, a claim is smaller: their jobs lie far apart in memory and cost Redis
/// half as much again.
const MANY_LANES: usize = 1024;
/// The size of such a claim.
const JOBS_OF_MANY: usize = 80;
/// About the most jobs for which a new lane waits because other lanes are served ahead of their
/// turns.
const ROTATION: usize = 4096;
/// The most jobs of its share that a class may save up. It is above what one claim pays and earns.
const CREDIT: usize = 384;

/// How often a lane with several limit keys is sent on to another key before a slot is reserved
/// for it.
const RESERVE_AFTER: usize = 4;
/// How soon (ms) a lane looks again for a token that is reserved for another lane.
const RESERVED_TOKEN_MS: u64 = 1000;
/// Keys whose reservations one call gives up.
pub(crate) const RESERVATIONS_GIVEN_UP: usize = 32;
/// Lanes that one release returns to the schedule. Each of them ends in another release.
const LANES_LET_IN: usize = 32;
/// How long (ms) no job starts under a limit key while the jobs that run already are counted.
const COUNTING_MS: u64 = 10_000;

/// The most kinds with parked jobs that a claim visits.
const KINDS_AT_MOST: usize = 32;
/// The most flows of such kinds that a claim visits, including flows that a limit holds.
const KIND_FLOWS: usize = 64;
/// Rounds through these flows in which a claim is filled.
const KIND_ROUNDS: usize = 16;
/// How soon (ms) a claim comes back that could not visit all of them and leased nothing.
const AGAIN_MS: u64 = 100;

/// The length (ms) of a lease without a stored length, from an earlier version.
const UNKNOWN_LEASE_MS: u64 = 600_000;
/// Entries of succeeded jobs that one trim reads.
const SUCCEEDED_ENTRIES: usize = 16;
/// A scrub counts the ready jobs of a class with at most this many lanes.
const SCRUB_LANES: usize = 64;

/// Bytes that a signal takes of Redis' memory besides its payloads and its condition, about.
const SIGNAL_BYTES: usize = 250;

/// Outcomes that are due within so many ms become overdue together.
const TICK_MS: u64 = 250;
/// Members of `due` that one call of the watchdog reads, each with the ids of at most one enqueue.
const DUE_PACKS: usize = 16;
/// Ids that one call of the watchdog looks at.
pub(crate) const DUE_IDS: usize = 512;
/// Snapshots of the books: one a minute for a day, one an hour for 90 days.
const SNAPSHOT_MINUTES: usize = 24 * 60;
const SNAPSHOT_HOURS: usize = 90 * 24;
/// How long (ms) the counts of a day are kept.
const FIGURES_MS: u64 = 91 * 24 * 3600 * 1000;
/// Fields of such counts, which bounds tenants and causes of a day.
const MAX_FIGURES: usize = 4096;
/// How long (ms) the histograms of an hour are kept.
pub(crate) const CLOCKS_MS: u64 = 7 * 24 * 3600 * 1000;
/// Fields of such histograms, which bounds routes.
const MAX_CLOCKS: usize = 4096;
/// Jobs, lanes or claims of a state among which the oldest jobs are looked for.
const OLDEST_OF: usize = 32;
/// Hours for which a group of failures counts them, one by one.
pub(crate) const GROUP_HOURS_KEPT: usize = 7 * 24;
/// Tenants that a group of failures counts at the same time.
const GROUP_TENANTS_KEPT: usize = 64;
/// Acts of operators that a group keeps.
const GROUP_ACTS_KEPT: usize = 20;
/// How long (ms) a group without jobs is kept.
const PAST_GROUP_MS: u64 = 30 * 24 * 3600 * 1000;
/// Groups of a queue. Beyond that, each new one displaces the oldest one without jobs.
const MAX_GROUPS: usize = 10_000;
/// Bytes of a cause of failure in the name of such a field.
const CAUSE_BYTES: usize = 100;
/// Bytes that a row keeps of a name.
const NAME_BYTES: usize = 64;
/// Bytes that a row takes of Redis' memory besides its text, with its entries in indexes, about.
const ROW_BYTES: usize = 250;
/// The group of the outbox whose readers send receipts.
pub(crate) const RECEIPTS: &str = "receipts";

/// Entries of a sorted set that are read at once.
const MAX_PAGE: usize = 1024;
/// Ids of a lane that are read at once.
const MAX_LANE_PAGE: usize = 640;
/// Limits that are read at once.
const MAX_LIMITS: usize = 1000;

/// Schedules of a queue, at most: all are read at once.
pub(crate) const MAX_SCHEDULES: usize = 500;

/// Workers of a queue that are read at once.
const MAX_WORKERS: usize = 512;

/// Running jobs that are named as holders of a limit key.
const NAMED_HOLDERS: usize = 5;
/// Claims among whose jobs they are looked for.
const HOLDER_CLAIMS: usize = 16;

/// Refusals of an operation that are kept.
const KEPT_REFUSALS: usize = 1_000;
/// Old operations that a new one removes at most.
const TRIMMED_OPERATIONS: usize = 16;
/// Fields of an operation with which no further cause of death gets a count of its own.
const OPERATION_FIELDS: usize = 256;

/// Their names in Lua, and their values in Lua's syntax.
pub(super) fn constants(call_bytes: usize) -> Vec<(&'static str, String)> {
    let text = |value: &dyn std::fmt::Display| format!("'{value}'");
    let number = |value: &dyn std::fmt::Display| value.to_string();
    vec![
        ("SCHEMA", text(&SCHEMA)),
        ("NORMAL", text(&Priority::Normal.class())),
        ("CLASSES", number(&Priority::ALL.len())),
        ("CALL_BYTES", number(&call_bytes)),
        ("MAX_BATCH", number(&MAX_BATCH)),
        ("MAX_TIME_MS", number(&MAX_TIME.as_millis())),
        ("HISTORY_BYTES", number(&HISTORY_BYTES)),
        ("HISTORY_LINES", number(&HISTORY_LINES)),
        ("PATIENCE_US", number(&PATIENCE_US)),
        ("LANES_AT_MOST", number(&LANES_AT_MOST)),
        ("CLAIM_LANES", number(&CLAIM_LANES)),
        ("MANY_LANES", number(&MANY_LANES)),
        ("JOBS_OF_MANY", number(&JOBS_OF_MANY)),
        ("ROTATION", number(&ROTATION)),
        ("CREDIT", number(&CREDIT)),
        ("RESERVE_AFTER", number(&RESERVE_AFTER)),
        ("RESERVED_TOKEN_MS", number(&RESERVED_TOKEN_MS)),
        ("RESERVATIONS_GIVEN_UP", number(&RESERVATIONS_GIVEN_UP)),
        ("LANES_LET_IN", number(&LANES_LET_IN)),
        ("COUNTING_MS", number(&COUNTING_MS)),
        ("SLOWEST", number(&SLOWEST)),
        ("FASTEST", number(&FASTEST)),
        ("LIGHTEST", number(&LIGHTEST)),
        ("HEAVIEST", number(&HEAVIEST)),
        ("KINDS_AT_MOST", number(&KINDS_AT_MOST)),
        ("KIND_FLOWS", number(&KIND_FLOWS)),
        ("KIND_ROUNDS", number(&KIND_ROUNDS)),
        ("AGAIN_MS", number(&AGAIN_MS)),
        ("UNKNOWN_LEASE_MS", number(&UNKNOWN_LEASE_MS)),
        ("SUCCEEDED_ENTRIES", number(&SUCCEEDED_ENTRIES)),
        ("SCRUB_LANES", number(&SCRUB_LANES)),
        ("SIGNAL_BYTES", number(&SIGNAL_BYTES)),
        ("NO_DUE", text(&NO_DUE)),
        ("DAY_MS", number(&(24 * 3600 * 1000))),
        ("MINUTE_MS", number(&60_000)),
        ("HOUR_MS", number(&(3600 * 1000))),
        ("GROUP_HOURS_KEPT", number(&GROUP_HOURS_KEPT)),
        ("GROUP_TENANTS_KEPT", number(&GROUP_TENANTS_KEPT)),
        ("GROUP_ACTS_KEPT", number(&GROUP_ACTS_KEPT)),
        ("PAST_GROUP_MS", number(&PAST_GROUP_MS)),
        ("MAX_GROUPS", number(&MAX_GROUPS)),
        ("TICK_MS", number(&TICK_MS)),
        ("DUE_PACKS", number(&DUE_PACKS)),
        ("SNAPSHOT_MINUTES", number(&SNAPSHOT_MINUTES)),
        ("SNAPSHOT_HOURS", number(&SNAPSHOT_HOURS)),
        ("FIGURES_MS", number(&FIGURES_MS)),
        ("MAX_FIGURES", number(&MAX_FIGURES)),
        ("CLOCKS_MS", number(&CLOCKS_MS)),
        ("MAX_CLOCKS", number(&MAX_CLOCKS)),
        ("OLDEST_OF", number(&OLDEST_OF)),
        ("CAUSE_BYTES", number(&CAUSE_BYTES)),
        ("NAME_BYTES", number(&NAME_BYTES)),
        ("ROW_BYTES", number(&ROW_BYTES)),
        ("RECEIPTS", text(&RECEIPTS)),
        ("MAX_PAGE", number(&MAX_PAGE)),
        ("MAX_LANE_PAGE", number(&MAX_LANE_PAGE)),
        ("MAX_LIMITS", number(&MAX_LIMITS)),
        ("MAX_SCHEDULES", number(&MAX_SCHEDULES)),
        ("MAX_WORKERS", number(&MAX_WORKERS)),
        ("NAMED_HOLDERS", number(&NAMED_HOLDERS)),
        ("HOLDER_CLAIMS", number(&HOLDER_CLAIMS)),
        ("KEPT_REFUSALS", number(&KEPT_REFUSALS)),
        ("TRIMMED_OPERATIONS", number(&TRIMMED_OPERATIONS)),
        ("OPERATION_FIELDS", number(&OPERATION_FIELDS)),
    ]
}
