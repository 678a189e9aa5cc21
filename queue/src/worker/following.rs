//! Whether a worker goes by the configuration that is stored with its queue.

/// Whether a worker goes by the configuration that is stored with its queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Following {
    /// It has not been read yet: nothing is claimed.
    #[default]
    Unread,
    /// The worker goes by it, or has no seed and goes by its own options.
    Followed,
    /// It is not read, or its limits cannot all be set, and why. A worker that went by a version
    /// before still does.
    Failing(String),
}
