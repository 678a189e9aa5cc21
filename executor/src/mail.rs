//! Mail over SMTP (RFC 5321), on connections that are kept open.

mod address;
mod pool;
mod recipient;

use lettre::{
    Message,
    message::{Attachment, Body, Mailbox, MultiPart, SinglePart, header::ContentType},
};
use upshot_queue::Failure;
use upshot_shared::settings::SmtpSettings;

use address::Server;
use pool::Pool;
pub use recipient::Recipient;

/// A mail server that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not understood.
    #[error(
        "smtp.url: {0}; write it like smtp://host:25, smtp+starttls://user:password@host:587, smtps://user:password@host:465"
    )]
    Url(String),
    /// The sender is no mail address.
    #[error("smtp.from is `{from}`: {source}; write it like Shop <billing@shop.example>")]
    From {
        /// The value.
        from: String,
        /// What is wrong.
        source: lettre::address::AddressError,
    },
    /// TLS cannot be set up.
    #[error("smtp.url: TLS cannot be set up: {0}")]
    Tls(#[from] lettre::transport::smtp::Error),
}

/// A mail to send.
#[derive(Debug)]
pub struct Mail<'a> {
    /// What stands before the `@` of the Message-ID. The same for every attempt,
    /// so that a duplicate after an unclear crash is recognised as one.
    pub id: &'a str,
    /// Who gets it.
    pub to: &'a Recipient,
    /// The subject line.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The attachment: file name, content type, bytes.
    pub attachment: (&'a str, &'a str, Vec<u8>),
}

/// What the mail server said.
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
    pool: Pool,
}

impl Mailer {
    /// Checks the settings; connects to nothing yet.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn new(settings: &SmtpSettings) -> Result<Self, Error> {
        let from: Mailbox =
            settings.from.parse().map_err(|source| Error::From { from: settings.from.clone(), source })?;
        let server = Server::parse(&settings.url)?;
        let from = Recipient::in_ascii(from);
        Ok(Self { from, pool: Pool::new(server, settings.timeout, settings.connections.max(1)) })
    }

    /// Connects as for a mail, with TLS and login where the URL asks for them, and
    /// sends none. Returns what the server says of itself.
    ///
    /// # Errors
    /// Why no mail could be sent.
    pub async fn probe(&self) -> Result<String, Failure> {
        self.pool.probe().await
    }

    /// Sends a mail and returns what the server said when it took it over.
    ///
    /// # Errors
    /// Permanent when the server refuses the recipient or the message for good
    /// (5yz); transient when it is away or says 4yz.
    pub async fn send(&self, mail: Mail<'_>) -> Result<Accepted, Failure> {
        let (message_id, message) = self.message(mail)?;
        let reply = self.pool.send(message.envelope(), &message.formatted()).await?;
        Ok(Accepted { message_id, reply })
    }

    /// The message and its id.
    ///
    /// # Errors
    /// A permanent failure when it cannot be written.
    pub(crate) fn message(&self, mail: Mail<'_>) -> Result<(String, Message), Failure> {
        let message_id = format!("<{}@{}>", mail.id, self.from.email.domain());
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
