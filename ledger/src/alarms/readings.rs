//! What is looked at, and which causes that shows.

use std::collections::{BTreeMap, BTreeSet};

use super::sort::Sort;
use crate::{objective::Pace, span::span};

/// The oldest open outcome of a route is late by more than so long, ms.
const OLDEST_MS: i64 = 3_600_000;
/// A group of readers of the outbox is behind by more than so long, ms.
const OUTBOX_MS: i64 = 300_000;
/// The reason of messages that the AMQP client cannot parse.
const UNREADABLE: &str = "unreadable";

/// What is read of everything, for one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// By queue; `None` for one that cannot be read.
    pub queues: BTreeMap<String, Option<QueueReading>>,
    /// Bridges that read events; `None` while RabbitMQ does not answer.
    pub bridges: Option<u32>,
    /// Messages that ever came into quarantine, by reason; `None` where that cannot be read.
    pub quarantine: Option<BTreeMap<String, u64>>,
}

/// What is read of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueReading {
    /// Its routes.
    pub routes: Vec<RouteReading>,
    /// Confirmations that ever contradicted an earlier one.
    pub contradictions: u64,
    /// Expectations that the books do not explain.
    pub unexplained: u64,
    /// Schedules that do not run as they say, by what keeps them from it.
    pub schedules: BTreeMap<String, Vec<String>>,
    /// By group of readers of the outbox: since when it needs an entry, UTC ms.
    pub outbox: BTreeMap<String, i64>,
}

/// What is read of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteReading {
    /// Its name.
    pub route: String,
    /// Its kind of work, if a worker is missing for it.
    pub without_worker: Option<String>,
    /// Outcomes without a verdict, in time or late.
    pub open: u64,
    /// Those of them that are late.
    pub overdue: u64,
    /// When the oldest of these was due, UTC ms.
    pub oldest_due: Option<i64>,
    /// Open ones that will probably be late.
    pub at_risk: u64,
    /// Outcomes that were ever missed.
    pub missed: u64,
    /// How fast its budget of errors is used up, if it has an objective.
    pub pace: Pace,
}

/// A cause that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What is wrong.
    pub sort: Sort,
    /// With which queue, route, kind, group or reason.
    pub labels: BTreeMap<String, String>,
    /// For people.
    pub summary: String,
    /// What to look at, or to do.
    pub remedy: String,
}

impl Found {
    fn new<const N: usize>(
        sort: Sort,
        labels: [(&str, &str); N],
        summary: String,
        remedy: impl Into<String>,
    ) -> Self {
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { sort, labels, summary, remedy: remedy.into() }
    }

    /// What stands for the cause from one look to the next.
    pub fn key(&self) -> String {
        let labels = self.labels.iter().map(|(name, value)| format!("|{name}={value}"));
        std::iter::once(self.sort.as_str().to_owned()).chain(labels).collect()
    }
}

/// `1 outcome is`, `37 outcomes are`.
fn outcomes(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 outcome {one}") } else { format!("{n} outcomes {many}") }
}

impl Readings {
    /// The counts that never fall, by a name that [`Self::found`] knows.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let read = self.queues.iter().filter_map(|(queue, read)| Some((queue, read.as_ref()?)));
        let of_queues = read.flat_map(|(queue, read)| {
            let missed = read.routes.iter().map(move |of| (missed(queue, &of.route), of.missed));
            missed.chain([(contradicted(queue), read.contradictions)])
        });
        let of_quarantine = self.quarantine.iter().flatten().map(|(reason, n)| (quarantined(reason), *n));
        of_queues.chain(of_quarantine).collect()
    }

    /// The causes that show, by their key. `grown` says by how much counts grew lately.
    pub fn found(&self, grown: &BTreeMap<String, u64>, now: i64) -> BTreeMap<String, Found> {
        let mut found = Vec::new();
        for (queue, read) in &self.queues {
            match read {
                Some(read) => of_queue(queue, read, grown, now, &mut found),
                None => found.push(Found::new(
                    Sort::QueueUnread,
                    [("queue", queue)],
                    format!("{queue}: the queue cannot be read"),
                    "upshot doctor; /readyz of the API says why",
                )),
            }
        }
        match self.bridges {
            None => found.push(Found::new(
                Sort::RabbitmqAway,
                [],
                "RabbitMQ does not answer".to_owned(),
                "upshot doctor; /readyz of the API says why",
            )),
            Some(0) => found.push(Found::new(
                Sort::NoBridge,
                [],
                "no bridge reads events".to_owned(),
                "events wait in RabbitMQ until a bridge runs",
            )),
            Some(_) => {}
        }
        let reasons = grown.iter().filter_map(|(name, n)| Some((name.strip_prefix(QUARANTINED)?, n)));
        found.extend(reasons.map(|(reason, n)| of_reason(reason, *n)));
        found.into_iter().map(|found| (found.key(), found)).collect()
    }

    /// Whether this look can tell that a cause is gone.
    pub fn can_tell(&self, sort: Sort, labels: &BTreeMap<String, String>) -> bool {
        match sort {
            Sort::QueueUnread | Sort::RabbitmqAway => true,
            Sort::NoBridge => self.bridges.is_some(),
            Sort::QuarantineGrows | Sort::Unreadable => self.quarantine.is_some(),
            // A queue that is not in the settings any more has no alarms.
            _ => labels.get("queue").is_none_or(|queue| self.queues.get(queue).is_none_or(Option::is_some)),
        }
    }
}

