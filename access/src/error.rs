//! Why a call did not succeed.

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Redis failed. Nothing is known of the call.
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
    /// The credential is not one of this installation, or no longer.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A stored value cannot be read.
    #[error("`{key}` in Redis holds a value that cannot be read ({why}): it was changed manually")]
    Damaged {
        /// The key.
        key: String,
        /// What is wrong.
        why: serde_json::Error,
    },
    /// The key that seals texts was changed manually.
    #[error(
        "the key that seals cursors cannot be used: remove `{{@access}}:seal` below the prefix in Redis, and it is made again"
    )]
    Unsealable,
    /// There are as many tokens as there may be.
    #[error("there are {0} API tokens already: revoke those that are not used")]
    Full(usize),
    /// No token has this id.
    #[error("no API token has the id `{0}`: `upshot token list` shows them")]
    UnknownToken(String),
    /// A link without a target would show everything.
    #[error("a capability link needs a target: a job or a subject")]
    NoTarget,
    /// There are as many revoked links as there may be.
    #[error("{0} capability links are revoked and have not expired: end all links by another key")]
    FullOfRevoked(usize),
    /// Another process changed the token at the same time, again and again.
    #[error("the token is changed by others at the same time: try again")]
    Contended,
}

/// Why a credential is refused. Says nothing about which part of it is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The text has another form.
    #[error(
        "the credential has no known form: an API token is written upk_<id>_<secret>, a capability link upl_…"
    )]
    Form,
    /// The id, the secret or both are wrong, or the token was revoked.
    #[error("the credential is not known here, or was revoked: ask an administrator for another")]
    Unknown,
    /// It has ended.
    #[error("the credential has expired: ask an administrator for another")]
    Expired,
    /// The session has ended, or what it began with.
    #[error("the session has ended: log in again")]
    Ended,
}
