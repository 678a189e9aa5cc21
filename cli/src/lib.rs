//! The facade: a team's own program on Upshot, with all services and operator commands.
//!
//! | module | its one thing |
//! |---|---|
//! | [`app`] | a program: its jobs, and the commands that it gets |
//! | [`error`] | an error of a program, as people read it |
//! | `pdf` | PDF from templates (feature `pdf`) |
//! | `mail` | mail over SMTP (feature `mail`) |
//! | `files` | files in a store (feature `files`) |
//! | `arguments`, `help` | what can be said on the command line |
//! | `run`, `commands` | the commands, one a file |
//! | `doctor` | what `doctor` looks at |
//! | `exit` | the exit codes, and which error leads to which |
//! | `output` | everything that a command writes |
//! | `profiles` | the servers that a person has logged in to |
//! | `running` | the note that a running `up` leaves for other commands |
//!
//! ```no_run
//! use upshot::prelude::*;
//!
//! #[derive(Deserialize)]
//! struct Greet {
//!     name: String,
//! }
//!
//! impl Job for Greet {
//!     const KIND: &'static str = "customer.greet";
//!     type State = ();
//!
//!     async fn run(self, cx: &Context<()>) -> Result<Outcome, Stop> {
//!         cx.log(format!("greeting {}", self.name)).await?;
//!         Ok(Outcome::achieved("greeted", Evidence::new("greeting", [("to", self.name)])))
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> upshot::Result<()> {
//!     Upshot::from_env()?.job::<Greet>().main().await
//! }
//! ```
//! The program's settings lead an event to the job:
//! ```toml
//! [[routes]]
//! event = "customer.registered.v1"
//! job = "customer.greet"
//! queue = "customers"
//! within = "5m"
//! ```

pub mod app;
mod arguments;
mod commands;
mod doctor;
pub mod error;
mod exit;
mod help;
mod output;
#[cfg(feature = "pdf")]
pub mod pdf;
pub mod prelude;
mod profiles;
mod run;
mod running;

pub use app::{Call, Upshot};
pub use error::{Error, Result};
pub use upshot_executor as executor;
#[cfg(feature = "mail")]
pub use upshot_mail as mail;
pub use upshot_queue as queue;
pub use upshot_runtime as runtime;
#[cfg(feature = "files")]
pub use upshot_runtime::store as files;
pub use upshot_shared as shared;