/// What the names of counts of quarantine begin with.
const QUARANTINED: &str = "quarantined|";

fn missed(queue: &str, route: &str) -> String {
    format!("missed|{queue}|{route}")
}

fn contradicted(queue: &str) -> String {
    format!("contradicted|{queue}")
}

fn quarantined(reason: &str) -> String {
    format!("{QUARANTINED}{reason}")
}

fn of_reason(reason: &str, n: u64) -> Found {
    let messages = if n == 1 { "1 message".to_owned() } else { format!("{n} messages") };
    if reason == UNREADABLE {
        let summary = format!("{messages} came that the AMQP client cannot parse");
        return Found::new(
            Sort::Unreadable,
            [],
            summary,
            "upshot quarantine --reason=unreadable; a producer's client writes them",
        );
    }
    let summary = format!("{messages} went to quarantine: {reason}");
    let remedy = format!("upshot quarantine --reason={reason}");
    Found::new(Sort::QuarantineGrows, [("reason", reason)], summary, remedy)
}

fn of_queue(
    queue: &str,
    read: &QueueReading,
    grown: &BTreeMap<String, u64>,
    now: i64,
    found: &mut Vec<Found>,
) {
    for route in &read.routes {
        let grew = grown.get(&missed(queue, &route.route)).copied().unwrap_or(0);
        of_route(queue, route, grew, now, found);
    }
    let kinds: BTreeSet<&String> = read
        .routes
        .iter()
        .filter(|route| route.open > 0)
        .filter_map(|route| route.without_worker.as_ref())
        .collect();
    found.extend(kinds.into_iter().map(|kind| {
        let summary = format!("{queue}: no worker runs {kind}, and work waits for one");
        let remedy = "upshot queues says which workers there are; start an executor that runs the kind";
        Found::new(Sort::NoWorker, [("queue", queue), ("kind", kind)], summary, remedy)
    }));
    if let Some(n) = grown.get(&contradicted(queue)) {
        let what = if *n == 1 {
            "1 confirmation contradicts".to_owned()
        } else {
            format!("{n} confirmations contradict")
        };
        let remedy =
            "the first one counts; upshot story SUBJECT shows both, and somebody must say which is right";
        found.push(Found::new(
            Sort::Contradicted,
            [("queue", queue)],
            format!("{queue}: {what} an earlier one"),
            remedy,
        ));
    }
    if read.unexplained > 0 {
        let summary = format!("{queue}: the books do not explain {} expectations", read.unexplained);
        found.push(Found::new(Sort::Unexplained, [("queue", queue)], summary, "upshot audit names them"));
    }
    for (trouble, names) in &read.schedules {
        let n = names.len();
        let what = if n == 1 { "1 schedule does".to_owned() } else { format!("{n} schedules do") };
        let first = names.first().map(String::as_str).unwrap_or_default();
        let summary = format!("{queue}: {what} not run as the schedule says ({trouble}), such as {first}");
        let remedy = format!("upshot schedule list --queue={queue} says why, and what to do");
        found.push(Found::new(
            Sort::ScheduleStuck,
            [("queue", queue), ("trouble", trouble)],
            summary,
            remedy,
        ));
    }
    for (group, since) in &read.outbox {
        let behind = now.saturating_sub(*since);
        if behind > OUTBOX_MS {
            let summary = format!("{queue}: {group} is {} behind", span(behind));
            let remedy = "producers are not told what came of their events; upshot queues shows the groups";
            found.push(Found::new(Sort::OutboxLag, [("queue", queue), ("group", group)], summary, remedy));
        }
    }
}

