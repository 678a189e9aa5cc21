//! What a handler author needs: `use upshot::prelude::*;`.

pub use serde::{Deserialize, Serialize};
pub use upshot_executor::{Child, Context, Job, Setup, Stop, Unclear, Waited};
pub use upshot_queue::{Failure, FailureClass, Park, Priority, Release, Snooze};
pub use upshot_runtime::settings::Program;
pub use upshot_shared::{Confirm, Evidence, OnSilence, Outcome, Part};

pub use crate::app::Upshot;
