//! Open connections to the mail server, and the gate in front of them.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    address::Server,
    client::{Client, Limits},
    gate::{Gate, Ruling},
    trouble::{Meaning, Stage, Trouble},
};
use lettre::address::Envelope;
use rustls::ClientConfig;
use tokio::sync::{Notify, Semaphore};
use upshot_queue::{Condition, Failure, Lease, Park, Stop, fingerprint::normalise};
use upshot_runtime::{
    secret::SecretUrl,
    settings::{SmtpSettings, SmtpTimeouts},
};
use upshot_shared::redact::shorten;

/// How long an idle connection may take to answer, also to QUIT.
const BRIEF: Duration = Duration::from_secs(5);
/// How much longer than the wait for a reply the attempt may run, so that it can report what it
/// waited for.
const SPARE: Duration = Duration::from_secs(1);

pub(super) struct Pool {
    /// The server at the start, as messages name it.
    server: Server,
    url: SecretUrl,
    tls: Arc<ClientConfig>,
    timeouts: SmtpTimeouts,
    connections: usize,
    most: Semaphore,
    idle: Mutex<Vec<Client>>,
    gate: Mutex<Gate>,
    /// The gate has opened.
    pub(super) opened: Notify,
    condition: Condition,
    hasher: RandomState,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new(
        server: Server,
        tls: Arc<ClientConfig>,
        condition: Condition,
        settings: &SmtpSettings,
    ) -> Self {
        let connections = settings.connections.max(1);
        Self {
            server,
            url: settings.url.clone(),
            tls,
            timeouts: settings.timeouts.clone(),
            connections,
            most: Semaphore::new(connections),
            idle: Mutex::default(),
            gate: Mutex::new(Gate::new(settings.confirm_refusal)),
            opened: Notify::new(),
            condition,
            hasher: RandomState::new(),
        }
    }

    /// Connects, logs in and quits. Returns the server's own name.
    ///
    /// # Errors
    /// Why no mail could be sent.
    pub(super) async fn probe(&self) -> Result<String, Failure> {
        let limits = Limits { timeouts: &self.timeouts, by: None };
        let client = Client::connect(&self.newest(), &self.tls, limits).await;
        let client = client.map_err(|trouble| Failure::transient(self.said(&trouble)))?;
        let name = client.name().to_owned();
        client.quit(BRIEF).await;
        Ok(name)
    }

    /// Sends one message and returns the server's reply.
    ///
    /// # Errors
    /// The meaning of the failure for the job.
    pub(super) async fn send(
        &self,
        envelope: &Envelope,
        message: &[u8],
        lease: Option<&Lease>,
    ) -> Result<String, Stop> {
        self.gate(Gate::admit).map_err(|why| self.park(why))?;
        let limits = Limits { timeouts: &self.timeouts, by: lease.map(Lease::answer_by) };
        let _place = self.place(limits.by).await?;
        let awaits = |limit: Duration| {
            let what = format!("mail server {}: the mail may have been accepted", self.server);
            lease.map(|lease| lease.awaits(limit.saturating_add(SPARE), what))
        };
        let mut done = None;
        if let Some(mut client) = self.usable().await {
            match client.send(envelope, message, limits, awaits).await {
                Ok(reply) => done = Some((client, reply)),
                // A server's complaint about an old connection says nothing about the mail, so a
                // new connection decides.
                Err(trouble) if trouble.stage <= Stage::Sender => {}
                Err(trouble) => return Err(self.rule(&trouble, envelope)),
            }
        }
        let (client, reply) = match done {
            Some(done) => done,
            None => {
                let sending = async {
                    let mut client = Client::connect(&self.newest(), &self.tls, limits).await?;
                    let reply = client.send(envelope, message, limits, awaits).await?;
                    Ok((client, reply))
                };
                sending.await.map_err(|trouble| self.rule(&trouble, envelope))?
            }
        };
        if self.gate(|gate| gate.accepted(Instant::now())) {
            tracing::info!(server = %self.server, "the mail server accepts mail again");
            self.opened.notify_one();
        }
        if !reply.cut {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        }
        Ok(reply.to_string())
    }

    /// The server and the login for a new connection. Reads the file of `smtp.url` again, if there
    /// is one; while the file cannot be used, the login of the start is tried.
    fn newest(&self) -> Cow<'_, Server> {
        if self.url.file().is_none() {
            return Cow::Borrowed(&self.server);
        }
        let read = self.url.current().map_err(|error| error.to_string());
        match read.and_then(|url| Server::parse(url.expose()).map_err(|error| error.to_string())) {
            Ok(server) => Cow::Owned(server),
            Err(why) => {
                tracing::warn!(%why, "`smtp.url` cannot be read again: the login of the start is used");
                Cow::Borrowed(&self.server)
            }
        }
    }

    /// Locks the gate.
    pub(super) fn gate<T>(&self, work: impl FnOnce(&mut Gate) -> T) -> T {
        work(&mut self.gate.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn place(&self, by: Option<Instant>) -> Result<tokio::sync::SemaphorePermit<'_>, Stop> {
        let acquiring = self.most.acquire();
        let acquired = match by {
            Some(by) => tokio::time::timeout_at(by.into(), acquiring).await,
            None => Ok(acquiring.await),
        };
        match acquired {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Failure::transient(format!(
                "mail server {}: its {} connections (`smtp.connections`) were busy for all the time that the \
                 attempt had",
                self.server, self.connections
            ))
            .into()),
        }
    }

    /// An idle connection that still answers.
    async fn usable(&self) -> Option<Client> {
        loop {
            let mut client = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if client.answers(BRIEF).await {
                return Some(client);
            }
        }
    }

    fn said(&self, trouble: &Trouble) -> String {
        format!("mail server {}: {trouble}", self.server)
    }

    fn park(&self, why: String) -> Stop {
        Park { condition: self.condition.clone(), within: None, why }.into()
    }

    /// The meaning of a failure for its job.
    fn rule(&self, trouble: &Trouble, envelope: &Envelope) -> Stop {
        let said = self.said(trouble);
        let meaning = trouble.meaning();
        let recipient = envelope.to().first().map(ToString::to_string).unwrap_or_default();
        // It is logged, and the server's words may hold an address.
        let why = format!("{}: it refuses all mail; one job tries every `smtp.probe`", shorten(&said));
        let ruling = self.gate(|gate| {
            let text = trouble.cause(&recipient, normalise);
            let was_shut = gate.why_shut().is_some();
            let ruling = gate.refused(Instant::now(), meaning, &text, self.hasher.hash_one(&recipient), &why);
            if !was_shut && gate.why_shut().is_some() {
                tracing::error!(server = %self.server, %why, "jobs that send mail are parked");
            }
            ruling
        });
        match (ruling, meaning) {
            (Ruling::Park, _) => self.park(why),
            (Ruling::Confirm(after), _) => Failure::permanent_if_confirmed(said, after).into(),
            (Ruling::Stands, Meaning::Refused | Meaning::Closed) => Failure::permanent(said).into(),
            (Ruling::Stands, Meaning::Unclear) => Failure::unclear(said).into(),
            (Ruling::Stands, Meaning::Transient | Meaning::TurnedAway) => Failure::transient(said).into(),
        }
    }
}
