//! What sends requests to the provider.

use std::{fmt, pin::Pin, sync::Arc};

use serde::de::DeserializeOwned;

/// A request to the provider.
#[derive(Clone)]
pub struct Ask {
    /// The address.
    pub url: String,
    /// What is posted as a form; without it, the address is read.
    pub form: Option<Vec<(&'static str, String)>>,
    /// The header `Authorization`.
    pub authorization: Option<String>,
}

/// The status and the body of an answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

/// An answer that is to come.
pub type Fetching = Pin<Box<dyn Future<Output = Result<Answer, FetchError>> + Send>>;

/// What sends requests. Cheap to clone.
#[derive(Clone)]
pub struct Http(Arc<dyn Fn(Ask) -> Fetching + Send + Sync>);

impl Http {
    /// A client that sends requests by this function. It must bound time and bytes, and must not follow
    /// redirects: they could lead a secret elsewhere.
    pub fn new(fetch: impl Fn(Ask) -> Fetching + Send + Sync + 'static) -> Self {
        Self(Arc::new(fetch))
    }

    /// The answer to a request.
    pub(super) async fn answer(&self, ask: Ask) -> Result<Answer, FetchError> {
        (self.0)(ask).await
    }

    /// The JSON at an address.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        url: &str,
        authorization: Option<String>,
    ) -> Result<T, FetchError> {
        let answer = self.answer(Ask { url: url.to_owned(), form: None, authorization }).await?;
        if answer.status != 200 {
            return Err(FetchError(format!("{url} answers {}", answer.status)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|why| FetchError(format!("{url} answers no such JSON: {why}")))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}
