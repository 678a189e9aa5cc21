//! Files in the store, checked against their hash while they are read.

use std::{ffi::OsString, io, sync::Arc, time::Duration};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{Stream, StreamExt, stream::BoxStream};
use object_store::{
    Certificate, ClientOptions, ObjectStore, ObjectStoreExt, ObjectStoreScheme,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
};
use sha2::{Digest, Sha256};
use upshot_runtime::{secret::masked, settings::object_options};
use url::Url;

/// How long the store may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A store that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`store.url` is `{url}`: {why}; use file:///path or s3://bucket/prefix")]
pub struct Error {
    url: String,
    why: String,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store has no such file.
    #[error("the store has no such file")]
    Gone,
    /// The store does not answer.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
}

/// A file that is being read.
pub struct Reading {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its content.
    pub content: BoxStream<'static, io::Result<Bytes>>,
}

/// The store in which handlers keep files. Only this crate's own requests
/// reach it: a key is never taken from an address.
pub struct Files {
    store: Arc<dyn ObjectStore>,
    root: Path,
}

impl Files {
    /// Opens the store at `url`; `AWS_*` variables give endpoint, region and
    /// credentials of one on S3, `ca_file` an authority that is trusted besides the public ones.
    ///
    /// # Errors
    /// When the URL is not one of a store, or the file holds no certificate.
    pub fn open(
        url: &str,
        ca_file: Option<&std::path::Path>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let unusable = |why: String| Error { url: masked(url), why };
        let parsed = Url::parse(url).map_err(|why| unusable(why.to_string()))?;
        if let (Some(file), "s3" | "s3a") = (ca_file, parsed.scheme()) {
            return Self::trusting(url, &parsed, file, variables).map_err(unusable);
        }
        let (store, root) = object_store::parse_url_opts(&parsed, object_options(variables))
            .map_err(|why| unusable(why.to_string()))?;
        Ok(Self { store: store.into(), root })
    }

    /// The same for a store on S3 whose certificate has a private authority.
    fn trusting(
        url: &str,
        parsed: &Url,
        ca_file: &std::path::Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, String> {
        let unusable =
            |why: &dyn std::fmt::Display| format!("`store.ca_file` is `{}`: {why}", ca_file.display());
        let text = std::fs::read(ca_file).map_err(|why| unusable(&why))?;
        let authorities = Certificate::from_pem_bundle(&text).map_err(|why| unusable(&why))?;
        if authorities.is_empty() {
            return Err(unusable(&"it holds no certificate"));
        }
        let client = authorities.into_iter().fold(ClientOptions::new(), ClientOptions::with_root_certificate);
        let (_, root) = ObjectStoreScheme::parse(parsed).map_err(|why| why.to_string())?;
        let options = object_options(variables).into_iter();
        let options =
            options.filter_map(|(name, value)| Some((name.parse::<AmazonS3ConfigKey>().ok()?, value)));
        let builder = AmazonS3Builder::new().with_client_options(client).with_url(url);
        let builder = options.fold(builder, |builder, (key, value)| builder.with_config(key, value));
        Ok(Self { store: Arc::new(builder.build().map_err(|why| why.to_string())?), root })
    }

    /// Begins to read the file under `key`. If its hash is known and does not match, the content
    /// ends with an error instead of its last part. So a reader sees a broken transfer and no
    /// forged evidence.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self, key: &str, sha256: Option<String>) -> Result<Reading, ReadError> {
        // Also refuses `.` and `..`, which no handler writes.
        let key = Path::parse(key).map_err(|_| ReadError::Gone)?;
        let path: Path = self.root.parts().chain(key.parts()).collect();
        let object = match tokio::time::timeout(PATIENCE, self.store.get(&path)).await {
            Ok(Ok(object)) => object,
            Ok(Err(object_store::Error::NotFound { .. })) => return Err(ReadError::Gone),
            Ok(Err(error)) => return Err(ReadError::Unavailable(error.to_string())),
            Err(_) => return Err(ReadError::Unavailable(format!("nothing within {PATIENCE:?}"))),
        };
        let bytes = object.meta.size;
        let content = object.into_stream().map(|part| part.map_err(io::Error::other));
        let content = match sha256 {
            Some(expected) => verified(content, expected, path).boxed(),
            None => content.boxed(),
        };
        Ok(Reading { bytes, content })
    }
}

/// Passes `content` on, one part behind. Holds the last part back until the hash of the whole
/// content is `expected`.
fn verified(
    content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    expected: String,
    path: Path,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    struct Passing<S> {
        content: S,
        hash: Sha256,
        held: Option<Bytes>,
        expected: String,
        path: Path,
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
                    tracing::error!(path = %passing.path, %found, expected = %passing.expected, "a stored file was altered");
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
        let result = verified(content, expected.to_owned(), Path::from("x"))
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

    #[test]
    fn a_url_that_is_no_store_is_named() {
        // A lone word may be a secret.
        for (url, shown) in [("ftp://x/y", "ftp://x/y"), ("nonsense", "…")] {
            let error = Files::open(url, None, []).err().unwrap().to_string();
            assert!(error.contains(shown) && error.contains("s3://"), "{error}");
        }
        let missing = Files::open("s3://bucket", Some("/nonexistent/ca.pem".as_ref()), []);
        assert!(missing.err().unwrap().to_string().contains("store.ca_file"));
    }
}
