//! Turns an event into jobs and confirmations, or a rejection, by the same rules for AMQP and HTTP.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use upshot_queue::{LABEL_CLOCK, NewJob, Origin, QueueName};

use crate::{
    confirmation::{self, Proof},
    contract::{self, BuiltIn, Contracts},
    event::{Envelope, Event},
    json,
    rejection::{Reason, Rejection},
    route::{Route, template::Values},
};

/// The label under which a job carries its event's id.
pub const LABEL_ID: &str = "id";
/// The label under which a job carries its event's source.
pub const LABEL_SOURCE: &str = "source";
/// The label under which a job carries its event's type.
pub const LABEL_TYPE: &str = "type";
/// The label of a job: what its route asks of the parts of an outcome, if not all. It comes with the job, so
/// that other settings do not change it.
pub const LABEL_PARTS: &str = "parts";

/// The rules by which events are accepted.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The routes from events to jobs.
    pub routes: Vec<Route>,
    /// The rules by which events are confirmations.
    pub confirmations: Vec<confirmation::Rule>,
    /// The contracts that the program brings.
    pub built_in: Vec<BuiltIn>,
    /// A folder with more contracts.
    pub contracts: Option<PathBuf>,
    /// The largest event, in bytes.
    pub max_bytes: usize,
    /// How long each queue keeps jobs that ended, at most.
    pub kept: HashMap<QueueName, Duration>,
    /// How far back an event's time may lie for `within` to count from it.
    pub backdate: Duration,
}

/// Accepts events by rules.
#[derive(Debug)]
pub struct Intake {
    routes: HashMap<String, Vec<Route>>,
    confirmations: HashMap<String, Vec<confirmation::Rule>>,
    contracts: Contracts,
    max_bytes: usize,
    /// How long each queue keeps jobs that ended, at most.
    kept: HashMap<QueueName, Duration>,
    /// How far back an event's time may lie for `within` to count from it.
    backdate: Duration,
}

/// An accepted event, its jobs, and what it confirms.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The event.
    pub event: Event,
    /// Its jobs and their queues.
    pub jobs: Vec<(QueueName, NewJob)>,
    /// The confirmations that it is.
    pub confirmations: Vec<Proof>,
}

impl Intake {
    /// Reads the contracts of these rules.
    ///
    /// # Errors
    /// When a contract cannot be used.
    pub fn new(rules: Rules) -> Result<Self, contract::Error> {
        let Rules { routes: all, confirmations: rules, built_in, contracts, max_bytes, kept, backdate } =
            rules;
        let contracts = Contracts::load(&built_in, contracts.as_deref())?;
        let mut routes: HashMap<String, Vec<Route>> = HashMap::new();
        for route in all {
            routes.entry(route.event.clone()).or_default().push(route);
        }
        let mut confirmations: HashMap<String, Vec<confirmation::Rule>> = HashMap::new();
        for rule in rules {
            confirmations.entry(rule.event.clone()).or_default().push(rule);
        }
        Ok(Self { routes, confirmations, contracts, max_bytes, kept, backdate })
    }

    /// Decodes a message, checks it against size, routes and contract, and makes
    /// its jobs.
    ///
    /// # Errors
    /// The problem and its place.
    pub fn accept(&self, envelope: &Envelope, body: &Bytes) -> Result<Accepted, Rejection> {
        if body.len() > self.max_bytes {
            return Err(Rejection::new(
                Reason::Oversize,
                "",
                format!(
                    "{} bytes, the limit is {}: put large data into an object store and send its address, \
                     or raise `bridge.max_event_bytes`",
                    body.len(),
                    self.max_bytes
                ),
            ));
        }
        let event = Event::decode(envelope, body)?;
        if !self.routes.contains_key(&event.kind) && !self.confirmations.contains_key(&event.kind) {
            let remedy = match event.kind.as_str() {
                confirmation::TYPE => "publish a confirmation to `upshot.confirmations`",
                _ => "add one under `[[routes]]`, or mend the type",
            };
            let detail = format!("no route knows `{}`: {remedy}", event.kind);
            return Err(Rejection::new(Reason::UnknownType, "/type", detail));
        }
        self.contracts.check(&event.kind, &event.data)?;
        let values = Values::of(&event);
        let jobs = self.jobs_of(&event, &values)?;
        let confirmations: Result<_, _> =
            self.rules(&event.kind).iter().map(|rule| rule.proof(&event, &values)).collect();
        let confirmations = confirmations?;
        Ok(Accepted { event, jobs, confirmations })
    }

