//! Identifies the running build of the program.
//!
//! A job whose arguments one build cannot read waits for another build. A version does not tell
//! builds apart: a handler may be repaired without a new version, and the version of this crate
//! says nothing about a program's handlers. So the program's file identifies the build.

use std::{
    env, fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

/// Hexadecimal digits of the file's SHA-256 that name a build.
const DIGITS: usize = 16;

/// The kernel's path to the running program, which stays valid after its file is replaced.
const RUNNING: &str = "/proc/self/exe";

/// The running build: the first 16 digits of the SHA-256 of its file, or the version of this crate
/// if the file cannot be read. Computed once, on a blocking thread.
pub(crate) async fn id() -> &'static str {
    static ID: OnceCell<String> = OnceCell::const_new();
    ID.get_or_init(|| async {
        let read = tokio::task::spawn_blocking(|| file().and_then(|file| id_of(&file)));
        let read = read.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        or_version(read)
    })
    .await
}

fn file() -> io::Result<PathBuf> {
    let running = Path::new(RUNNING);
    if running.exists() { Ok(running.to_owned()) } else { env::current_exe() }
}

fn id_of(file: &Path) -> io::Result<String> {
    let mut reader = BufReader::with_capacity(64 << 10, fs::File::open(file)?);
    let mut hash = Sha256::new();
    loop {
        let part = reader.fill_buf()?;
        if part.is_empty() {
            break;
        }
        hash.update(part);
        let read = part.len();
        reader.consume(read);
    }
    let mut id = HEXLOWER.encode(&hash.finalize());
    id.truncate(DIGITS);
    Ok(id)
}

fn or_version(read: io::Result<String>) -> String {
    read.unwrap_or_else(|error| {
        let version = env!("CARGO_PKG_VERSION");
        tracing::warn!(
            %error,
            version,
            "the program's own file cannot be read: a repaired handler of the same version gets no job back whose arguments it could not read; make the file readable, or retry those jobs"
        );
        version.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_known_by_its_file_and_not_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            id_of(&path).unwrap()
        };
        let large = vec![7; 200 << 10];
        let repaired = [&large[..], b"!"].concat();
        assert_eq!(file("a", &large), file("b", &large));
        assert_ne!(file("a", &large), file("a", &repaired));
        // FIPS 180-2, appendix B.1.
        assert_eq!(file("abc", b"abc"), "ba7816bf8f01cfea");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_known_by_the_version() {
        let dir = tempfile::tempdir().unwrap();
        let read = id_of(&dir.path().join("gone"));
        assert!(read.is_err());
        assert_eq!(or_version(read), env!("CARGO_PKG_VERSION"));
    }

    #[tokio::test]
    async fn the_running_build_is_that_of_the_program() {
        let program = id_of(&env::current_exe().unwrap()).unwrap();
        assert_eq!(id().await, program);
    }
}
