//! The local time, for display only. Deadlines use Redis' clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// UTC ms by this machine's clock.
pub(crate) fn utc_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// A wait in ms, a century at most, because a larger number would overflow in Redis.
pub(crate) fn delay_ms(delay: Duration) -> u64 {
    const CENTURY: u128 = 100 * 366 * 24 * 3600 * 1000;
    delay.as_millis().min(CENTURY) as u64
}
