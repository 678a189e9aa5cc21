//! Access to Redis: connections, the names of keys, the version of their layout.

pub(crate) mod clock;
pub mod connect;
pub mod keys;
pub(crate) mod layout;
