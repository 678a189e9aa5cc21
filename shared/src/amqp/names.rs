//! The one place that names exchanges, queues and headers.

/// Topic exchange: producers publish events here, routing key = event type.
pub const EVENTS: &str = "upshot.events";
/// Quorum queue: what the bridge consumes.
pub const BRIDGE: &str = "upshot.bridge";
/// Fanout exchange and quorum queue: events that could not be accepted.
pub const QUARANTINE: &str = "upshot.quarantine";

/// Header of a quarantined message: the reason code.
pub const HEADER_REASON: &str = "x-upshot-reason";
/// Header of a quarantined message: a JSON pointer to the place.
pub const HEADER_PLACE: &str = "x-upshot-place";
/// Header of a quarantined message: what is wrong, for people.
pub const HEADER_DETAIL: &str = "x-upshot-detail";
/// Header of a quarantined message: the user that published it.
pub const HEADER_USER: &str = "x-upshot-user-id";
/// Header of a quarantined message: why its own headers are missing.
pub const HEADER_DROPPED: &str = "x-upshot-headers-dropped";
/// Header of a quarantined message: the routing key with which it came.
pub const HEADER_ROUTING_KEY: &str = "x-upshot-routing-key";
