//! The metrics of the sweeper.

use metrics::{counter, describe_counter};

/// The kinds of swept files.
const SWEPT: [&str; 2] = ["draft", "staging"];

/// Describes the metric, and starts it at 0.
pub(super) fn describe() {
    describe_counter!(
        "upshot_store_swept_total",
        "Files that no job needs any longer and that were removed."
    );
    for what in SWEPT {
        counter!("upshot_store_swept_total", "what" => what).absolute(0);
    }
}
