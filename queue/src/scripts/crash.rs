//! A crash on request: the process aborts right after its n-th write to a job.
//!
//! A test sets the variable `UPSHOT_CRASH_AFTER` to n, from 1, and starts the process again without
//! it. So it sees what a crash between any two writes leaves behind. The writes are those that
//! enqueue, change or settle jobs, those of running attempts and of operations, and the rows about
//! messages in quarantine. Claims are none: how often a worker asks for jobs depends on time.

use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};

use super::{CHANGE, COMPLETE, ENQUEUE, FIRE, OPERATION, Pair, WRITE};

/// The variable.
const VARIABLE: &str = "UPSHOT_CRASH_AFTER";

/// The write after which to abort; 0 for never.
static AFTER: LazyLock<u64> = LazyLock::new(|| {
    let Ok(text) = std::env::var(VARIABLE) else { return 0 };
    text.parse().unwrap_or_else(|_| {
        tracing::error!(value = text, "{VARIABLE} is not a number of writes, and nothing crashes");
        0
    })
});

/// Whether a script writes to jobs.
pub(super) fn is_write(script: &Pair) -> bool {
    [&ENQUEUE, &FIRE, &WRITE, &COMPLETE, &CHANGE, &OPERATION].iter().any(|write| std::ptr::eq(*write, script))
}

/// Counts a write that Redis has made.
pub fn wrote() {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    if *AFTER > 0 && WRITES.fetch_add(1, Ordering::Relaxed) + 1 == *AFTER {
        tracing::error!(after = *AFTER, "the process aborts, as {VARIABLE} asks");
        std::process::abort();
    }
}
