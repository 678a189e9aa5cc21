//! The `upshot` binary.
fn main() {}
