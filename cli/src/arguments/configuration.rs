//! What can be said about how queues are worked on.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use upshot_queue::QueueName;

use super::ApiAddress;

#[derive(Debug, Args)]
pub struct Config {
    #[command(subcommand)]
    pub what: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show what is in force, by whom it was stored, and the versions that are kept.
    Show(ConfigShow),
    /// Show in what a settings file differs from what is in force.
    ///
    /// Executors go by what is in force, whatever their files say.
    Diff(ConfigDiff),
    /// Put the queue sections of a settings file in force, in all processes within a moment.
    ///
    /// Retention, shares, retries and limits of `[queues.NAME]`; `concurrency`, `lease` and `timeout`
    /// belong to each executor. Limits that the file names are set, those that only the version
    /// before it named are cleared, and others stay. Nothing is changed where another version than
    /// the expected one is stored. To go back: `config show --version N --json` has an earlier one.
    Apply(ConfigApply),
}

#[derive(Debug, Args)]
pub struct ConfigShow {
    /// Only this queue.
    pub queue: Option<QueueName>,
    /// An earlier version that is kept.
    #[arg(long, value_name = "N", requires = "queue")]
    pub version: Option<u64>,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct ConfigDiff {
    /// A settings file, such as upshot.toml.
    pub file: PathBuf,
    /// Only this queue.
    pub queue: Option<QueueName>,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct ConfigApply {
    /// A settings file, such as upshot.toml.
    pub file: PathBuf,
    /// Only this queue; without it, all queues of the file.
    pub queue: Option<QueueName>,
    /// The version that the file was made from, as `config show` says it; 0 where none is stored.
    #[arg(long, value_name = "N")]
    pub expect_version: u64,
    /// Who makes the change; by default the user that runs the command.
    #[arg(long, value_name = "NAME", env = "USER", hide_env = true, default_value = "cli")]
    pub by: String,
    #[command(flatten)]
    pub api: ApiAddress,
}
