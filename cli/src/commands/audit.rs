//! `upshot audit`: recounts every expectation and names what the books do not explain.

use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, TimeZone, Utc};
use serde_json::{Value, json};
use upshot_ledger::audit::unexplained;
use upshot_queue::{Account, Audit, Balance, Client, Connector, Drift, Unexplained};
use upshot_runtime::Settings;
use upshot_shared::intake::{LABEL_ID, LABEL_SOURCE};

use super::value::span;
use crate::{
    arguments::AuditCommand,
    exit::Exit,
    output::{Output, Page, Table},
    running::Running,
};

/// Unexplained expectations whose jobs are read for the report.
const NAMED: usize = 100;

/// Audits the queues; an error if something is unexplained.
pub async fn run(mut settings: Settings, audit: &AuditCommand, out: &mut Output) -> anyhow::Result<()> {
    Running::fill(&mut settings);
    let connector = Connector::new(settings.redis.options())?;
    let names = settings.queues.keys().filter(|name| audit.queue.as_ref().is_none_or(|queue| queue == *name));
    let mut reports = Vec::new();
    for name in names {
        let queue = Client::new(&connector, name.clone())?;
        // As much time for others as each call took.
        let found = queue.audit(async |took: Duration| tokio::time::sleep(took).await).await?;
        reports.push(Report::of(&queue, found).await?);
    }
    if let (Some(queue), true) = (&audit.queue, reports.is_empty()) {
        let known: Vec<String> = settings.queues.keys().map(ToString::to_string).collect();
        let why = format!("no settings name the queue `{queue}`: use one of {}", known.join(", "));
        return Err(Exit::NotFound.because(why));
    }
    let found: u64 = reports.iter().map(|report| unexplained(&report.audit)).sum();
    let answer = json!({
        "unexplained": found,
        "queues": reports.iter().map(Report::document).collect::<Vec<_>>(),
    });
    out.answer(&answer, |page| print(page, &reports))?;
    if found > 0 {
        bail!("{found} expectations are unexplained");
    }
    Ok(())
}

/// The audit of one queue.
struct Report {
    queue: String,
    audit: Audit,
    balance: Balance,
    routes: Vec<(u32, String)>,
    events: Vec<(Unexplained, Option<String>, Option<String>)>,
}

impl Report {
    async fn of(queue: &Client, audit: Audit) -> anyhow::Result<Self> {
        let (balance, routes) = (queue.balance().await?, queue.routes().await?);
        let mut events = Vec::new();
        for found in audit.unexplained.iter().take(NAMED) {
            // The job may be gone or damaged, which may be what is wrong.
            let job = queue.job(&found.id).await.ok().flatten();
            let event = job.as_ref().and_then(|job| {
                Some(format!("{} {}", job.labels.get(LABEL_SOURCE)?, job.labels.get(LABEL_ID)?))
            });
            events.push((found.clone(), event, job.and_then(|job| job.subject)));
        }
        let routes = routes.into_iter().collect();
        Ok(Self { queue: queue.name().to_string(), audit, balance, routes, events })
    }

    fn route(&self, number: Option<u32>) -> String {
        match number {
            None => "all".to_owned(),
            Some(number) => self
                .routes
                .iter()
                .find(|(of, _)| *of == number)
                .map_or_else(|| "jobs without a route".to_owned(), |(_, name)| name.clone()),
        }
    }

    fn sum(&self, accounts: impl Fn(Account) -> bool) -> i64 {
        let routes = self.routes.iter().map(|(number, _)| *number);
        let all = routes.flat_map(|route| Account::ALL.map(|account| (route, account)));
        all.filter(|(_, account)| accounts(*account))
            .map(|(route, account)| self.balance.books.balance(route, account))
            .sum()
    }

    fn drift(&self, drift: &Drift) -> Value {
        json!({
            "route": self.route(drift.route),
            "account": drift.account.map_or("not ended", Account::as_str),
            "books": drift.books,
            "found": drift.found,
        })
    }

    fn document(&self) -> Value {
        let event = |(found, event, subject): &(Unexplained, Option<String>, Option<String>)| {
            json!({
                "job": found.id.to_string(),
                "event": event,
                "subject": subject,
                "what": found.what,
                "since": moment(found.since).map(|at| at.to_rfc3339()),
            })
        };
        let fallen = |(route, from, to): &(u32, Account, Account)| json!({ "route": self.route(Some(*route)), "from": from.as_str(), "to": to.as_str() });
        json!({
            "queue": self.queue,
            "jobs": self.audit.jobs,
            "received": -self.sum(|account| account == Account::Received),
            "duplicates": self.sum(|account| account == Account::Duplicate),
            "open": self.sum(Account::is_open),
            "verdicts": self.sum(Account::is_verdict),
            "forgotten": self.sum(|account| account == Account::Forgotten),
            "unexplained": unexplained(&self.audit),
            "differences": self.audit.drifts.iter().chain(&self.audit.recounts).map(|each| self.drift(each)).collect::<Vec<_>>(),
            "fallen": self.audit.fallen.iter().map(fallen).collect::<Vec<_>>(),
            "events": self.events.iter().map(event).collect::<Vec<_>>(),
        })
    }
}

fn print(page: &mut Page, reports: &[Report]) {
    let row = |report: &Report| {
        [
            report.queue.clone(),
            (-report.sum(|account| account == Account::Received)).to_string(),
            report.sum(|account| account == Account::Duplicate).to_string(),
            report.sum(Account::is_open).to_string(),
            report.sum(Account::is_verdict).to_string(),
            report.sum(|account| account == Account::Forgotten).to_string(),
            unexplained(&report.audit).to_string(),
        ]
    };
    let headings = ["QUEUE", "RECEIVED", "DUPLICATES", "OPEN", "VERDICTS", "FORGOTTEN", "UNEXPLAINED"];
    page.table(Table::new(headings).wrapping(&[0]), &reports.iter().map(row).collect::<Vec<_>>());
    for report in reports.iter().filter(|report| !report.audit.is_clean()) {
        page.heading(&format!("Queue {}:", report.queue));
        for drift in report.audit.drifts.iter().chain(&report.audit.recounts) {
            let account = drift.account.map_or("not ended", Account::as_str);
            let (route, books, found) = (report.route(drift.route), drift.books, drift.found);
            page.text(format!("{route}, {account}: the books have {books}, there are {found}"));
        }
        for (route, from, to) in &report.audit.fallen {
            let route = report.route(Some(*route));
            page.text(format!(
                "{route}, {from} to {to}: the count is lower than it was; data of Redis were lost or replaced"
            ));
        }
        for (found, event, subject) in &report.events {
            let since = moment(found.since).map_or_else(String::new, |at| {
                format!(" for {}", span((Utc::now() - at).max(chrono::TimeDelta::zero())))
            });
            let named = subject.as_ref().map(|subject| format!(", subject {subject}"));
            let event = event.as_ref().map(|event| format!(", event {event}"));
            let (named, event) = (named.unwrap_or_default(), event.unwrap_or_default());
            page.text(format!("job {}{named}{event}: {}{since}", found.id, found.what));
        }
        let more = report.audit.unexplained_count.saturating_sub(report.events.len() as u64);
        if more > 0 {
            page.text(format!("and {more} more"));
        }
    }
}

fn moment(ms: i64) -> Option<DateTime<Utc>> {
    Utc.timestamp_millis_opt(ms).single()
}
