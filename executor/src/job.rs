//! What a handler author writes: a type for each kind of job.

use std::time::Duration;

use serde::de::DeserializeOwned;
use upshot_queue::Stop;
use upshot_shared::Outcome;

use crate::context::Context;

/// One kind of job: its arguments and its work.
///
/// The type holds the arguments, read from the job's JSON. Unreadable arguments park the job until
/// another build of the program starts.
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
    /// The kind: a stable name that waiting jobs carry. Never a Rust path.
    const KIND: &'static str;
    /// Previous names of the kind. Jobs with these names run too.
    const ALIASES: &'static [&'static str] = &[];
    /// The version of the arguments. Register a type for each version that may still wait.
    const VERSION: u32 = 1;
    /// How long one attempt may run, if less than the `timeout` of its queue.
    const TIMEOUT: Option<Duration> = None;
    /// The names of the steps in order, only for the percentage of progress. Without them a handler
    /// can report progress with [`Context::progress`].
    const STEPS: &'static [&'static str] = &[];
    /// The state that all jobs of the handler share: clients, settings.
    type State: Send + Sync + 'static;

    /// Does the work, and returns the outcome.
    ///
    /// A handler may run twice. After a crash, a time-out or a stop the job starts from its
    /// beginning. A completed [step](Context::step) does not run again.
    ///
    /// # Errors
    /// The reason why there is no outcome. `?` turns any other error into a transient failure.
    fn run(self, cx: &Context<Self::State>) -> impl Future<Output = Result<Outcome, Stop>> + Send;
}
