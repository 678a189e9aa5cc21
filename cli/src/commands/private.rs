//! Keeps other users of the machine out of `data_dir` and the files in it.

use std::path::Path;

use anyhow::bail;
use nix::sys::stat::{Mode, umask};
use upshot_runtime::Settings;

/// Creates `data_dir`, and keeps other users out of it and of the files that this process writes
/// there, with any umask. A store elsewhere may be shared on purpose, so the umask does not change
/// for it.
pub fn keep(settings: &Settings) -> anyhow::Result<()> {
    let dir = Path::new(&settings.data_dir);
    match upshot_servers::make_private(dir) {
        // Only the owner of a folder can change its rights.
        Err(why) if dir.is_dir() => {
            tracing::warn!(%why, "other users may read data_dir: choose a folder that you own");
        }
        Err(why) => bail!("data_dir is `{}`: {why}", settings.data_dir),
        Ok(()) => {}
    }
    if settings.store.url.is_empty() {
        umask(Mode::S_IRWXG | Mode::S_IRWXO);
    }
    Ok(())
}

/// The same for a service that uses `data_dir` only for stored files.
pub fn keep_files(settings: &Settings) -> anyhow::Result<()> {
    if settings.store.url.is_empty() { keep(settings) } else { Ok(()) }
}
