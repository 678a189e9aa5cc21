//! Operations: acts on many jobs, each stored as a resource and walked in steps.
//!
//! An operation has a frozen selection: its filter, and the time of its creation. A walk goes through
//! an index, behind a cursor. Each step of the walk that changes jobs is one script: it changes them,
//! counts them, and stores the cursor. The script refuses a step that another process made, so a step
//! is made once, whatever crashes and however many processes try. A dry run walks the same way, and
//! only counts.
//!
//! | module | its one thing |
//! |---|---|
//! | [`read`] | operations as they are stored |
//! | [`steer`] | creates operations; starts, pauses, resumes and aborts them |
//! | [`walk`] | the jobs of a selection, in parts |
//! | [`advance`] | makes one step |

mod advance;
mod read;
mod steer;
mod walk;

pub use advance::{Advanced, Walker};
pub use read::{Deed, Operation, OperationCursor, OperationPage, Refusal};
pub use steer::{Created, Steered};
