//! `upshot publish`: events from files, checked as the intake checks them, with publisher
//! confirms.

use std::{collections::BTreeMap, io::Read, path::Path, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use upshot_queue::{Client, Connector, NewJob, QueueName, Reconciled};
use upshot_runtime::{
    Settings,
    amqp::{PublishError, Publisher},
    known::{self, Found},
};
use upshot_shared::{
    Event, Intake, Proof, Rejection,
    event::{Envelope, STRUCTURED},
    intake::Accepted,
    rejection,
};

use crate::{
    arguments::Publish,
    exit::{self, Exit},
    output::{Output, Page, note},
    running::Running,
};

/// How long RabbitMQ may take to confirm an event.
const CONFIRM: Duration = Duration::from_secs(30);
/// How long Redis may take to say whether an event is known. The command publishes the event even
/// without that answer.
const LOOK: Duration = Duration::from_secs(1);

/// The result for one event of a file.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    /// Its position in the file, from 1; 0 for the file as a whole.
    event: usize,
    result: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// The jobs that it becomes, or the jobs that were there.
    jobs: Vec<ReportedJob>,
    /// What it confirms.
    confirmations: Vec<ReportedConfirmation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// How the command ends if it ends here.
    #[serde(skip)]
    exit: Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// RabbitMQ has it, and its jobs are new.
    Published,
    /// RabbitMQ has it, and its jobs were there before.
    Duplicate,
    /// RabbitMQ has it, and its data repairs a job that could not use the first data.
    Repairs,
    /// RabbitMQ has it, and Redis does not say whether it is known.
    PublishedPerhapsAgain,
    /// It cannot be accepted and was not published.
    Refused,
    /// RabbitMQ took no message; later events were not tried.
    NotPublished,
    /// RabbitMQ may have it; later events were not tried.
    Unknown,
}

#[derive(Debug, Serialize)]
struct ReportedJob {
    queue: String,
    id: String,
    kind: String,
}

#[derive(Debug, Serialize)]
struct ReportedConfirmation {
    queue: String,
    key: String,
}

/// Publishes every acceptable event of every file, and reports the result for each. An event that
/// cannot be accepted does not stop the others.
pub async fn run(mut settings: Settings, publish: &Publish, out: &mut Output) -> anyhow::Result<()> {
    Running::fill(&mut settings);
    let publisher = publisher(&settings)?;
    let mut sender = Sender {
        intake: Intake::new(settings.intake())?,
        queues: queues(&settings)?,
        publisher,
        all: 0,
        refused: 0,
    };
    let ended = sender.files(publish, out).await;
    sender.publisher.close().await;
    ended?;
    match (sender.refused, sender.all) {
        (0, _) => Ok(()),
        (_, 1) => bail!("it was not published"),
        (refused, all) => bail!("{refused} of {all} were not published"),
    }
}

struct Sender {
    intake: Intake,
    /// The queues that know events; empty without a Redis to ask.
    queues: BTreeMap<QueueName, Client>,
    publisher: Publisher,
    all: usize,
    refused: usize,
}

