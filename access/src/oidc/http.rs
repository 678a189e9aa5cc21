//! What sends requests to the provider.

use std::{fmt, pin::Pin, sync::Arc};

use openidconnect::AsyncHttpClient;
pub use openidconnect::{HttpRequest as Asked, HttpResponse as Said};

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

/// An answer that is to come.
pub type Fetching = Pin<Box<dyn Future<Output = Result<Said, FetchError>> + Send>>;

/// What sends requests. Cheap to clone.
#[derive(Clone)]
pub struct Http(Arc<dyn Fn(Asked) -> Fetching + Send + Sync>);

impl Http {
    /// A client that sends requests by this function. It must bound time and bytes, and must not follow
    /// redirects: they could lead a secret elsewhere.
    pub fn new(fetch: impl Fn(Asked) -> Fetching + Send + Sync + 'static) -> Self {
        Self(Arc::new(fetch))
    }
}

impl AsyncHttpClient<'_> for Http {
    type Error = FetchError;
    type Future = Fetching;

    fn call(&self, asked: Asked) -> Fetching {
        (self.0)(asked)
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}
