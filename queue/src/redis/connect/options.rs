//! The options of a connection: address, login and time limits.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// The URL and the password at the sentinels.
#[derive(Clone)]
pub struct Login {
    /// One of the forms of [`super::Address`].
    pub url: String,
    /// The password at the sentinels.
    pub sentinel_password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

type Read = dyn Fn() -> Result<Login, String> + Send + Sync;

/// Reads a login that may change while the process runs, such as the content of a file. Each new
/// connection reads it again.
#[derive(Clone)]
pub struct Logins(Arc<Read>);

impl Logins {
    /// Logins that `read` returns, or why there is none at the moment.
    pub fn new(read: impl Fn() -> Result<Login, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The login at the moment.
    pub(super) fn read(&self) -> Result<Login, String> {
        (self.0)()
    }
}

/// The address of Redis and the time limits.
#[derive(Clone)]
pub struct RedisOptions {
    /// One of the forms of [`super::Address`].
    pub url: String,
    /// The prefix of all keys.
    pub prefix: String,
    /// How long to wait for a reply. A call without a reply may have been applied, so callers
    /// acknowledge nothing after it.
    pub response_timeout: Duration,
    /// How long to wait for a connection.
    pub connection_timeout: Duration,
    /// The authorities (PEM) that servers' certificates are checked against,
    /// instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// The certificate (PEM) to show to servers that ask for one.
    pub client_cert: Option<PathBuf>,
    /// The key (PEM) of that certificate.
    pub client_key: Option<PathBuf>,
    /// The ACL user at the sentinels, which have their own users.
    pub sentinel_user: Option<String>,
    /// The password at the sentinels.
    pub sentinel_password: Option<String>,
    /// Where each new connection reads `url` and `sentinel_password` again; `None` if they never
    /// change.
    pub logins: Option<Logins>,
    /// How many replicas must hold an enqueued job before it counts as enqueued.
    pub replicas: usize,
    /// How long to wait for them.
    pub replicas_timeout: Duration,
}

impl RedisOptions {
    /// The given server with the default time limits.
    pub fn new(url: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: prefix.into(),
            response_timeout: Duration::from_secs(5),
            connection_timeout: Duration::from_secs(2),
            ca_file: None,
            client_cert: None,
            client_key: None,
            sentinel_user: None,
            sentinel_password: None,
            logins: None,
            replicas: 0,
            replicas_timeout: Duration::from_secs(1),
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("RedisOptions").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// How many replicas must hold a write before it counts, and how long to wait
/// for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// How many.
    pub count: usize,
    /// How long; shorter than the response timeout, and not zero, which would
    /// mean for ever to Redis.
    pub timeout: Duration,
}