impl Sender {
    async fn files(&mut self, publish: &Publish, out: &mut Output) -> anyhow::Result<()> {
        for file in &publish.files {
            let shown = file.display().to_string();
            let text = read(file).with_context(|| format!("{shown} cannot be read"));
            let events = text.and_then(|text| {
                split(&text).with_context(|| format!("{shown} holds neither a CloudEvent nor several"))
            });
            let events = match events {
                Ok(events) => events,
                Err(error) => {
                    let report = Report { detail: Some(format!("{error:#}")), ..Report::new(&shown, 0) };
                    self.tell(&report, out)?;
                    continue;
                }
            };
            for (place, text) in events.iter().enumerate() {
                let report = self.one(&shown, place + 1, text.get()).await;
                self.tell(&report, out)?;
                if matches!(report.result, Outcome::NotPublished | Outcome::Unknown) {
                    let (place, why) = (place + 1, report.detail.unwrap_or_default());
                    let why = format!("{shown}, event {place}: {why}; later events were not tried");
                    return Err(report.exit.because(why));
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, report: &Report, out: &mut Output) -> anyhow::Result<()> {
        self.all += 1;
        if report.result == Outcome::Refused {
            self.refused += 1;
        }
        let mut refusal = None;
        out.item(report, |page| refusal = report.show(page))?;
        refusal.iter().for_each(note);
        Ok(())
    }

    async fn one(&mut self, file: &str, place: usize, text: &str) -> Report {
        let report = Report::new(file, place);
        let body = Bytes::from(text.to_owned());
        let envelope = Envelope { content_type: Some(STRUCTURED.to_owned()), ..Envelope::default() };
        let Accepted { event, jobs, confirmations } = match self.intake.accept(&envelope, &body) {
            Ok(accepted) => accepted,
            Err(rejection) => return report.refused(rejection),
        };
        let known = self.look_up(&jobs).await;
        let found = || known.iter().flatten().flatten();
        let conflict = found().find_map(|found| match found.reconciled {
            Some(Reconciled::Conflict(conflict)) => Some(rejection::conflicting(&found.job.id, conflict)),
            _ => None,
        });
        let report = report.of(&event);
        if let Some(conflict) = conflict {
            return report.refused(conflict);
        }
        if let Err(error) = self.publisher.publish_event(&event, text.as_bytes()).await {
            let unknown = matches!(error, PublishError::Unknown(_));
            let result = if unknown { Outcome::Unknown } else { Outcome::NotPublished };
            let exit = exit::of_publishing(&error);
            return Report { result, detail: Some(error.to_string()), exit, ..report };
        }
        let result = if known.is_none() {
            Outcome::PublishedPerhapsAgain
        } else if found().any(|found| found.reconciled == Some(Reconciled::Repaired)) {
            Outcome::Repairs
        } else if found().next().is_some() {
            Outcome::Duplicate
        } else {
            Outcome::Published
        };
        let known = known.unwrap_or_else(|| jobs.iter().map(|_| None).collect());
        let jobs = jobs.iter().zip(known).map(|((queue, job), found)| {
            let (id, kind) = found
                .map_or_else(|| (job.id.clone(), job.kind.clone()), |found| (found.job.id, found.job.kind));
            ReportedJob { queue: queue.to_string(), id: id.to_string(), kind }
        });
        let confirmation = |Proof { queue, condition, .. }: Proof| ReportedConfirmation {
            queue: queue.to_string(),
            key: condition.key().to_owned(),
        };
        let confirmations = confirmations.into_iter().map(confirmation).collect();
        Report { result, jobs: jobs.collect(), confirmations, ..report }
    }
}

impl Sender {
    /// The jobs that are there already; `None` if Redis does not answer, and then Redis is not
    /// asked again.
    async fn look_up(&mut self, jobs: &[(QueueName, NewJob)]) -> Option<Vec<Option<Found>>> {
        if self.queues.is_empty() {
            return None;
        }
        let looked = tokio::time::timeout(LOOK, known::look_up(&self.queues, jobs)).await;
        match looked {
            Ok(Ok(known)) => Some(known),
            // One damaged job says nothing about the others.
            Ok(Err(error)) if !matches!(error, upshot_queue::Error::Redis(_)) => None,
            Ok(Err(_)) | Err(_) => {
                self.queues.clear();
                None
            }
        }
    }
}

impl Report {
    fn new(file: &str, event: usize) -> Self {
        Self {
            file: file.to_owned(),
            event,
            result: Outcome::Refused,
            source: None,
            id: None,
            kind: None,
            jobs: Vec::new(),
            confirmations: Vec::new(),
            reason: None,
            place: None,
            detail: None,
            exit: Exit::Failed,
        }
    }

    fn of(self, event: &Event) -> Self {
        let Event { source, id, kind, .. } = event.clone();
        Self { source: Some(source), id: Some(id), kind: Some(kind), ..self }
    }

    fn refused(self, rejection: Rejection) -> Self {
        let Rejection { reason, place, detail } = rejection;
        Self { reason: Some(reason.to_string()), place: Some(place), detail: Some(detail), ..self }
    }

    /// Shows the result to a person. Returns the reason of a refusal, which is printed elsewhere.
    fn show(&self, page: &mut Page) -> Option<String> {
        let said = |part: &Option<String>| part.clone().unwrap_or_default();
        let event = format!("{} {} from {}", said(&self.kind), said(&self.id), said(&self.source));
        let published = match self.result {
            Outcome::Refused if self.event == 0 => {
                return Some(format!("not published: {}", said(&self.detail)));
            }
            Outcome::Refused => {
                let place = said(&self.place);
                let at = if place.is_empty() { place } else { format!(" at `{place}`") };
                let (reason, detail) = (said(&self.reason), said(&self.detail));
                return Some(format!(
                    "not published: {}, event {}: {reason}{at}: {detail}",
                    self.file, self.event
                ));
            }
            // The error says so.
            Outcome::NotPublished | Outcome::Unknown => return None,
            Outcome::Published => "",
            Outcome::Duplicate => "; it is a duplicate",
            Outcome::Repairs => "; it repairs a job that could not use the first data",
            Outcome::PublishedPerhapsAgain => "; Redis does not answer, so it may be a duplicate",
        };
        page.text(format!("published {event}{published}"));
        self.jobs.iter().for_each(|job| page.line(format!("  job {} in queue {}", job.id, job.queue)));
        for ReportedConfirmation { queue, key } in &self.confirmations {
            page.text(format!("  it confirms `{key}` in queue {queue}"));
        }
        None
    }
}

/// The queues; none if the settings name no Redis.
fn queues(settings: &Settings) -> anyhow::Result<BTreeMap<QueueName, Client>> {
    if settings.redis.url.is_empty() {
        return Ok(BTreeMap::new());
    }
    let connector = Connector::new(settings.redis.options())?;
    let queue = |name: &QueueName| Ok((name.clone(), Client::new(&connector, name.clone())?));
    settings.queues.keys().map(queue).collect()
}

/// A publisher like a producer's: it declares nothing.
pub fn publisher(settings: &Settings) -> anyhow::Result<Publisher> {
    if settings.amqp.url.is_empty() {
        let why = format!(
            "amqp.url is empty and no `upshot up` runs in `{}`: start one, or set UPSHOT_AMQP_URL",
            settings.data_dir
        );
        return Err(Exit::NotReachable.because(why));
    }
    Ok(Publisher::new(&settings.amqp, "upshot-publish", false, CONFIRM))
}

fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

/// One event, a JSON list of events, or one event a line.
fn split(text: &str) -> serde_json::Result<Vec<Box<RawValue>>> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text);
    }
    let values = serde_json::Deserializer::from_str(text).into_iter::<Box<RawValue>>();
    let events = values.collect::<serde_json::Result<Vec<_>>>()?;
    for event in &events {
        serde_json::from_str::<serde_json::Map<String, Value>>(event.get())?;
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_one_event_or_several() {
        assert_eq!(split("{\"a\":1}").unwrap().len(), 1);
        assert_eq!(split(" [{\"a\":1}, {\"b\":2}]").unwrap().len(), 2);
        assert_eq!(split("{\"a\":1}\n{\"b\":2}\n").unwrap().len(), 2);
        assert!(split("hello").is_err());
        assert!(split("7").is_err());
    }
}
