//! The `upshot` binary: all services with the shipped handlers, and the operator's commands.

#[tokio::main]
async fn main() -> upshot::Result<()> {
    upshot_handlers::program::main().await
}
