//! A program on Upshot: all services, the operator's commands, and two handlers of its own.

use custom_handler::{carrier::Carrier, notify::NotifyCustomer, ship::ShipOrder};
use upshot::prelude::*;

#[tokio::main]
async fn main() -> upshot::Result<()> {
    let app = Upshot::from_env()?; // upshot.toml, UPSHOT_*; [app.…] is the program's own
    let carrier = Carrier::new(app.section("carrier")?);
    app.state(carrier).job::<ShipOrder>().job::<NotifyCustomer>().main().await
}
