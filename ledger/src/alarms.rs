//! Alarms by cause, for teams without Prometheus: what is wrong now, since when, and who was told.
//!
//! | module | its one thing |
//! |---|---|
//! | [`sort`] | the sorts of alarms: what each is called, how bad it is, how long it must last |
//! | [`readings`] | what is looked at, and which causes that shows |
//! | [`growth`] | counts that grew lately |
//! | [`state`] | which alarms are on, from one look to the next |
//! | [`notices`] | what is to be told, and when it is tried again |
//! | [`store`] | the state in Redis, and the right of one process to change it |
//!
//! Everything but the store is pure. The rules in `deploy/prometheus/upshot.rules.yml` have the same
//! causes, bounds and times; a test holds the names and severities together.

pub mod growth;
pub mod notices;
pub mod readings;
pub mod sort;
pub mod state;
pub mod store;

pub use notices::{Notice, Told};
pub use readings::{QueueReading, Readings, RouteReading};
pub use sort::{Severity, Sort};
pub use state::{Alarm, Looking, State};
pub use store::{Holding, Store};
