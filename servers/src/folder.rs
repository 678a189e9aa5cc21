//! A server's data folder: created, locked, and the files that every server has in it.
//!
//! Two locks, because two lifetimes matter. `owner.lock` is held by our process:
//! a second process that finds it taken is told so at once. `redis.lock` and the
//! like are held by a server's watchdog: after a crash of our process they stay
//! taken until the old server is really gone, and the next start waits for that.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::Rng;
use rand::distr::Alphanumeric;
use tokio::time::{Instant, sleep};

use crate::Error;

/// How long a taken owner lock is tried again. A process that is being started
/// elsewhere in this program holds a copy of our files for a moment.
const OWNER_PATIENCE: Duration = Duration::from_millis(500);
/// How long the server of a process that crashed may take to end.
const SERVER_PATIENCE: Duration = Duration::from_secs(45);
/// A log longer than this is set aside at the next start.
const LOG_LIMIT: u64 = 4 << 20;

/// A data folder that belongs to this process until it is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Removed when its server ends.
    pub ephemeral: bool,
    _owner: File,
}

impl Folder {
    /// Creates the folder where it is missing and locks it.
    pub(crate) async fn open(dir: &Path, ephemeral: bool) -> Result<Self, Error> {
        check_name(&std::path::absolute(dir).map_err(Error::folder("find the data folder", dir))?)?;
        make_private(dir)?;
        // Servers run in folders of their own, so they need absolute paths.
        let path = fs::canonicalize(dir).map_err(Error::folder("find the data folder", dir))?;
        // A link leads to another name.
        check_name(&path)?;
        if ephemeral && is_in_use(&path)? {
            return Err(Error::NotEmpty { path });
        }
        let file = path.join("owner.lock");
        let mut owner = lock(&file, OWNER_PATIENCE).await?.ok_or_else(|| Error::InUse {
            path: path.clone(),
            owner: match fs::read_to_string(&file) {
                Ok(pid) if !pid.trim().is_empty() => format!("process {}", pid.trim()),
                _ => "another process".to_owned(),
            },
        })?;
        let record = owner.set_len(0).and_then(|()| writeln!(owner, "{}", std::process::id()));
        record.map_err(Error::folder("write", &file))?;
        Ok(Self { path, ephemeral, _owner: owner })
    }

