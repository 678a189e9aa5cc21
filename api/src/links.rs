//! Absolute addresses for answers.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts, uri::Authority},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use upshot_ledger::quarantine::MessageId;
use upshot_queue::{Condition, JobId, OperationId, QueueName};
use url::form_urlencoded;

use crate::{
    accepted::{ACCEPTED, AcceptedAt},
    state::Shared,
};

/// The characters that a path segment may contain unescaped (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Builds addresses that start with `api.public_url`, or with the host that the request names.
#[derive(Clone, Debug)]
pub struct Links {
    base: String,
    accepted: Option<AcceptedAt>,
}

impl Links {
    /// Addresses that start with `base`, without its final slash.
    pub fn new(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), accepted: None }
    }

    /// Addresses of jobs that may not be there yet. They carry the time when the event was
    /// accepted.
    pub fn of_accepted(&self, at: AcceptedAt) -> Self {
        Self { accepted: Some(at), ..self.clone() }
    }

    /// The job.
    pub fn job(&self, id: &JobId) -> String {
        format!("{}/v1/jobs/{id}{}", self.base, self.accepted('?'))
    }

    /// The job's live progress.
    pub fn progress(&self, id: &JobId) -> String {
        format!("{}/v1/jobs/{id}/progress{}", self.base, self.accepted('?'))
    }

    /// The job's outcome.
    pub fn outcome(&self, id: &JobId) -> String {
        format!("{}/v1/outcomes/{id}{}", self.base, self.accepted('?'))
    }

    /// A file of the job.
    pub fn file(&self, id: &JobId, name: &str) -> String {
        format!("{}/v1/jobs/{id}/files/{}", self.base, utf8_percent_encode(name, SEGMENT))
    }

    /// The signal that a queue keeps for a condition.
    pub fn signal(&self, queue: &QueueName, condition: &Condition) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("key", condition.key());
        if let Some(tenant) = condition.tenant() {
            query.append_pair("tenant", tenant);
        }
        format!("{}/v1/queues/{queue}/signals?{}", self.base, query.finish())
    }

    /// The operation on many jobs.
    pub fn operation(&self, id: &OperationId) -> String {
        format!("{}/v1/operations/{id}", self.base)
    }

    /// The jobs that the operation did not change.
    pub fn refusals(&self, id: &OperationId) -> String {
        format!("{}/v1/operations/{id}/refusals", self.base)
    }

    /// The list of operations with this query.
    pub fn operations(&self, query: &str) -> String {
        format!("{}/v1/operations?{query}", self.base)
    }

    /// The list of jobs with this query.
    pub fn jobs(&self, query: &str) -> String {
        format!("{}/v1/jobs?{query}", self.base)
    }

    /// The story of a subject with this query.
    pub fn subject(&self, subject: &str, query: &str) -> String {
        format!("{}/v1/subjects/{}?{query}", self.base, utf8_percent_encode(subject, SEGMENT))
    }

    /// The groups of failures with this query.
    pub fn dead(&self, query: &str) -> String {
        format!("{}/v1/dead?{query}", self.base)
    }

    /// The audit log with this query.
    pub fn audit(&self, query: &str) -> String {
        format!("{}/v1/audit?{query}", self.base)
    }

    /// The list of messages in quarantine with this query.
    pub fn quarantine(&self, query: &str) -> String {
        format!("{}/v1/quarantine?{query}", self.base)
    }

    /// A message in quarantine.
    pub fn quarantined(&self, id: &MessageId) -> String {
        format!("{}/v1/quarantine/{id}", self.base)
    }

    /// The outcomes of an event.
    pub fn outcomes(&self, query: &str) -> String {
        format!("{}/v1/outcomes?{query}{}", self.base, self.accepted('&'))
    }

    /// A page of the API.
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Where the identity provider sends a person.
    pub fn callback(&self) -> String {
        format!("{}/v1/login/callback", self.base)
    }

    /// The page that shows what a capability link leads to. The browser keeps the fragment to itself.
    pub fn capability(&self, token: &str) -> String {
        format!("{}/access#{token}", self.base)
    }

    /// The parameter with that time, for links of a 202.
    fn accepted(&self, before: char) -> String {
        self.accepted.map(|at| format!("{before}{ACCEPTED}={}", at.millis())).unwrap_or_default()
    }
}

impl FromRequestParts<Shared> for Links {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Infallible> {
        if let Some(base) = &state.public_url {
            return Ok(Self::new(base));
        }
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| parts.uri.authority().map(Authority::as_str));
        // An invalid Host header is never echoed; links are relative instead.
        let host = host.and_then(|host| host.parse::<Authority>().ok());
        Ok(Self::new(&host.map(|host| format!("http://{host}")).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_stay_one_segment() {
        let links = Links::new("https://upshot.example.org/");
        let id = JobId::derive(&["x"]);
        let link = links.file(&id, "a b/../ü.pdf");
        assert_eq!(link, format!("https://upshot.example.org/v1/jobs/{id}/files/a%20b%2F..%2F%C3%BC.pdf"));
    }
}
