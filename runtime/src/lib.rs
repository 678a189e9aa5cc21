//! Sets up a process: settings, logs, metrics, health, and connections to RabbitMQ.
//!
//! | module | its one thing |
//! |---|---|
//! | [`settings`] | layered settings; `settings/default.toml` is their documentation |
//! | [`secret`] | settings that no screen shows |
//! | [`telemetry`] | logs and metrics |
//! | [`health`] | what a service waits for, for `/readyz` |
//! | [`durability`] | whether Redis keeps acknowledged events as safely as demanded |
//! | [`amqp`] | exchange and queue names, connections, publishing with confirms |
//! | `store` | files: a local folder or S3 (feature `files`) |
//! | [`known`] | finds the jobs of an event that are there already |

pub mod amqp;
pub mod durability;
pub mod health;
pub mod known;
pub mod secret;
pub mod settings;
#[cfg(feature = "files")]
pub mod store;
pub mod telemetry;

pub use health::Health;
pub use settings::Settings;