fn of_route(queue: &str, of: &RouteReading, missed: u64, now: i64, found: &mut Vec<Found>) {
    let route = of.route.as_str();
    let mut show = |sort: Sort, summary: String, remedy: String| {
        found.push(Found::new(
            sort,
            [("queue", queue), ("route", route)],
            format!("{route}: {summary}"),
            remedy,
        ));
    };
    if of.overdue > 0 {
        let remedy = format!("upshot overdue --route={route}");
        show(Sort::Overdue, outcomes(of.overdue, "is overdue", "are overdue"), remedy.clone());
        let late = of.oldest_due.map_or(0, |due| now.saturating_sub(due));
        if late > OLDEST_MS {
            show(Sort::OldestOpen, format!("the oldest open outcome is late by {}", span(late)), remedy);
        }
    }
    if of.at_risk > 0 {
        let summary = format!("{} probably be late", outcomes(of.at_risk, "will", "will"));
        show(Sort::AtRisk, summary, format!("upshot outcomes --at-risk --route={route}"));
    }
    if missed > 0 {
        let remedy = "upshot dead; upshot outcomes --by=cause";
        show(Sort::Missed, outcomes(missed, "was missed", "were missed"), remedy.to_owned());
    }
    match of.pace {
        Pace::Calm => {}
        Pace::Slow => {
            let summary = "the budget of errors will not last for 30 days".to_owned();
            show(Sort::BudgetBurnsSlowly, summary, "upshot objectives".to_owned());
        }
        Pace::Fast => {
            let summary = "the budget of errors is used up within hours".to_owned();
            show(Sort::BudgetBurnsFast, summary, "upshot objectives".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str) -> RouteReading {
        RouteReading {
            route: name.to_owned(),
            without_worker: None,
            open: 40,
            overdue: 0,
            oldest_due: None,
            at_risk: 0,
            missed: 9,
            pace: Pace::Calm,
        }
    }

    fn readings(routes: Vec<RouteReading>) -> Readings {
        let outbox = [("receipts".to_owned(), 1_000_000)].into();
        let schedules = BTreeMap::new();
        let read = QueueReading { routes, contradictions: 1, unexplained: 0, schedules, outbox };
        let queues = [("q".to_owned(), Some(read))].into();
        let quarantine = Some([("oversize".to_owned(), 4)].into());
        Readings { queues, bridges: Some(1), quarantine }
    }

    fn keys(readings: &Readings, grown: &[(&str, u64)], now: i64) -> Vec<String> {
        let grown = grown.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        readings.found(&grown, now).into_keys().collect()
    }

    #[test]
    fn nothing_shows_where_all_is_well() {
        assert!(keys(&readings(vec![route("r")]), &[], 1_000_000).is_empty());
    }

    #[test]
    fn a_cause_shows_once_for_all_of_its_items() {
        let late =
            RouteReading { overdue: 37, oldest_due: Some(0), at_risk: 5, pace: Pace::Fast, ..route("r") };
        let idle = RouteReading { open: 0, without_worker: Some("idle".into()), ..route("s") };
        let waits = |name| RouteReading { without_worker: Some("k".into()), ..route(name) };
        let mut readings = readings(vec![late, idle, waits("t"), waits("u")]);
        readings.bridges = Some(0);
        let stuck = [("timing".to_owned(), vec!["a".to_owned(), "b".to_owned()])];
        readings.queues.get_mut("q").unwrap().as_mut().unwrap().schedules = stuck.into();
        let grown = [
            ("missed|q|t", 2),
            ("contradicted|q", 1),
            ("quarantined|oversize", 3),
            ("quarantined|unreadable", 1),
        ];
        let expected = [
            "at_risk|queue=q|route=r",
            "budget_burns_fast|queue=q|route=r",
            "contradicted|queue=q",
            "missed|queue=q|route=t",
            "no_bridge",
            "no_worker|kind=k|queue=q",
            "oldest_open|queue=q|route=r",
            "outbox_lag|group=receipts|queue=q",
            "overdue|queue=q|route=r",
            "quarantine_grows|reason=oversize",
            "schedule_stuck|queue=q|trouble=timing",
            "unreadable",
        ];
        assert_eq!(keys(&readings, &grown, 4_000_000), expected);
        let found = readings.found(&BTreeMap::new(), 4_000_000);
        assert_eq!(found["overdue|queue=q|route=r"].summary, "r: 37 outcomes are overdue");
        assert_eq!(
            found["oldest_open|queue=q|route=r"].summary,
            "r: the oldest open outcome is late by 1 h 6 min"
        );
    }

    #[test]
    fn what_is_not_read_cannot_be_told_to_be_gone() {
        let mut readings = readings(vec![route("r")]);
        let labels = |queue: &str| BTreeMap::from([("queue".to_owned(), queue.to_owned())]);
        assert!(
            readings.can_tell(Sort::Overdue, &labels("q")) && readings.can_tell(Sort::NoBridge, &labels("q"))
        );
        assert!(readings.can_tell(Sort::Overdue, &labels("removed")));
        readings.queues.insert("q".into(), None);
        (readings.bridges, readings.quarantine) = (None, None);
        assert!(!readings.can_tell(Sort::Overdue, &labels("q")));
        assert!(!readings.can_tell(Sort::NoBridge, &BTreeMap::new()));
        assert!(!readings.can_tell(Sort::Unreadable, &BTreeMap::new()));
        assert!(readings.can_tell(Sort::QueueUnread, &labels("q")));
        let shown = keys(&readings, &[], 0);
        assert_eq!(shown, ["queue_unread|queue=q", "rabbitmq_away"]);
    }
}
