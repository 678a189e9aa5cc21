//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use upshot_shared::Settings;

/// Upshot turns domain events into business outcomes: events come over
/// RabbitMQ, durable jobs stand in Redis, and a ledger says whether each event's
/// expected outcome was achieved, in time, with evidence.
#[derive(Debug, Parser)]
#[command(name = "upshot", version, max_term_width = 100)]
pub struct Arguments {
    /// A settings file; `upshot settings` prints all keys with their defaults.
    #[arg(long, global = true, env = "UPSHOT_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process, with a private RabbitMQ and Redis unless
    /// UPSHOT_AMQP_URL and UPSHOT_REDIS_URL name others.
    Up,
    /// Run the bridge alone: events from RabbitMQ become jobs in Redis.
    Bridge,
    /// Run an executor alone: jobs are done.
    Executor,
    /// Run the HTTP API alone.
    Api,
    /// Publish events from files, with publisher confirms.
    Publish(Publish),
    /// Publish the orders of a made-up shop.
    DemoOrders(DemoOrders),
    /// List jobs.
    Jobs(Jobs),
    /// Show one job, or the progress of a running one.
    Job(Job),
    /// Make a dead job run again, with fresh budgets for failures.
    Retry(Retry),
    /// Print the annotated default settings, or the ones in force.
    Settings(SettingsCommand),
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
}

#[derive(Debug, Args)]
pub struct Publish {
    /// Files with one CloudEvent, a list of them, or one a line; `-` reads
    /// standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DemoOrders {
    /// How many orders; 0 goes on until interrupted.
    #[arg(long, default_value_t = 200)]
    pub count: u64,
    /// Orders a second.
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    pub rate: f64,
    /// Return only when every order has its invoice.
    #[arg(long)]
    pub wait: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 100_000.0 => Ok(rate),
        _ => Err("use a number above 0 and up to 100000".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct Jobs {
    /// scheduled, ready, running, succeeded or dead.
    #[arg(long)]
    pub state: Option<String>,
    /// Only this queue.
    #[arg(long)]
    pub queue: Option<String>,
    /// Only this kind.
    #[arg(long)]
    pub kind: Option<String>,
    /// Only this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only this subject, such as `order-1042`.
    #[arg(long)]
    pub subject: Option<String>,
    /// At most this many, 1 to 200.
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Job {
    /// The job's id.
    pub id: String,
    /// Show each change until the job has ended.
    #[arg(long)]
    pub follow: bool,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Retry {
    /// The job's id.
    pub id: String,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct ApiAddress {
    /// Where the API is; by default that of a running `upshot up`, or api.listen.
    #[arg(long, env = "UPSHOT_API_URL", hide_env_values = true, value_name = "URL")]
    pub api: Option<String>,
}

#[derive(Debug, Args)]
pub struct SettingsCommand {
    /// Print what is in force (file and variables applied), and check it.
    #[arg(long)]
    pub effective: bool,
}

impl Arguments {
    /// The settings in force.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        // A variable that is no Unicode is none of ours.
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Settings::load(self.config.as_deref(), variables)?)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn help_matches_the_snapshot() {
        let mut help = String::new();
        let mut command = Arguments::command().term_width(100);
        command.build();
        help.push_str(&command.render_long_help().to_string());
        for sub in command.get_subcommands_mut() {
            if sub.get_name() != "help" {
                let text = sub.render_long_help();
                help.push_str(&format!("\n# upshot {}\n\n{text}", sub.get_name()));
            }
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.txt");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(path, &help).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == help,
            "docs/cli.txt is not what `upshot --help` says: run the tests with UPDATE_SNAPSHOTS=1"
        );
    }
}
