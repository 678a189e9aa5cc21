//! Random interleavings of all operations, compared with a plain model.
//!
//! Each call of a script is atomic, so concurrent clients are a sequence of
//! calls by several simulated workers. `UPSHOT_MODEL_RUNS` says how many runs
//! there are, `UPSHOT_MODEL_SEED` which one is the first.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "model/cases.rs"]
mod cases;
#[path = "model/claim.rs"]
mod claim;
#[path = "model/end.rs"]
mod end;
#[path = "model/fairness.rs"]
mod fairness;
#[path = "model/groups.rs"]
mod groups;
#[path = "shared/handles.rs"]
mod handles;
#[path = "model/job.rs"]
mod job;
#[path = "model/ledger.rs"]
mod ledger;
#[path = "model/legal.rs"]
mod legal;
#[path = "model/model.rs"]
mod model;
#[path = "model/operation.rs"]
mod operation;
#[path = "model/run.rs"]
mod run;
#[path = "model/runs.rs"]
mod runs;
#[path = "model/server.rs"]
mod server;
#[path = "model/shrink.rs"]
mod shrink;
#[path = "model/sweep.rs"]
mod sweep;
