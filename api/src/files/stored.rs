//! Files in the store, checked against their hash while they are read.

use std::{io, time::Duration};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use upshot_runtime::{
    Settings,
    store::{self, Store},
};

use super::{ReadError, Reading};

/// A store that cannot be used.
pub type Error = store::Error;

/// How long the store may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The store in which handlers keep files. Only this crate's own requests
/// reach it: a key is never taken from an address.
pub struct Files(Store);

impl Files {
    /// Opens the store of the settings.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let ca_file = settings.store.ca_file.as_deref();
        Store::open_for_reading(&settings.store_url(), ca_file, std::env::vars_os()).map(Self)
    }

    /// Begins to read the file under `key`. Where its hash is known, the
    /// content ends with an error instead of its last part if it is not the
    /// content that was hashed: a reader sees a broken transfer, not a
    /// forged piece of evidence.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self, key: &str, sha256: Option<String>) -> Result<Reading, ReadError> {
        let reading = tokio::time::timeout(PATIENCE, self.0.read(key)).await;
        let store::Reading { bytes, content } = match reading {
            Ok(Ok(reading)) => reading,
            Ok(Err(store::ReadError::Gone)) => return Err(ReadError::Gone),
            Ok(Err(error)) => return Err(ReadError::Unavailable(error.to_string())),
            Err(_) => {
                return Err(ReadError::Unavailable(format!("the store says nothing within {PATIENCE:?}")));
            }
        };
        let content = match sha256 {
            Some(expected) => verified(content, expected, key.to_owned()).boxed(),
            None => content,
        };
        Ok(Reading { bytes, content })
    }
}

/// Passes `content` on, one part behind, and holds the last part back until the
/// hash of all of it is seen to be `expected`.
fn verified(
    content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    expected: String,
    path: String,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    struct Passing<S> {
        content: S,
        hash: Sha256,
        held: Option<Bytes>,
        expected: String,
        path: String,
    }
    let start = Passing { content: content.boxed(), hash: Sha256::new(), held: None, expected, path };
    futures::stream::unfold(Some(start), |passing| async {
        let mut passing = passing?;
        loop {
            match passing.content.next().await {
                Some(Ok(part)) => {
                    passing.hash.update(&part);
                    if let Some(before) = passing.held.replace(part) {
                        return Some((Ok(before), Some(passing)));
                    }
                }
                Some(Err(error)) => return Some((Err(error), None)),
                None => {
                    let found = HEXLOWER.encode(&passing.hash.finalize());
                    if found == passing.expected {
                        return passing.held.map(|last| (Ok(last), None));
                    }
                    tracing::error!(key = %passing.path, %found, expected = %passing.expected, "a stored file was altered");
                    let altered = io::Error::new(io::ErrorKind::InvalidData, "the stored file was altered");
                    return Some((Err(altered), None));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use futures::{TryStreamExt, stream};

    use super::*;

    async fn pass(parts: &[&'static str], expected: &str) -> (Vec<u8>, bool) {
        let content = stream::iter(parts.to_vec()).map(|part| Ok(Bytes::from_static(part.as_bytes())));
        let mut seen = Vec::new();
        let result = verified(content, expected.to_owned(), "x".to_owned())
            .try_for_each(|part| {
                seen.extend_from_slice(&part);
                futures::future::ready(Ok(()))
            })
            .await;
        (seen, result.is_ok())
    }

    #[tokio::test]
    async fn altered_content_does_not_arrive_whole() {
        let hash = HEXLOWER.encode(&Sha256::digest("abc"));
        assert_eq!(pass(&["a", "b", "c"], &hash).await, (b"abc".to_vec(), true));
        assert_eq!(pass(&["a", "b", "d"], &hash).await, (b"ab".to_vec(), false));
        assert_eq!(pass(&[], &HEXLOWER.encode(&Sha256::digest(""))).await, (vec![], true));
    }
}
