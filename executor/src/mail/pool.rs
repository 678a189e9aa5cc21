//! Open connections to the mail server.
//!
//! lettre's own pool leaves Nagle's algorithm on, which costs 44 ms a mail
//! against a server that delays its acknowledgements; so the sockets are ours
//! (but for `smtps`, where lettre opens them).

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lettre::{
    address::Envelope,
    transport::smtp::{
        Error,
        authentication::Mechanism,
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
        response::Response,
    },
};
use tokio::{net::TcpStream, sync::Semaphore};
use upshot_queue::Failure;

use super::address::{Security, Server};

/// Where in the conversation something went wrong. A 5yz up to MAIL FROM is
/// about us (a wrong password, a sender that may not send) and may be mended;
/// after it, it is about this recipient and this message.
#[derive(Clone, Copy)]
enum Stage {
    Connect,
    Message,
}

pub(super) struct Pool {
    server: Server,
    timeout: Duration,
    most: Semaphore,
    idle: Mutex<Vec<AsyncSmtpConnection>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new(server: Server, timeout: Duration, most: usize) -> Self {
        Self { server, timeout, most: Semaphore::new(most), idle: Mutex::default() }
    }

    /// Connects, logs in and says goodbye; what the server said of itself.
    pub(super) async fn probe(&self) -> Result<String, Failure> {
        let mut connection = self.in_time(self.connect()).await??;
        let said = connection.server_info().name().to_owned();
        // It is told for politeness.
        let _ = self.in_time(connection.quit()).await;
        Ok(said)
    }

    /// Sends one message and returns the server's reply.
    pub(super) async fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<String, Failure> {
        let Ok(_place) = self.most.acquire().await else {
            return Err(Failure::transient("the mail pool is closed"));
        };
        let mut connection = match self.usable().await {
            Some(connection) => connection,
            None => self.in_time(self.connect()).await??,
        };
        match self.in_time(converse(&mut connection, envelope, message)).await? {
            Ok(response) => {
                let reply =
                    format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" "));
                if !connection.has_broken() {
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                }
                Ok(reply.trim().to_owned())
            }
            // The conversation may be anywhere: this connection is not used again.
            Err((stage, error)) => Err(self.failure(&error, stage)),
        }
    }

    /// An idle connection that still answers.
    async fn usable(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let mut connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            let answers = tokio::time::timeout(Duration::from_secs(5), connection.test_connected()).await;
            if answers == Ok(true) {
                return Some(connection);
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let refused = |error: Error| self.failure(&error, Stage::Connect);
        let away = |error: io::Error| Failure::transient(format!("mail server {:?}: {error}", self.server));
        let Server { host, port, security, credentials } = &self.server;
        let address = (host.as_str(), *port);
        let tls = || TlsParameters::new(host.clone()).map_err(refused);
        let hello = ClientId::default();
        let mut connection = if *security == Security::Tls {
            let connecting =
                AsyncSmtpConnection::connect_tokio1(address, Some(self.timeout), &hello, Some(tls()?), None);
            connecting.await.map_err(refused)?
        } else {
            let stream = TcpStream::connect(address).await.map_err(away)?;
            stream.set_nodelay(true).map_err(away)?;
            AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await.map_err(refused)?
        };
        if *security == Security::StartTls {
            // Required, not opportunistic: login and mail never travel in plain text.
            if !connection.can_starttls() {
                return Err(Failure::transient(format!(
                    "mail server {:?}: it offers no STARTTLS, which `smtp.url` demands, and nothing was sent: \
                     see to its certificate, or name its port for smtps://",
                    self.server
                )));
            }
            connection.starttls(tls()?, &hello).await.map_err(refused)?;
        }
        if let Some(credentials) = credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await.map_err(refused)?;
        }
        Ok(connection)
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::time::timeout(self.timeout, work).await.map_err(|_| {
            Failure::transient(format!("mail server {:?}: no answer within {:?}", self.server, self.timeout))
        })
    }

    fn failure(&self, error: &Error, stage: Stage) -> Failure {
        let mut message = format!("mail server {:?}: {error}", self.server);
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            message = format!("{message}: {error}");
            source = error.source();
        }
        match stage {
            Stage::Message if error.is_permanent() => Failure::permanent(message),
            _ => Failure::transient(message),
        }
    }
}

/// Hands over one message (RFC 5321, 3.3). Addresses and message are ASCII:
/// lettre encodes the latter, [`super::Mailer`] sees to the former.
async fn converse(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    message: &[u8],
) -> Result<Response, (Stage, Error)> {
    let sender = Mail::new(envelope.from().cloned(), Vec::new());
    connection.command(sender).await.map_err(|error| (Stage::Connect, error))?;
    let content = async {
        for recipient in envelope.to() {
            connection.command(Rcpt::new(recipient.clone(), Vec::new())).await?;
        }
        connection.command(Data).await?;
        connection.message(message).await
    };
    content.await.map_err(|error| (Stage::Message, error))
}