    /// The rules by which events of a type are confirmations.
    pub fn rules(&self, kind: &str) -> &[confirmation::Rule] {
        self.confirmations.get(kind).map_or(&[], Vec::as_slice)
    }

    /// The event types that are accepted, in order.
    pub fn kinds(&self) -> BTreeSet<&str> {
        self.routes.keys().chain(self.confirmations.keys()).map(String::as_str).collect()
    }

    /// The largest message, in bytes.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Checks new arguments for a job of this event type.
    ///
    /// # Errors
    /// Ambiguous JSON, or a violation of the type's contract, if there is one. The place is under
    /// `/args`.
    pub fn check_arguments(&self, kind: &str, args: &[u8]) -> Result<(), Rejection> {
        json::check(args).map_err(|violation| {
            Rejection::new(Reason::MalformedJson, format!("/args{}", violation.place), violation.what)
        })?;
        self.contracts.check_at("/args", kind, args)
    }

    /// The routes of an event type.
    pub fn routes(&self, kind: &str) -> &[Route] {
        self.routes.get(kind).map_or(&[], Vec::as_slice)
    }

    /// The routes of event types that have no contract, by name: they accept any JSON. A type that
    /// only confirms is named by itself.
    pub fn without_contract(&self) -> Vec<&str> {
        let without = self.all_routes().filter(|route| !self.contracts.has(&route.event));
        let mut names: Vec<&str> = without.map(|route| route.name.as_str()).collect();
        let is_alone = |kind: &&str| !self.routes.contains_key(*kind) && !self.contracts.has(kind);
        names.extend(self.confirmations.keys().map(String::as_str).filter(is_alone));
        names.sort_unstable();
        names
    }

    /// The JSON Schema of the data of an event type, if it has a contract.
    pub fn contract(&self, kind: &str) -> Option<&serde_json::Value> {
        self.contracts.schema(kind)
    }

    /// All routes.
    pub fn all_routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().flatten()
    }

    /// The jobs of an event: one for each route, or none at all.
    ///
    /// # Errors
    /// When a route needs a value that the event does not have.
    pub fn jobs(&self, event: &Event) -> Result<Vec<(QueueName, NewJob)>, Rejection> {
        self.jobs_of(event, &Values::of(event))
    }

    fn jobs_of(&self, event: &Event, values: &Values<'_>) -> Result<Vec<(QueueName, NewJob)>, Rejection> {
        let now = Utc::now();
        let from = counted_from(event.time.map(|time| time.to_utc()), now, self.backdate);
        let origin = Origin { asked: from, received: now.timestamp_millis() };
        let labels = BTreeMap::from([
            (LABEL_CLOCK.to_owned(), origin.label()),
            (LABEL_ID.to_owned(), event.id.clone()),
            (LABEL_SOURCE.to_owned(), event.source.clone()),
            (LABEL_TYPE.to_owned(), event.kind.clone()),
        ]);
        let job = |route: &Route| {
            let kept = self.kept.get(&route.queue).copied().unwrap_or_default();
            let job = route.job(event, values, labels.clone(), kept, from)?;
            Ok((route.queue.clone(), job))
        };
        self.routes(&event.kind).iter().map(job).collect()
    }
}

