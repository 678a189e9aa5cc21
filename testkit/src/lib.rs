//! Tests of handlers, without Redis and with it.
//!
//! | module | its one thing |
//! |---|---|
//! | [`trial`] | runs a job without Redis: steps, progress, outcome, what it enqueued |
//! | [`run`] | what an attempt of a trial came to |
//! | [`faults`] | a crash, a lost lease, a stop or a cancel after an attempt's n-th write |
//! | [`rabbit`] | a private RabbitMQ, with a virtual host for each test |
//! | [`redis`] | a private Redis for a test, with an executor on it |
//! | [`wait`] | waiting on signals, with a limit |
//!
//! A trial runs the handler itself. What is not there is the queue around it:
//! ```
//! use serde_json::json;
//! use upshot_testkit::Trial;
//! # use serde::Deserialize;
//! # use upshot_executor::{Context, Job, Stop};
//! # use upshot_shared::{Evidence, Outcome};
//! # #[derive(Deserialize)] struct Greet { name: String }
//! # impl Job for Greet {
//! #     const KIND: &'static str = "customer.greet";
//! #     type State = ();
//! #     async fn run(self, cx: &Context<()>) -> Result<Outcome, Stop> {
//! #         let text = cx.step("write", async || Ok::<_, Stop>(format!("Dear {}", self.name))).await?;
//! #         Ok(Outcome::achieved("greeted", Evidence::new("letter", [("text", text)])))
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut trial = Trial::<Greet>::new(json!({"name": "Ada"}), ());
//! let run = trial.crash_after(2).run().await;
//! assert!(run.crashed());
//! let run = trial.run().await;
//! assert_eq!(run.outcome().summary, "greeted");
//! assert_eq!(run.step("write"), "Dear Ada");
//! # }
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test kit fails a test by panicking")]

pub mod faults;
pub mod rabbit;
pub mod redis;
pub mod run;
pub mod trial;
pub mod wait;

pub use rabbit::TestRabbit;
pub use redis::{TestRedis, Worker, own_redis, shared_redis};
pub use run::{Enqueued, Run};
pub use trial::{Trial, crash_everywhere};
pub use wait::{PATIENCE, until, within};
