//! Files: a local folder or S3, by the same names.

mod drafts;
mod fault;
mod metrics;
mod reading;
mod staging;
pub mod sweep;
mod watch;

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{Health, secret::masked, settings::object_options};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::StreamExt;
use object_store::{
    Certificate, ClientOptions, ObjectStore, ObjectStoreExt, ObjectStoreScheme,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    local::LocalFileSystem,
    path::Path,
};
use sha2::{Digest, Sha256};
use upshot_queue::{Client, Failure, Stop, failure::with_causes};
use url::Url;

use fault::stop;

pub use drafts::Drafts;
pub use reading::{ReadError, Reading};
pub use sweep::Sweeper;
pub use watch::Watch;

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
    /// The file of the authority cannot be used.
    #[error("store.ca_file is `{path}`: {why}; name a file with the certificate (PEM) of the authority")]
    CaFile {
        /// Which file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The store itself refuses the settings.
    #[error("store.url: {}", with_causes(.0))]
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

/// The result of moving a file to its final key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Settled {
    /// The file is there.
    Done,
    /// There is no such file, neither under its first key nor under the final one.
    Gone,
}

impl Store {
    /// Opens `file:///folder` (made when it is missing) or `s3://bucket/prefix` (credentials,
    /// region and endpoint from the `AWS_*` variables). The store trusts the authorities in
    /// `ca_file` and those of the system.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn open(url: &str, ca_file: Option<&std::path::Path>) -> Result<Self, Error> {
        Self::open_with(url, ca_file, std::env::vars_os())
    }

    /// The same with variables other than those of this process.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn open_with(
        url: &str,
        ca_file: Option<&std::path::Path>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let wrong = |why: String| Error::Url { url: masked(url), why };
        let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        if parsed.scheme() == "file" {
            let path = parsed.to_file_path().map_err(|()| wrong("not an absolute path".to_owned()))?;
            std::fs::create_dir_all(&path)
                .map_err(|source| Error::Folder { path: path.display().to_string(), source })?;
            // A mailed invoice must survive a power cut.
            let local = LocalFileSystem::new_with_prefix(&path)?.with_fsync(true);
            return Ok(Self { store: Arc::new(local), base: Path::default(), root: Some(path) });
        }
        Self::on_s3(url, &parsed, ca_file, variables)
    }

    /// Opens the store to read from it: a folder that is not there yet is not made.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open_for_reading(
        url: &str,
        ca_file: Option<&std::path::Path>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let wrong = |why: String| Error::Url { url: masked(url), why };
        let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        if parsed.scheme() == "file" {
            let path = parsed.to_file_path().map_err(|()| wrong("not an absolute path".to_owned()))?;
            let base = Path::from_absolute_path(path).map_err(object_store::Error::from)?;
            return Ok(Self { store: Arc::new(LocalFileSystem::new()), base, root: None });
        }
        Self::on_s3(url, &parsed, ca_file, variables)
    }

    fn on_s3(
        url: &str,
        parsed: &Url,
        ca_file: Option<&std::path::Path>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let wrong = |why: String| Error::Url { url: masked(url), why };
        let (scheme, base) = ObjectStoreScheme::parse(parsed).map_err(|error| wrong(error.to_string()))?;
        if scheme != ObjectStoreScheme::AmazonS3 {
            return Err(wrong("neither a file nor S3".to_owned()));
        }
        let mut client = ClientOptions::new();
        if let Some(path) = ca_file {
            client = trusting(client, path)?;
        }
        let options = object_options(variables).into_iter().filter_map(|(name, value)| {
            // Variables without a meaning for the store are ignored.
            Some((name.parse::<AmazonS3ConfigKey>().ok()?, value))
        });
        let builder = AmazonS3Builder::new().with_client_options(client).with_url(url);
        let builder = options.fold(builder, |builder, (key, value)| builder.with_config(key, value));
        let base = Path::parse(base.as_ref()).map_err(object_store::Error::from)?;
        Ok(Self { store: Arc::new(builder.build()?), base, root: None })
    }

    /// Checks whether the store takes files, and releases the jobs of these queues that wait for
    /// it.
    pub fn watch(&self, queues: Vec<Client>, health: Health, every: Duration) -> Watch {
        Watch::new(self.clone(), queues, health, every)
    }

    /// Begins to read a file.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self, key: &str) -> Result<Reading, ReadError> {
        // Refuses `.` and `..` as well, which no handler writes.
        let key = Path::parse(key).map_err(|_| ReadError::Gone)?;
        let path: Path = self.base.parts().chain(key.parts()).collect();
        match self.store.get(&path).await {
            Ok(object) => {
                let bytes = object.meta.size;
                let content = object.into_stream().map(|part| part.map_err(std::io::Error::other));
                Ok(Reading { bytes, content: content.boxed() })
            }
            Err(object_store::Error::NotFound { .. }) => Err(ReadError::Gone),
            Err(error) => Err(ReadError::Unavailable(error.to_string())),
        }
    }

    fn path(&self, key: &str) -> Path {
        key.split('/').fold(self.base.clone(), |path, part| path.join(part))
    }

    /// Writes a file, replacing what is there.
    ///
    /// # Errors
    /// Transient when the store is away; parked when it refuses the settings.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Stop> {
        self.store.put(&self.path(key), bytes.into()).await.map(drop).map_err(|error| stop(key, &error))
    }

    /// Reads a file; `None` when there is none.
    ///
    /// # Errors
    /// Transient when the store is away; parked when it refuses the settings.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, Stop> {
        match self.store.get(&self.path(key)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(|error| stop(key, &error)),
            Err(error @ object_store::Error::NotFound { .. }) if fault::remedy(&error).is_none() => Ok(None),
            Err(error) => Err(stop(key, &error)),
        }
    }

    /// Moves a file to its final key. If the final key has the same content, an earlier attempt got
    /// this far and nothing is written.
    ///
    /// # Errors
    /// Transient when the store is away, parked when it refuses the settings; permanent when
    /// the final key holds something else.
    pub async fn settle(&self, from: &str, to: &str, sha256: &str) -> Result<Settled, Stop> {
        if let Some(there) = self.get(to).await? {
            if sha256_of(&there) != sha256 {
                return Err(Failure::permanent(format!(
                    "`{to}` is in the store with other content: it is never overwritten; move it away and `upshot retry` the job"
                ))
                .into());
            }
            return self.remove(from).await.map(|()| Settled::Done);
        }
        match self.store.rename(&self.path(from), &self.path(to)).await {
            Ok(()) => Ok(Settled::Done),
            // A late worker may have moved the file between the check and the move.
            Err(error @ object_store::Error::NotFound { .. }) if fault::remedy(&error).is_none() => {
                match self.get(to).await? {
                    Some(there) if sha256_of(&there) == sha256 => Ok(Settled::Done),
                    _ => Ok(Settled::Gone),
                }
            }
            Err(error) => Err(stop(to, &error)),
        }
    }

    /// Writes, reads and deletes a small test file.
    ///
    /// # Errors
    /// What the store refused.
    pub async fn probe(&self) -> Result<(), Stop> {
        // Another doctor may run at the same time.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let key = format!("upshot-doctor-{}", now.as_nanos());
        let content = Bytes::from_static(b"upshot doctor");
        // A store that answers "forbidden" for a missing file would refuse each job.
        if self.get(&key).await?.is_some() {
            return Err(Failure::transient(format!("store, `{key}`: it is there already")).into());
        }
        self.put(&key, content.clone()).await?;
        match self.get(&key).await? {
            Some(read) if read == content => self.remove(&key).await,
            _ => {
                Err(Failure::transient(format!("store, `{key}`: what was written is not what is read"))
                    .into())
            }
        }
    }

    async fn remove(&self, key: &str) -> Result<(), Stop> {
        match self.store.delete(&self.path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(stop(key, &error)),
        }
    }
}

/// The same client that also trusts the authorities of a file.
fn trusting(client: ClientOptions, path: &std::path::Path) -> Result<ClientOptions, Error> {
    let unusable = |why: String| Error::CaFile { path: path.display().to_string(), why };
    let text = std::fs::read(path).map_err(|why| unusable(why.to_string()))?;
    let authorities = Certificate::from_pem_bundle(&text).map_err(|why| unusable(with_causes(&why)))?;
    if authorities.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    Ok(authorities.into_iter().fold(client, ClientOptions::with_root_certificate))
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256_of(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}
