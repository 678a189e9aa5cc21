//! What a handler author writes: a type for each kind of job.

use std::time::Duration;

use serde::de::DeserializeOwned;
use upshot_queue::Stop;
use upshot_shared::Outcome;

use crate::context::Context;

/// One kind of job: its arguments, and how it is done.
///
/// The type is the arguments, read from the job's JSON. Arguments that cannot be read park the job
/// until another build of the program starts.
///
/// ```
/// use serde::Deserialize;
/// use upshot_executor::{Context, Job, Stop};
/// use upshot_shared::{Evidence, Outcome};
///
/// #[derive(Deserialize)]
/// struct ShipOrder {
///     order: String,
///     parcels: Vec<String>,
/// }
///
/// impl Job for ShipOrder {
///     const KIND: &'static str = "order.ship";
///     type State = Carrier;
///
///     async fn run(self, cx: &Context<Carrier>) -> Result<Outcome, Stop> {
///         let label = cx.step("label", async || cx.state().print(&self.order).await).await?;
///         for parcel in &self.parcels {
///             cx.checkpoint()?;
///             cx.state().announce(parcel, &label).await?;
///         }
///         Ok(Outcome::achieved("shipped", Evidence::new("label", [("id", label)])))
///     }
/// }
/// # struct Carrier;
/// # impl Carrier {
/// #     async fn print(&self, _: &str) -> std::io::Result<String> { Ok(String::new()) }
/// #     async fn announce(&self, _: &str, _: &str) -> std::io::Result<()> { Ok(()) }
/// # }
/// ```
pub trait Job: DeserializeOwned + Send + 'static {
    /// The kind: a stable name, which waiting jobs carry. Never a Rust path.
    const KIND: &'static str;
    /// Previous names of the kind. Jobs that carry them run as well.
    const ALIASES: &'static [&'static str] = &[];
    /// The version of the arguments. A type for each version that may still wait is registered.
    const VERSION: u32 = 1;
    /// How long one attempt may run, where that is less than the `timeout` of its queue.
    const TIMEOUT: Option<Duration> = None;
    /// The names of the steps in order. They only serve the percentage of progress that a step
    /// shows; without them a handler says it with [`Context::progress`].
    const STEPS: &'static [&'static str] = &[];
    /// What the handler works with, shared by all jobs: clients, settings.
    type State: Send + Sync + 'static;

    /// Does the job, and says what came out.
    ///
    /// A handler may run twice: after a crash, a time-out or a stop the job starts from its
    /// beginning. A completed [step](Context::step) does not run again.
    ///
    /// # Errors
    /// Why there is no outcome. `?` makes a transient failure of any other error.
    fn run(self, cx: &Context<Self::State>) -> impl Future<Output = Result<Outcome, Stop>> + Send;
}