    /// The folder's absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A path in the folder.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A folder in the folder, created where it is missing.
    pub(crate) fn subfolder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.join(name);
        make_private(&path)?;
        Ok(path)
    }

    /// Writes a file that only this user can read.
    pub(crate) fn write(&self, name: &str, content: &str, mode: u32) -> Result<PathBuf, Error> {
        let path = self.join(name);
        let write = || {
            if path.exists() {
                fs::remove_file(&path)?;
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            file.write_all(content.as_bytes())
        };
        write().map_err(Error::folder("write", &path))?;
        Ok(path)
    }

    /// The secret in a file of the folder. Creates a random one at first.
    pub(crate) fn secret(&self, name: &str, mode: u32) -> Result<String, Error> {
        let path = self.join(name);
        if path.exists() {
            let kept = fs::read_to_string(&path).map_err(Error::folder("read", &path))?;
            if !kept.is_empty() {
                return Ok(kept);
            }
        }
        let secret: String = rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect();
        self.write(name, &secret, mode)?;
        Ok(secret)
    }

    /// The lock that the watchdog of the server `name` holds as long as the server lives.
    /// Waits for the server of an earlier process to end.
    pub(crate) async fn server_lock(&self, name: &str) -> Result<File, Error> {
        let file = self.join(&format!("{name}.lock"));
        lock(&file, SERVER_PATIENCE).await?.ok_or_else(|| Error::InUse {
            path: self.path.clone(),
            owner: "a server whose process has ended and which does not stop".to_owned(),
        })
    }

    /// The log of one program, set aside when it has grown long, and the byte
    /// at which what is written from now on begins.
    pub(crate) fn log(&self, name: &str) -> Result<(PathBuf, u64), Error> {
        let path = self.join(&format!("{name}.log"));
        let length = fs::metadata(&path).map_or(0, |meta| meta.len());
        if length <= LOG_LIMIT {
            return Ok((path, length));
        }
        let old = self.join(&format!("{name}.log.1"));
        fs::rename(&path, &old).map_err(Error::folder("set aside", &path))?;
        Ok((path, 0))
    }

    /// Removes an ephemeral folder whose server runs no longer.
    pub(crate) fn remove_if_ephemeral(&self) {
        if self.ephemeral && self.path.exists() {
            // Nothing depends on it, and a drop cannot report an error.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Creates a folder where it is missing, with all that it lies in, and keeps other users out of
/// it: also out of one that was there, and whatever the process' umask is.
///
/// # Errors
/// When it cannot be made, or its rights cannot be changed.
pub fn make_private(dir: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(Error::folder("create the data folder", dir))?;
    let mode = fs::metadata(dir).map_err(Error::folder("read", dir))?.permissions().mode();
    if mode & 0o1000 != 0 {
        // Such as /tmp.
        let shared =
            std::io::Error::other("it is shared by all users of this machine: choose a folder of your own");
        return Err(Error::folder("keep other users out of", dir)(shared));
    }
    if mode & 0o077 != 0 {
        let closed = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
        closed.map_err(Error::folder("keep other users out of", dir))?;
    }
    Ok(())
}

/// Refuses names that a shell would take for syntax: the start scripts of RabbitMQ are shell
/// scripts, and paths go through several of them and through files of settings.
fn check_name(path: &Path) -> Result<(), Error> {
    let text = path.to_string_lossy();
    let allowed = |char: char| char.is_ascii_alphanumeric() || "/._-+@,=:".contains(char);
    match text.chars().find(|char| !allowed(*char)) {
        Some(char) => Err(Error::Name { path: path.to_owned(), char }),
        None => Ok(()),
    }
}

/// Whether the folder holds anything.
fn is_in_use(path: &Path) -> Result<bool, Error> {
    let mut entries = fs::read_dir(path).map_err(Error::folder("read", path))?;
    Ok(entries.next().is_some())
}

/// Locks a file, or `None` when it stayed taken.
async fn lock(path: &Path, patience: Duration) -> Result<Option<File>, Error> {
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = open.map_err(Error::folder("open", path))?;
    let deadline = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(None),
            Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(20)).await,
            Err(TryLockError::Error(source)) => return Err(Error::folder("lock", path)(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_has_one_owner_and_is_free_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::open(dir.path(), false).await.unwrap();
        let text = Folder::open(dir.path(), false).await.unwrap_err().to_string();
        assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
        drop(first);
        Folder::open(dir.path(), false).await.unwrap();
    }

    #[tokio::test]
    async fn a_name_that_a_shell_would_read_is_refused_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            ["a b", "a'b", "a\"b", "a$HOME", "a`id`", "a\nb", "a;b", "a\\b", "a*", "a#b", "~a", "caf\u{e9}"]
        {
            let path = dir.path().join(name);
            let refused = Folder::open(&path, false).await.unwrap_err();
            assert!(matches!(&refused, Error::Name { .. }), "{refused}");
            assert!(refused.to_string().contains("choose another folder"), "{refused}");
            assert!(!path.exists(), "{name}");
        }
        let link = dir.path().join("link");
        fs::create_dir(dir.path().join("a b")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("a b"), &link).unwrap();
        assert!(matches!(Folder::open(&link, false).await, Err(Error::Name { .. })));
    }

    #[tokio::test]
    async fn a_folder_that_others_could_read_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        let folder = Folder::open(&open, false).await.unwrap();
        folder.subfolder("data").unwrap();
        for path in [open.clone(), open.join("data")] {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700, "{path:?}");
        }
    }

    #[tokio::test]
    async fn an_ephemeral_folder_must_be_empty() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("precious"), "").unwrap();
        let refused = Folder::open(dir.path(), true).await.unwrap_err();
        assert!(matches!(refused, Error::NotEmpty { .. }), "{refused}");
    }
}
