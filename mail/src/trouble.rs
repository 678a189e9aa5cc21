//! Why a mail was not accepted, and the meaning for its job.

use std::{fmt, io, time::Duration};

use upshot_runtime::settings::SmtpTimeouts;

use crate::reply::{Nonsense, Reply};

/// The stage of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Connect,
    Tls,
    Greeting,
    Hello,
    StartTls,
    Login,
    Sender,
    Recipient,
    Data,
    Content,
    /// From the first byte of the final dot on: the mail may have been accepted.
    Accept,
}

impl Stage {
    #[cfg(test)]
    pub(super) const ALL: [Self; 11] = [
        Self::Connect,
        Self::Tls,
        Self::Greeting,
        Self::Hello,
        Self::StartTls,
        Self::Login,
        Self::Sender,
        Self::Recipient,
        Self::Data,
        Self::Content,
        Self::Accept,
    ];

    /// The time limit for the reply (RFC 5321, 4.5.3.2).
    pub(super) fn limit(self, timeouts: &SmtpTimeouts) -> Duration {
        match self {
            Self::Connect | Self::Tls => timeouts.connect,
            Self::Greeting => timeouts.greeting,
            Self::Hello | Self::StartTls | Self::Login | Self::Sender | Self::Recipient => timeouts.command,
            Self::Data => timeouts.data,
            Self::Content => timeouts.block,
            Self::Accept => timeouts.accept,
        }
    }

    /// The prefix of a failure's message.
    fn name(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Tls => "the TLS handshake",
            Self::Greeting => "the greeting",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Login => "AUTH",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "the content",
            Self::Accept => "the final dot",
        }
    }
}

/// The cause.
#[derive(Debug, thiserror::Error)]
pub(super) enum What {
    /// The server gave this unexpected reply.
    #[error("{0}")]
    Said(Reply),
    /// The server sent something that is not a reply.
    #[error("{0}")]
    Nonsense(#[from] Nonsense),
    /// The server spoke before it was asked.
    #[error("it answered before it was asked, so the answer is ignored")]
    OutOfTurn,
    /// The server sent nothing for this long.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Silent(Duration),
    /// The attempt has no time left.
    #[error("no answer in the time that the attempt had left")]
    NoTime,
    /// The connection ended, or could not be opened.
    #[error("{0}")]
    Lost(#[from] io::Error),
    /// The server cannot do what the settings demand.
    #[error("{0}")]
    Cannot(&'static str),
}

/// A failure: its stage and its cause.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) stage: Stage,
    pub(super) what: What,
}

/// The meaning of a failure for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The failure may go away by itself.
    Transient,
    /// The server refuses this recipient or this message permanently.
    Refused,
    /// The server refuses all mail: the client's address, login or sender.
    Closed,
    /// The server refuses all mail for now.
    TurnedAway,
    /// The mail may have been accepted.
    Unclear,
}

impl Trouble {
    pub(super) fn meaning(&self) -> Meaning {
        match (&self.what, self.stage) {
            (What::Said(reply), stage) => match reply.class() {
                5 if stage <= Stage::Sender => Meaning::Closed,
                5 => Meaning::Refused,
                // "Service not available, closing transmission channel."
                4 if stage <= Stage::Sender && reply.code == 421 => Meaning::TurnedAway,
                4 => Meaning::Transient,
                // A 2yz or 3yz where neither belongs.
                _ if stage == Stage::Accept => Meaning::Unclear,
                _ => Meaning::Transient,
            },
            (_, Stage::Accept) => Meaning::Unclear,
            _ => Meaning::Transient,
        }
    }
}

impl Trouble {
    /// The same without these texts in the server's reply.
    pub(super) fn hiding(mut self, secrets: &[&str]) -> Self {
        if let What::Said(reply) = &mut self.what {
            for line in &mut reply.lines {
                for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
                    *line = line.replace(secret, "…");
                }
            }
        }
        self
    }

    /// The common part of refusals with one cause: stage, digits, and the text without the parts
    /// that differ from mail to mail.
    pub(super) fn cause(&self, recipient: &str, normalise: impl Fn(&str) -> String) -> String {
        let (code, text) = match &self.what {
            What::Said(reply) => (reply.code, reply.lines.join(" ")),
            other => (0, other.to_string()),
        };
        let text = if recipient.is_empty() { text } else { text.replace(recipient, "<recipient>") };
        format!("{} {code} {}", self.stage.name(), normalise(&text))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, what } = self;
        if self.meaning() == Meaning::Unclear {
            f.write_str("the mail may have been accepted: ")?;
        }
        match (stage, what) {
            (Stage::Accept, What::Silent(limit)) => {
                write!(f, "no answer within {} after the final dot", humantime::format_duration(*limit))
            }
            (Stage::Accept, What::Lost(why)) => {
                write!(f, "no answer after the final dot, the connection is lost: {why}")
            }
            (Stage::Accept, _) => write!(f, "after the final dot: {what}"),
            _ => write!(f, "{}: {what}", stage.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(code: u16) -> What {
        What::Said(Reply { code, lines: vec!["text".to_owned()], cut: false })
    }

    fn what() -> impl Strategy<Value = What> {
        prop_oneof![
            (200u16..600).prop_map(said),
            Just(()).prop_map(|()| What::OutOfTurn),
            Just(()).prop_map(|()| What::NoTime),
            Just(()).prop_map(|()| What::Silent(Duration::from_secs(5))),
            Just(()).prop_map(|()| What::Nonsense(Nonsense::Endless)),
            Just(()).prop_map(|()| What::Lost(io::ErrorKind::ConnectionReset.into())),
        ]
    }

    proptest! {
        /// The first digit decides. Without a digit, the failure is transient before the final dot
        /// and unclear after it.
        #[test]
        fn digits_and_stage_decide(stage in prop::sample::select(Stage::ALL.to_vec()), what in what()) {
            let class = if let What::Said(reply) = &what { Some(reply.class()) } else { None };
            let trouble = Trouble { stage, what };
            let meaning = trouble.meaning();
            match class {
                Some(5) => prop_assert_eq!(
                    meaning,
                    if stage <= Stage::Sender { Meaning::Closed } else { Meaning::Refused }
                ),
                Some(4) => prop_assert!(matches!(meaning, Meaning::Transient | Meaning::TurnedAway)),
                _ => prop_assert_eq!(
                    meaning,
                    if stage == Stage::Accept { Meaning::Unclear } else { Meaning::Transient }
                ),
            }
            let text = trouble.to_string();
            prop_assert_eq!(text.contains("may have been accepted"), meaning == Meaning::Unclear, "{}", text);
        }
    }
}
