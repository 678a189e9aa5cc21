//! The handlers that ship with Upshot, and the program that has them.
//!
//! | module | its one thing |
//! |---|---|
//! | [`invoice`] | an order's invoice: computed, rendered, filed, mailed |
//! | [`program`] | the program `upshot`: its default settings and contracts |
//! | [`demo_orders`] | the orders of a made-up shop |

pub mod demo_orders;
pub mod invoice;
pub mod program;
