//! What the sweeper counts.

use metrics::{counter, describe_counter};

/// What may be swept.
const SWEPT: [&str; 2] = ["draft", "staging"];

/// Says what the metric means, and starts it at 0.
pub(super) fn describe() {
    describe_counter!("upshot_store_swept_total", "Files that no job needs any longer and that were removed.");
    for what in SWEPT {
        counter!("upshot_store_swept_total", "what" => what).absolute(0);
    }
}
