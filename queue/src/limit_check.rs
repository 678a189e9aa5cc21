//! Whether a limit can be kept, before it is set.

use crate::limit::{BadLimit, Limit, LimitKey};

impl Limit {
    /// Whether it can be kept; setting it would say the same.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(&self, key: &LimitKey) -> Result<(), BadLimit> {
        self.stored(key).map(drop)
    }
}
