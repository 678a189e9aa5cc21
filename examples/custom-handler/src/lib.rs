//! A shipping team's own handlers.
//!
//! | module | its one thing |
//! |---|---|
//! | [`carrier`] | the carrier that prints labels: the program's own settings and state |
//! | [`ship`] | `order.ship`: prints a label and announces each parcel |
//! | [`notify`] | `parcel.notify`: tells the customer of one parcel |

pub mod carrier;
pub mod notify;
pub mod ship;
