//! Keeps other users of the machine out of `data_dir` and the files in it.

use std::path::Path;

use anyhow::bail;
use nix::sys::stat::{Mode, umask};
use upshot_runtime::Settings;

/// Makes `data_dir`, and keeps others out of it and of the files that this process writes there,
/// whatever its umask. A store elsewhere may be shared on purpose: the umask stays as it is then.
pub fn keep(settings: &Settings) -> anyhow::Result<()> {
    let dir = Path::new(&settings.data_dir);
    match upshot_servers::make_private(dir) {
        // Of a folder that another user made, only that user can change the rights.
        Err(why) if dir.is_dir() => {
            tracing::warn!(%why, "other users may see what is in data_dir: choose a folder of your own");
        }
        Err(why) => bail!("data_dir is `{}`: {why}", settings.data_dir),
        Ok(()) => {}
    }
    if settings.store.url.is_empty() {
        umask(Mode::S_IRWXG | Mode::S_IRWXO);
    }
    Ok(())
}

/// The same for a service that uses `data_dir` only where the files are kept in it.
pub fn keep_files(settings: &Settings) -> anyhow::Result<()> {
    if settings.store.url.is_empty() { keep(settings) } else { Ok(()) }
}
