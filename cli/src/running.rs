//! The note that a running `upshot up` leaves for the other commands.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use upshot_runtime::Settings;

/// The addresses of a running `upshot up`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Running {
    /// The API's address.
    pub api: String,
    /// RabbitMQ's address, with its password: the file is readable by its owner only.
    pub amqp: String,
    /// Redis' address, with its password.
    pub redis: String,
    /// The process.
    pub pid: u32,
}

fn path(settings: &Settings) -> PathBuf {
    Path::new(&settings.data_dir).join("up.json")
}

impl Running {
    /// Writes the note.
    pub fn write(&self, settings: &Settings) -> anyhow::Result<()> {
        let path = path(settings);
        let text = serde_json::to_string_pretty(self)?;
        write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes the note.
    pub fn remove(settings: &Settings) {
        // A note is stale if its process is gone.
        let _ = std::fs::remove_file(path(settings));
    }

    /// Reads the note, if there is one and its process is alive.
    pub fn read(settings: &Settings) -> Option<Self> {
        let text = std::fs::read_to_string(path(settings)).ok()?;
        let running: Self = serde_json::from_str(&text).ok()?;
        upshot_servers::signal::exists(running.pid).then_some(running)
    }

    /// Fills in the addresses that the settings leave empty.
    pub fn fill(settings: &mut Settings) {
        if let Some(running) = Self::read(settings) {
            if settings.amqp.url.is_empty() {
                settings.amqp.url = running.amqp.into();
            }
            if settings.redis.url.is_empty() {
                settings.redis.url = running.redis.into();
            }
        }
    }
}

#[cfg(unix)]
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

#[cfg(not(unix))]
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::write(path, text)
}
