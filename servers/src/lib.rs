//! Starts private servers as child processes: RabbitMQ, Redis and a mail catcher.
//!
//! Used by `upshot up`, by the tests and by the benches. Every server
//! - listens on 127.0.0.1 only, on ports that are remembered in its data folder,
//! - keeps its data in that folder, so that a second start finds it again,
//! - locks the folder, so that two processes never share one,
//! - and ends when the process that started it is gone, however that came about.
//!
//! ```no_run
//! # async fn example() -> Result<(), upshot_servers::Error> {
//! use upshot_servers::{RabbitOptions, RabbitServer, RedisServer};
//! let redis = RedisServer::start(".upshot/redis".as_ref()).await?;
//! let options = RabbitOptions { vhosts: vec!["upshot".into()], ..RabbitOptions::default() };
//! let rabbit = RabbitServer::start(".upshot/rabbitmq".as_ref(), options).await?;
//! println!("{} {}", redis.url(), rabbit.url("upshot"));
//! rabbit.stop().await?;
//! redis.stop().await
//! # }
//! ```

mod error;
mod folder;
mod mail;
mod ports;
mod program;
pub mod proxy;
mod rabbit;
mod ready;
mod redis;
mod server;
pub mod signal;
mod tether;
mod tls;
mod users;
mod wiretap;

pub use error::{Error, LogTail};
pub use folder::make_private;
pub use mail::{Mail, MailOptions, MailServer};
pub use proxy::Proxy;
pub use rabbit::{RabbitOptions, RabbitServer, RabbitTls};
pub use redis::{RedisCluster, RedisOptions, RedisSentinels, RedisServer};
#[cfg(feature = "certificates")]
pub use tls::Authority;
pub use tls::TlsFiles;
pub use users::{Service, pattern_of};
pub use wiretap::Wiretap;