/// The time from which `within` counts, UTC ms: the event's own time, unless it is too old. The
/// queue judges a time in the future by its own clock.
fn counted_from(time: Option<DateTime<Utc>>, now: DateTime<Utc>, backdate: Duration) -> Option<i64> {
    let age = |time: &DateTime<Utc>| (now - time).to_std().unwrap_or_default();
    time.filter(|time| age(time) <= backdate).map(|time| time.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};
    use upshot_queue::MAX_SIGNAL;

    use super::*;
    use crate::{
        Expectation,
        event::{Header, STRUCTURED},
    };

    #[derive(serde::Deserialize)]
    struct Written {
        routes: Vec<Route>,
        confirmations: Vec<confirmation::Rule>,
        expectations: Vec<Expectation>,
    }

    fn rules() -> Rules {
        let text = r#"
            [[routes]]
            event = "t.v1"
            job = "a.b"
            queue = "q"
            within = "1m"
            [[routes]]
            event = "t.v1"
            job = "c.d"
            queue = "q"
            within = "1m"
            limit_keys = ["of:{tenant}", "{subject}"]
            unique = { key = "{subject}:{/n}", lifetime = "1h" }
            [[confirmations]]
            event = "t.v1"
            key = "{/n}"
            queue = "q"
            [[confirmations]]
            event = "only.v1"
            key = "{subject}"
            queue = "q"
            [[expectations]]
            event = "t.v1"
            achieved_by = { event = "only.v1", match = "{subject}" }
            within = "1d"
        "#;
        let Written { mut routes, mut confirmations, expectations } = toml::from_str(text).unwrap();
        routes.extend(expectations.iter().map(Expectation::route));
        confirmations.extend(expectations.iter().flat_map(Expectation::rules));
        Rules {
            routes,
            confirmations,
            built_in: Vec::new(),
            contracts: None,
            max_bytes: 64 << 10,
            kept: HashMap::new(),
            backdate: Duration::from_secs(7 * 24 * 3600),
        }
    }

    /// Texts of all lengths around the limits, of one to four bytes a character.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "\\PC{0,40}",
            2 => (prop::sample::select(vec!["a", "é", "€", "𝄞", "|", "{", "\u{202e}"]), 100usize..700)
                .prop_map(|(text, n)| text.repeat(n)),
            1 => any::<String>(),
        ]
    }

    fn header() -> impl Strategy<Value = Header> {
        prop_oneof![
            4 => text().prop_map(Header::Text),
            1 => any::<i128>().prop_map(Header::Integer),
            1 => any::<i64>().prop_map(Header::Time),
            1 => Just(Header::Other("a list")),
        ]
    }

    const ATTRIBUTES: [&str; 8] =
        ["id", "source", "subject", "tenant", "idempotencykey", "traceparent", "time", "other"];

    fn headers(prefix: &'static str) -> impl Strategy<Value = Vec<(String, Header)>> {
        let name = prop::sample::select(ATTRIBUTES.to_vec()).prop_map(move |name| format!("{prefix}{name}"));
        prop::collection::vec((name, header()), 0..9)
    }

    fn is_taken(intake: &Intake, envelope: &Envelope, body: &Bytes) -> Result<bool, TestCaseError> {
        let Ok(Accepted { jobs, confirmations, .. }) = intake.accept(envelope, body) else {
            return Ok(false);
        };
        for Proof { payload, .. } in confirmations {
            prop_assert!(payload.to_string().len() <= MAX_SIGNAL);
        }
        for (_, job) in jobs {
            prop_assert_eq!(job.check(intake.max_bytes), Ok(()));
        }
        Ok(true)
    }

    proptest! {
        /// The bridge relies on it: what the intake takes, the queue takes.
        #[test]
        fn the_queue_takes_what_the_intake_takes_in_binary_mode(
            attributes in headers("cloudEvents:"),
            beside in headers(""),
            body in prop_oneof![Just("{\"n\":1}".to_owned()), Just(String::new()), text()],
        ) {
            let always = [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t.v1")];
            let always = always.map(|(name, value)| (format!("cloudEvents:{name}"), Header::from(value)));
            let headers = always.into_iter().chain(attributes).chain(beside).collect();
            let envelope = Envelope { headers, ..Envelope::default() };
            is_taken(&Intake::new(rules()).unwrap(), &envelope, &body.into())?;
        }

        #[test]
        fn the_queue_takes_what_the_intake_takes_in_structured_mode(
            members in prop::collection::vec((prop::sample::select(ATTRIBUTES.to_vec()), text()), 0..9),
            beside in headers(""),
            n in prop_oneof![any::<i64>().prop_map(Value::from), text().prop_map(Value::from)],
        ) {
            let mut event = Map::new();
            for (name, value) in [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t.v1")] {
                event.insert(name.to_owned(), value.into());
            }
            for (name, value) in members {
                event.insert(name.to_owned(), value.into());
            }
            event.insert("data".to_owned(), json!({"n": n}));
            let envelope = Envelope {
                content_type: Some(STRUCTURED.to_owned()),
                headers: beside.into_iter().collect(),
                unreadable: None,
            };
            let body = Value::Object(event).to_string();
            is_taken(&Intake::new(rules()).unwrap(), &envelope, &body.into())?;
        }
    }

    #[test]
    fn routes_without_a_contract_are_named() {
        let without = Intake::new(rules()).unwrap();
        assert_eq!(without.without_contract(), ["only.v1", "t.v1:a.b", "t.v1:c.d", "t.v1:only.v1"]);
        let with = Rules { built_in: vec![("t.v1", "{}"), ("only.v1", "{}")], ..rules() };
        assert!(Intake::new(with).unwrap().without_contract().is_empty());
    }

    #[test]
    fn an_event_is_jobs_and_confirmations_or_neither() {
        let intake = Intake::new(rules()).unwrap();
        let accept = |kind: &str, subject: Option<&str>, data: Value| {
            let event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": kind, "tenant": "acme",
                "subject": subject, "data": data});
            let envelope = Envelope { content_type: Some(STRUCTURED.to_owned()), ..Envelope::default() };
            intake.accept(&envelope, &event.to_string().into())
        };
        let keys = |accepted: &Accepted| {
            let key = |of: &Proof| format!("{}: {}", of.queue, of.condition);
            accepted.confirmations.iter().map(key).collect::<Vec<_>>()
        };
        let both = accept("t.v1", Some("order-1"), json!({"n": 7})).unwrap();
        assert_eq!(both.jobs.len(), 3);
        assert_eq!(both.jobs[2].1.labels["expects"], "t.v1:only.v1 order-1");
        assert_eq!(keys(&both), ["q: 7 of tenant acme"]);
        let alone = accept("only.v1", Some("order-1"), json!({})).unwrap();
        assert!(alone.jobs.is_empty());
        let both = ["q: order-1 of tenant acme", "expectations: t.v1:only.v1 order-1 of tenant acme"];
        assert_eq!(keys(&alone), both);
        let rejected = accept("only.v1", None, json!({})).unwrap_err();
        assert_eq!((rejected.reason, rejected.place.as_str()), (Reason::MissingValue, "/subject"));
        assert_eq!(intake.kinds().into_iter().collect::<Vec<_>>(), ["only.v1", "t.v1"]);
    }

    #[test]
    fn a_bad_trace_context_is_no_reason_to_refuse_an_event() {
        let intake = Intake::new(rules()).unwrap();
        let event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t.v1", "subject": "o",
            "tenant": "t", "data": {"n": 1}});
        let mut envelope = Envelope { content_type: Some(STRUCTURED.to_owned()), ..Envelope::default() };
        envelope.headers.insert("traceparent".to_owned(), Header::Text("a".repeat(513)));
        assert!(is_taken(&intake, &envelope, &event.to_string().into()).unwrap());
    }

    #[test]
    fn an_outcome_is_expected_from_the_events_own_time_on_within_bounds() {
        let now: DateTime<Utc> = "2026-01-31T12:00:00Z".parse().unwrap();
        let day = Duration::from_secs(24 * 3600);
        let from = |text: &str, backdate| counted_from(Some(text.parse().unwrap()), now, backdate);
        let ms = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap().timestamp_millis());
        for (time, counts) in [
            ("2026-01-31T11:59:59.5Z", true),
            ("2026-01-30T12:00:00Z", true),
            ("2026-01-30T11:59:59.999Z", false),
            ("0001-01-01T00:00:00Z", false),
            // The queue's clock judges what lies in the future.
            ("2026-02-01T12:00:00Z", true),
        ] {
            assert_eq!(from(time, day), ms(time).filter(|_| counts), "{time}");
        }
        assert_eq!(from("2026-01-31T11:59:59.999Z", Duration::ZERO), None);
        assert_eq!(from("2026-01-31T12:00:00Z", Duration::ZERO), ms("2026-01-31T12:00:00Z"));
        assert_eq!(counted_from(None, now, day), None);
    }
}
