//! Arguments of commands on the configuration of queues.

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
    /// Show the configuration in force, its author, and the stored versions.
    Show(ConfigShow),
    /// Compare a settings file with the configuration in force.
    ///
    /// Executors use the configuration in force, not their files.
    Diff(ConfigDiff),
    /// Put the queue sections of a settings file in force, in all processes.
    ///
    /// Applies retention, shares, retries and limits of `[queues.NAME]`; `concurrency`, `lease` and
    /// `timeout` belong to each executor. Sets limits that differ from the previous version, clears
    /// limits that only the previous version named, and leaves other limits as they are. Variables
    /// do not count. Changes nothing if another version than the expected one is stored. To go back,
    /// `config show --version N --json` prints an earlier version.
    Apply(ConfigApply),
}

#[derive(Debug, Args)]
pub struct ConfigShow {
    /// Only this queue.
    pub queue: Option<QueueName>,
    /// An earlier stored version.
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
    /// The version that the file is based on, from `config show`; 0 if none is stored.
    #[arg(long, value_name = "N")]
    pub expect_version: u64,
    /// The author of the change; by default the user that runs the command.
    #[arg(long, value_name = "NAME", env = "USER", hide_env = true, default_value = "cli")]
    pub by: String,
    #[command(flatten)]
    pub api: ApiAddress,
}
