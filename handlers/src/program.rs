//! The program `upshot`: the facade with the shipped handlers.

use upshot::{Call, Result, prelude::*, runtime::settings::Program};

use crate::{
    demo_orders,
    invoice::{
        Seller,
        delivery::Delivery,
        issue::{Desk, IssueInvoice},
    },
};

/// Its default settings and contracts.
pub const PROGRAM: Program = Program {
    name: "upshot",
    version: env!("CARGO_PKG_VERSION"),
    defaults: include_str!("defaults.toml"),
    contracts: &[(
        "order.completed.v1",
        include_str!("../../contracts/events/order.completed.v1.schema.json"),
    )],
};

/// Runs the command that was asked for.
///
/// # Errors
/// As [`Upshot::main`].
pub async fn main() -> Result<()> {
    let app = Upshot::program(PROGRAM)
        .section::<Seller>(Desk::SECTION)
        .section::<Delivery>(Delivery::SECTION)
        .command(demo_orders::command())
        .from_env()?
        .on(demo_orders::NAME, |call: Call| demo_orders::run(call));
    app.prepare(Desk::set_up).job::<IssueInvoice>().main().await
}
