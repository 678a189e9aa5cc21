//! How a command ends: the exit codes, and which error leads to which.

use std::{error::Error, fmt};

use anyhow::anyhow;
use redis::RedisError;
use reqwest::StatusCode;
use upshot_queue::connect::Cause;
use upshot_runtime::{amqp::PublishError, settings};

use crate::{commands::Answered, output::Unwritten};

/// How a command ends. Scripts rely on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command did what was asked.
    Fine,
    /// The command failed, or a check found something.
    Failed,
    /// The command line, a variable or the settings cannot be used. The same command fails again.
    Usage,
    /// What the command names is not there.
    NotFound,
    /// The credential is missing or refused, or lacks a right.
    Refused,
    /// The API, Redis or RabbitMQ does not answer. The same command may succeed later.
    NotReachable,
    /// The reader of standard output went away: 128 and the number of SIGPIPE, as the shell counts.
    ClosedPipe,
}

impl Exit {
    /// The codes of the help. A closed pipe is the reader's own doing.
    const TOLD: [(Self, &'static str); 6] = [
        (Self::Fine, "fine"),
        (Self::Failed, "failed, or a check found something"),
        (Self::Usage, "the command line, a variable or the settings cannot be used"),
        (Self::NotFound, "what the command names is not there"),
        (Self::Refused, "refused: log in (`upshot login`), or ask for the right that is named"),
        (Self::NotReachable, "the API, Redis or RabbitMQ does not answer: try again later"),
    ];

    /// The code, as the shell sees it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::NotReachable => 5,
            Self::ClosedPipe => 141,
        }
    }

    /// How a command ends that failed with this error: by the outermost cause that says so.
    pub fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(of_cause).unwrap_or(Self::Failed)
    }

    /// How a command ends that the API answered with this status.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::Usage,
            StatusCode::NOT_FOUND | StatusCode::GONE => Self::NotFound,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Refused,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Self::NotReachable
            }
            status if status.is_success() => Self::Fine,
            _ => Self::Failed,
        }
    }

    /// An error that ends the command like this.
    pub fn because(self, why: impl Into<String>) -> anyhow::Error {
        anyhow!(Because { exit: self, why: why.into() })
    }

    /// The codes, a line each, for the help.
    pub fn help() -> String {
        let lines: Vec<String> =
            Self::TOLD.iter().map(|(exit, words)| format!("  {}  {words}", exit.code())).collect();
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

/// An error that says itself how the command ends.
#[derive(Debug)]
struct Because {
    exit: Exit,
    why: String,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Error for Because {}

/// How a command ends because of one error of a chain; `None` if its cause may say it.
fn of_cause(error: &(dyn Error + 'static)) -> Option<Exit> {
    if let Some(because) = error.downcast_ref::<Because>() {
        return Some(because.exit);
    }
    if let Some(answered) = error.downcast_ref::<Answered>() {
        return Some(Exit::of_status(answered.status));
    }
    if let Some(unwritten) = error.downcast_ref::<Unwritten>() {
        let is_closed = matches!(unwritten, Unwritten::Closed);
        return Some(if is_closed { Exit::ClosedPipe } else { Exit::Failed });
    }
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        let is_away = error.is_connect() || error.is_timeout() || error.is_request() || error.is_body();
        return is_away.then_some(Exit::NotReachable);
    }
    if let Some(error) = error.downcast_ref::<RedisError>() {
        return Some(of_redis(Cause::of(error)));
    }
    if let Some(error) = error.downcast_ref::<upshot_queue::Error>() {
        return matches!(error, upshot_queue::Error::NotReplicated { .. }).then_some(Exit::NotReachable);
    }
    if let Some(error) = error.downcast_ref::<upshot_access::Error>() {
        return of_access(error);
    }
    if let Some(error) = error.downcast_ref::<PublishError>() {
        return Some(of_publishing(error));
    }
    if let Some(upshot_api::Error::Exposed(_)) = error.downcast_ref() {
        return Some(Exit::Usage);
    }
    error.is::<settings::Error>().then_some(Exit::Usage)
}

/// How a command ends that RabbitMQ took no message from.
pub fn of_publishing(error: &PublishError) -> Exit {
    match error {
        PublishError::Unavailable(_) | PublishError::Unknown(_) => Exit::NotReachable,
        PublishError::NotPermitted(_) => Exit::Refused,
        PublishError::Unroutable | PublishError::Refused => Exit::Failed,
    }
}

fn of_access(error: &upshot_access::Error) -> Option<Exit> {
    match error {
        // This error is transparent: its cause stands behind Redis' own error.
        upshot_access::Error::Redis(error) => Some(of_redis(Cause::of(error))),
        upshot_access::Error::Refused(_) => Some(Exit::Refused),
        upshot_access::Error::UnknownToken(_) => Some(Exit::NotFound),
        _ => None,
    }
}

fn of_redis(cause: Cause) -> Exit {
    match cause {
        Cause::NoLogin | Cause::WrongLogin | Cause::NotPermitted => Exit::Refused,
        Cause::Other => Exit::Failed,
        _ => Exit::NotReachable,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;

    /// The code of an error, bare and within a context.
    fn code(error: impl Into<anyhow::Error>) -> u8 {
        let error = error.into();
        let bare = Exit::of(&error).code();
        assert_eq!(Exit::of(&error.context("the queue `a` cannot be read")).code(), bare);
        bare
    }

    #[test]
    fn each_error_has_its_code() {
        let away = || RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        let refused = || RedisError::from((redis::ErrorKind::AuthenticationFailed, "WRONGPASS"));
        assert_eq!(code(anyhow!("it failed")), 1);
        assert_eq!(code(io::Error::other("the disk is full")), 1);
        assert_eq!(code(Exit::Usage.because("two flags contradict each other")), 2);
        assert_eq!(code(away()), 5);
        assert_eq!(code(refused()), 4);
        assert_eq!(code(upshot_queue::Error::Redis(away())), 5);
        assert_eq!(code(upshot_queue::Error::NotReplicated { acknowledged: 0, wanted: 1 }), 5);
        assert_eq!(code(upshot_access::Error::Redis(away())), 5);
        assert_eq!(code(upshot_access::Error::Redis(refused())), 4);
        assert_eq!(code(upshot_access::Error::UnknownToken("a".to_owned())), 3);
        assert_eq!(code(PublishError::Unavailable("no connection".into())), 5);
        assert_eq!(code(PublishError::Unroutable), 1);
        assert_eq!(code(Unwritten::Closed), 141);
        assert_eq!(code(Unwritten::Failed(io::Error::other("full"))), 1);
    }

    #[test]
    fn each_status_of_the_api_has_its_code() {
        for (status, expected) in [
            (200, 0),
            (400, 2),
            (401, 4),
            (403, 4),
            (404, 3),
            (409, 1),
            (410, 3),
            (413, 1),
            (422, 1),
            (500, 1),
            (502, 5),
            (503, 5),
            (504, 5),
            (507, 1),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Exit::of_status(status).code(), expected, "{status}");
        }
    }

    #[test]
    fn a_command_that_nothing_listens_to_is_not_reachable() {
        let asked = Err::<(), _>(Exit::NotReachable.because("no API")).context("asked in vain");
        assert_eq!(Exit::of(&asked.unwrap_err()), Exit::NotReachable);
        let help = Exit::help();
        assert!(help.contains("  5  the API") && help.lines().count() == 7, "{help}");
    }
}
