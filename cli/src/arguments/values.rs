//! Values with bounds. An impossible value is refused with the name of its flag.

use upshot_shared::duration as durations;

/// The slowest rate: one order a day.
const SLOWEST: f64 = 1.0 / 86_400.0;
/// The most orders a second.
const MOST_ORDERS: f64 = 100_000.0;

/// Checks a duration and passes its text on, because the API reads it.
pub fn duration(text: &str) -> Result<String, String> {
    durations::parse(text).map(|_| text.to_owned())
}

/// The rate at which orders are published.
pub fn orders_a_second(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (SLOWEST..=MOST_ORDERS).contains(&rate) => Ok(rate),
        Ok(rate) if rate > 0.0 && rate < SLOWEST => {
            Err(format!("it is slower than one a day: use {SLOWEST:.6} (a second) at least"))
        }
        _ => Err(format!("use a number above 0 and up to {MOST_ORDERS} (a second)")),
    }
}
