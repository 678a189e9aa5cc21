//! Files: a local folder or S3, by the same names.

mod drafts;
mod staging;
pub mod sweep;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};
use sha2::{Digest, Sha256};
use upshot_queue::Failure;
use upshot_shared::settings::object_options;
use url::Url;

pub use drafts::Drafts;
pub use sweep::Sweeper;

/// A place for files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not understood.
    #[error("store.url is `{url}`: {why}; write it like file:///var/lib/upshot/files or s3://bucket/prefix")]
    Url {
        /// The value.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The folder cannot be made.
    #[error("store.url: folder `{path}` cannot be made: {source}")]
    Folder {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The store itself refuses the settings.
    #[error("store.url: {0}")]
    Store(#[from] object_store::Error),
}

/// A place for files.
#[derive(Clone, Debug)]
pub struct Store {
    store: Arc<dyn ObjectStore>,
    base: Path,
    /// Of a local one.
    root: Option<PathBuf>,
}

/// What became of a file that was to be moved to its final key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Settled {
    /// It is there.
    Done,
    /// There is no such file, neither under its first key nor under the final one.
    Gone,
}

impl Store {
    /// Opens `file:///folder` (made when it is missing) or `s3://bucket/prefix`
    /// (credentials, region and endpoint from the `AWS_*` variables).
    ///
    /// # Errors
    /// What cannot be used.
    pub fn open(url: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Url { url: url.to_owned(), why };
        let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        if parsed.scheme() == "file" {
            let path = parsed.to_file_path().map_err(|()| wrong("not an absolute path".to_owned()))?;
            std::fs::create_dir_all(&path)
                .map_err(|source| Error::Folder { path: path.display().to_string(), source })?;
            // An invoice that was mailed must survive a power cut.
            let local = LocalFileSystem::new_with_prefix(&path)?.with_fsync(true);
            return Ok(Self { store: Arc::new(local), base: Path::default(), root: Some(path) });
        }
        let (store, base) = object_store::parse_url_opts(&parsed, object_options(std::env::vars_os()))?;
        Ok(Self { store: store.into(), base, root: None })
    }

    fn path(&self, key: &str) -> Path {
        key.split('/').fold(self.base.clone(), |path, part| path.join(part))
    }

    /// Writes a file, replacing what is there.
    ///
    /// # Errors
    /// A transient failure: the store is away.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Failure> {
        self.store.put(&self.path(key), bytes.into()).await.map(drop).map_err(|error| failure(key, &error))
    }

    /// Reads a file; `None` when there is none.
    ///
    /// # Errors
    /// A transient failure: the store is away.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        match self.store.get(&self.path(key)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(|error| failure(key, &error)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure(key, &error)),
        }
    }

    /// Moves a file to its final key. Where the final key is taken by the same
    /// content, an earlier attempt got this far and nothing is written.
    ///
    /// # Errors
    /// A transient failure when the store is away; a permanent one when the final
    /// key holds something else.
    pub async fn settle(&self, from: &str, to: &str, sha256: &str) -> Result<Settled, Failure> {
        if let Some(there) = self.get(to).await? {
            if sha256_of(&there) != sha256 {
                return Err(Failure::permanent(format!(
                    "`{to}` is in the store with other content: it is never overwritten; move it away and `upshot retry` the job"
                )));
            }
            return self.remove(from).await.map(|()| Settled::Done);
        }
        match self.store.rename(&self.path(from), &self.path(to)).await {
            Ok(()) => Ok(Settled::Done),
            // A late worker may have moved it between our look and our move.
            Err(object_store::Error::NotFound { .. }) => match self.get(to).await? {
                Some(there) if sha256_of(&there) == sha256 => Ok(Settled::Done),
                _ => Ok(Settled::Gone),
            },
            Err(error) => Err(failure(to, &error)),
        }
    }

    /// Writes, reads and deletes a small file of its own.
    ///
    /// # Errors
    /// What the store refused.
    pub async fn probe(&self) -> Result<(), Failure> {
        // Another doctor may be at work at the same time.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let key = format!("upshot-doctor-{}", now.as_nanos());
        let content = Bytes::from_static(b"upshot doctor");
        self.put(&key, content.clone()).await?;
        match self.get(&key).await? {
            Some(read) if read == content => self.remove(&key).await,
            _ => Err(Failure::transient(format!("store, `{key}`: what was written is not what is read"))),
        }
    }

    async fn remove(&self, key: &str) -> Result<(), Failure> {
        match self.store.delete(&self.path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure(key, &error)),
        }
    }
}

fn failure(key: &str, error: &object_store::Error) -> Failure {
    Failure::transient(format!("store, `{key}`: {error}"))
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256_of(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}
