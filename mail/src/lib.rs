//! Mail over SMTP (RFC 5321), on connections that are kept open.
//!
//! | module | its one thing |
//! |---|---|
//! | `address` | where the server is |
//! | `reply` | one reply, read byte by byte |
//! | `wire` | commands and replies in turns |
//! | `tls` | trusted authorities |
//! | `content` | a message as it travels |
//! | `client` | the conversation |
//! | `trouble` | failures, and their meaning for the job |
//! | `gate` | whether the server refuses one mail or all |
//! | `pool` | connections that are kept open |
//! | `keeper` | releases jobs that wait for the server |
//!
//! The conversation is this crate's own code, because what a job does next depends on exactly where
//! the conversation broke off. A mail is accepted only when a 250 came after the final dot. It may
//! have been accepted when nothing came.

mod address;
mod client;
mod content;
mod gate;
mod keeper;
mod pool;
mod recipient;
mod reply;
mod tls;
mod trouble;
mod wire;

use std::sync::Arc;

use lettre::{
    Message,
    message::{Attachment, Body, Mailbox, MultiPart, SinglePart, header::ContentType},
};
use upshot_queue::{BadCondition, Client, Condition, Failure, Lease, Stop};
use upshot_runtime::{Health, settings::SmtpSettings};

use address::Server;
pub use keeper::Keeper;
use pool::Pool;
pub use recipient::Recipient;

/// A mail server that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is invalid.
    #[error(
        "smtp.url: {0}; write it like smtp://host:25, smtp+starttls://user:password@host:587, smtps://user:password@host:465"
    )]
    Url(String),
    /// The sender is not a mail address.
    #[error("smtp.from is `{from}`: {source}; write it like Shop <billing@shop.example>")]
    From {
        /// The value.
        from: String,
        /// What is wrong.
        source: lettre::address::AddressError,
    },
    /// The file of the authority cannot be used.
    #[error("smtp.ca_file is `{path}`: {why}; name a file with the certificate (PEM) of the authority")]
    CaFile {
        /// Which file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("smtp.url: TLS cannot be set up: {0}")]
    Tls(rustls::Error),
    /// Jobs cannot wait for the server.
    #[error(transparent)]
    Condition(#[from] BadCondition),
}

/// The name for which jobs wait while the mail server refuses all mail.
const CONDITION: &str = "breaker:smtp";

/// A mail to send.
#[derive(Debug)]
pub struct Mail<'a> {
    /// The part of the Message-ID before the `@`. It is the same for every attempt, so that
    /// recipients recognise a duplicate after an unclear crash.
    pub id: &'a str,
    /// The recipient.
    pub to: &'a Recipient,
    /// The subject line.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The attachment: file name, content type, bytes.
    pub attachment: (&'a str, &'a str, Vec<u8>),
}

/// The mail server's answer.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The Message-ID, with its angle brackets.
    pub message_id: String,
    /// The reply to the message, such as `250 OK`.
    pub reply: String,
}

/// Sends mail.
#[derive(Debug)]
pub struct Mailer {
    from: Mailbox,
    condition: Condition,
    pool: Arc<Pool>,
    settings: SmtpSettings,
}

impl Mailer {
    /// Checks the settings; connects to nothing yet.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn new(settings: &SmtpSettings) -> Result<Self, Error> {
        let from: Mailbox =
            settings.from.parse().map_err(|source| Error::From { from: settings.from.clone(), source })?;
        let server = Server::parse(settings.url.expose())?;
        let from = Recipient::in_ascii(from);
        let condition: Condition = CONDITION.parse()?;
        let tls = tls::config(settings.ca_file.as_deref())?;
        let pool = Arc::new(Pool::new(server, tls, condition.clone(), settings));
        Ok(Self { from, condition, pool, settings: settings.clone() })
    }

    /// Watches the jobs of these queues that wait for the mail server.
    pub fn keeper(&self, queues: Vec<Client>, health: Health) -> Keeper {
        Keeper::new(Arc::clone(&self.pool), self.condition.clone(), queues, self.settings.probe, health)
    }

    /// Connects as for a mail, with TLS and login if the URL asks for them, and sends none. Returns
    /// the server's own name.
    ///
    /// # Errors
    /// Why no mail could be sent.
    pub async fn probe(&self) -> Result<String, Failure> {
        self.pool.probe().await
    }

    /// Sends a mail and returns the server's reply. The lease of the attempt bounds the wait,
    /// except for the reply to a sent mail.
    ///
    /// # Errors
    /// By the server's three digits: permanent when it refuses the recipient or the message
    /// (5yz), transient when it says 4yz or nothing; unclear when nothing came after the final
    /// dot; parked when it refuses all mail.
    pub async fn send(&self, mail: Mail<'_>, lease: Option<&Lease>) -> Result<Accepted, Stop> {
        let (message_id, message) = self.message(mail)?;
        let reply = self.pool.send(message.envelope(), &message.formatted(), lease).await?;
        Ok(Accepted { message_id, reply })
    }

    /// The Message-ID of the mail with this id, with its angle brackets.
    pub fn message_id(&self, id: &str) -> String {
        format!("<{id}@{}>", self.from.email.domain())
    }

    /// The message and its id.
    ///
    /// # Errors
    /// A permanent failure when it cannot be written.
    pub fn message(&self, mail: Mail<'_>) -> Result<(String, Message), Failure> {
        let message_id = self.message_id(mail.id);
        let (name, content_type, bytes) = mail.attachment;
        let content_type = ContentType::parse(content_type)
            .map_err(|error| Failure::permanent(format!("content type of `{name}`: {error}")))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(mail.to.mailbox().clone())
            .subject(mail.subject)
            .message_id(Some(message_id.clone()))
            .multipart(
                MultiPart::mixed()
                    .singlepart(SinglePart::plain(mail.text))
                    .singlepart(Attachment::new(name.to_owned()).body(Body::new(bytes), content_type)),
            )
            .map_err(|error| Failure::permanent(format!("the mail cannot be written: {error}")))?;
        Ok((message_id, message))
    }
}
