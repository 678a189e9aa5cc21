//! The time for people's eyes; deadlines use Redis' clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// UTC ms by this machine's clock.
pub(crate) fn utc_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
