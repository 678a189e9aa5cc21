//! The program that `scripts/prove` puts to the proof: three kinds of jobs on three routes.
//!
//! | module | its one thing |
//! |---|---|
//! | [`fate`] | what an event wants its jobs to come to, and how a handler brings that about |
//! | [`kinds`] | the three kinds |

pub mod fate;
pub mod kinds;

use kinds::{BillOrder, ConfirmOrder, TrackParcel};
use upshot::prelude::*;

#[tokio::main]
async fn main() -> upshot::Result<()> {
    let app = Upshot::from_env()?;
    app.state(()).job::<ConfirmOrder>().job::<BillOrder>().job::<TrackParcel>().main().await
}
