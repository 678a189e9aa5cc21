//! Values that are read with bounds: an impossible one is refused with the name of its flag.

use upshot_shared::duration as durations;

/// Checks a duration and passes it on as it is written: the API reads it.
pub fn duration(text: &str) -> Result<String, String> {
    durations::parse(text).map(|_| text.to_owned())
}
