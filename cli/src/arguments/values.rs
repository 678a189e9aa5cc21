//! Values with bounds. An impossible value is refused with the name of its flag.

use upshot_shared::duration as durations;

/// Checks a duration and passes its text on, because the API reads it.
pub fn duration(text: &str) -> Result<String, String> {
    durations::parse(text).map(|_| text.to_owned())
}
