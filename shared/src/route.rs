//! Maps events to jobs and their ids.

pub mod template;
mod written;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use upshot_queue::{
    Deadline, Expect, JobId, NewJob, Priority, QueueName, Scope, Unique,
    job::{MAX_LIMIT_KEYS, MAX_NAME, MAX_TIME},
};

use self::{
    template::{Malformed, Template, Unfilled, Values},
    written::Written,
};
use crate::{
    event::{Event, Identity},
    expectation,
    intake::LABEL_PARTS,
    objective::{self, Objective},
    outcome::PartsRule,
    rejection::Rejection,
};

/// The longest name of a route, in bytes.
pub(crate) const MAX_ROUTE_NAME: usize = 128;

/// The rule that maps an event type to a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Route {
    /// Its name in metrics and messages, unique in a program; `<event>:<job>` by default.
    pub name: String,
    /// The event type, such as `order.completed.v1`.
    pub event: String,
    /// The kind of job.
    pub job: String,
    /// The version of the job's arguments.
    pub version: u32,
    /// The queue.
    pub queue: QueueName,
    /// By when the outcome is expected, counted from the event's time or the acceptance.
    pub within: Duration,
    /// The share of its outcomes that should be achieved in time, if one is set.
    pub objective: Option<Objective>,
    /// How urgent its jobs are, beside the others of the queue.
    pub priority: Priority,
    /// The limit keys of its jobs, besides queue and tenant.
    pub limit_keys: Vec<Template>,
    /// By when a job must start, counted from the acceptance.
    pub deadline: Option<Deadline>,
    /// The rule for events that duplicate each other although they are different events.
    pub unique: Option<UniqueRule>,
    /// The key of the confirmation that its jobs wait for, if it is the route of an
    /// [`Expectation`](crate::Expectation). No setting of a route says it.
    pub expects: Option<Template>,
    /// What it asks of the parts of an outcome.
    pub parts: PartsRule,
}

/// Makes different events duplicates of each other if they give the same idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueRule {
    /// The key.
    pub key: Template,
    /// Among which jobs of the queue the key counts. A request for an event shows the job that
    /// stands for it, so tenants have separate keys by default.
    pub scope: Scope,
    /// How long a job holds the key, from its enqueue.
    pub lifetime: Duration,
    /// Whether a dead job that holds the key gives way to the next event.
    pub replaces_dead: bool,
}

/// A route that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the route of `{event}` to `{job}`: {why}")]
pub struct Error {
    /// Its event type.
    pub event: String,
    /// Its kind of job.
    pub job: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A name that a queue would refuse.
    #[error("`job` has {0} bytes: use 1 to {MAX_NAME}")]
    Job(usize),
    /// A route name that is empty, too long, or has invalid characters.
    #[error("`name` is `{0}`: use 1 to {MAX_ROUTE_NAME} letters, digits and `.:_-`")]
    Name(String),
    /// A limit key that is no template.
    #[error("limit key {0}")]
    LimitKey(Malformed),
    /// More limit keys than a queue takes.
    #[error("{0} `limit_keys`: at most {MAX_LIMIT_KEYS} are possible")]
    LimitKeys(usize),
    /// An idempotency key that is no template.
    #[error("idempotency key {0}")]
    UniqueKey(Malformed),
    /// A lifetime that a queue cannot count.
    #[error("`unique.lifetime` is {}: use 1ms to 100 years", humantime::format_duration(*.0))]
    Lifetime(Duration),
    /// A deadline that a queue cannot count.
    #[error("`deadline` is {}: use 1ms to 100 years", humantime::format_duration(*.0))]
    Deadline(Duration),
    /// An expectation that a queue cannot count.
    #[error("`within` is {}: use at most 100 years", humantime::format_duration(*.0))]
    Within(Duration),
    /// An objective that is no share.
    #[error(transparent)]
    Objective(#[from] objective::Unusable),
    /// `late` without a deadline.
    #[error("`late` says what happens to a job that misses its `deadline`: add a deadline, or remove it")]
    Late,
}

/// Whether a name can be written everywhere: 1 to 128 letters, digits and `.:_-`.
pub(crate) fn is_plain(name: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || ".:_-".contains(char);
    (1..=MAX_ROUTE_NAME).contains(&name.len()) && name.chars().all(is_plain)
}

/// The default name of a route.
fn default_name(event: &str, job: &str) -> String {
    format!("{event}:{job}")
}

impl Route {
    /// A route with its required parts only.
    pub fn new(event: impl Into<String>, job: impl Into<String>, queue: QueueName, within: Duration) -> Self {
        let (event, job) = (event.into(), job.into());
        Self {
            name: default_name(&event, &job),
            event,
            job,
            version: 1,
            queue,
            within,
            objective: None,
            priority: Priority::default(),
            limit_keys: Vec::new(),
            deadline: None,
            unique: None,
            expects: None,
            parts: PartsRule::default(),
        }
    }

    /// The id of the job that an event becomes on this route. It follows from the event's identity.
    /// So the same event, published again on any way, finds the same job. A client that knows the
    /// event can compute the id.
    pub fn job_id(&self, source: &str, identity: Identity<'_>) -> JobId {
        let (which, text) = match identity {
            Identity::Id(text) => ("id", text),
            Identity::Key(text) => ("key", text),
        };
        let parts = [self.queue.as_str(), &self.job, source, which, text];
        match &self.expects {
            None => JobId::derive(&parts),
            // An event may have several expectations, which share queue and kind.
            Some(_) => JobId::derive(&[&parts[..], &[&self.name]].concat()),
        }
    }

    /// The job that an event becomes on this route. `kept` is how long its queue keeps ended jobs;
    /// a note of a duplicate lasts at least as long. `from` is the time from which `within` counts,
    /// UTC ms, if not the acceptance.
    ///
    /// # Errors
    /// When the event lacks a value that the route needs. There is then no job, because a job
    /// without the limit could run when it must not.
    pub(crate) fn job(
        &self,
        event: &Event,
        values: &Values<'_>,
        mut labels: BTreeMap<String, String>,
        kept: Duration,
        from: Option<i64>,
    ) -> Result<NewJob, Rejection> {
        if let Some(template) = &self.expects {
            let needs = format!("the expectation `{}` takes its key from here", self.name);
            let key = template.fill_key(event.tenant.as_deref(), values, &needs, "expectation")?;
            labels.insert(expectation::LABEL_KEY.to_owned(), key.key().to_owned());
        }
        let limit_key = |key: &Template| {
            key.fill(values).map_err(|unfilled| self.rejection(&format!("the limit key `{key}`"), unfilled))
        };
        let unique = |rule: &UniqueRule| {
            let key = rule.key.fill_apart(values).map_err(|unfilled| {
                self.rejection(&format!("the idempotency key `{}`", rule.key), unfilled)
            })?;
            let (lifetime, replaces_dead) = (rule.lifetime, rule.replaces_dead);
            let noted = lifetime.max(kept).min(MAX_TIME);
            Ok(Unique { key, scope: rule.scope, lifetime, noted, replaces_dead })
        };
        if self.parts != PartsRule::default() {
            labels.insert(LABEL_PARTS.to_owned(), self.parts.to_string());
        }
        Ok(NewJob {
            version: self.version,
            priority: self.priority,
            tenant: event.tenant.clone(),
            limit_keys: self.limit_keys.iter().map(limit_key).collect::<Result<_, _>>()?,
            subject: event.subject.clone(),
            trace: event.trace.clone(),
            expect: Some(Expect { route: self.name.clone(), within: self.within, from }),
            deadline: self.deadline,
            unique: self.unique.as_ref().map(unique).transpose()?,
            labels,
            ..NewJob::new(self.job_id(&event.source, event.identity()), self.job.clone(), event.data.clone())
        })
    }

    /// The rejection of an event that lacks a value of this route.
    fn rejection(&self, what: &str, unfilled: Unfilled) -> Rejection {
        unfilled.rejection(&format!("the route to `{}` takes {what} from here", self.job), "route")
    }

    /// Checks that a queue takes the jobs of this route. The bridge would offer a refused job for
    /// ever.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), Error> {
        let impossible = |why| Err(Error { event: self.event.clone(), job: self.job.clone(), why });
        if !(1..=MAX_NAME).contains(&self.job.len()) {
            return impossible(Why::Job(self.job.len()));
        }
        let is_default = self.name == default_name(&self.event, &self.job);
        if !is_default && !is_plain(&self.name) {
            return impossible(Why::Name(self.name.clone()));
        }
        if self.limit_keys.len() > MAX_LIMIT_KEYS {
            return impossible(Why::LimitKeys(self.limit_keys.len()));
        }
        if self.within > MAX_TIME {
            return impossible(Why::Within(self.within));
        }
        let uncounted = |time: &Duration| time.as_millis() == 0 || *time > MAX_TIME;
        if let Some(within) = self.deadline.map(|deadline| deadline.within).filter(uncounted) {
            return impossible(Why::Deadline(within));
        }
        if let Some(lifetime) = self.unique.as_ref().map(|unique| unique.lifetime).filter(uncounted) {
            return impossible(Why::Lifetime(lifetime));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use upshot_queue::Late;

    use super::*;
    use crate::rejection::Reason;

    fn route() -> Route {
        Route::new("t.v1", "a.b", "q".parse().unwrap(), Duration::from_secs(60))
    }

    fn event(tenant: Option<String>, data: &Value) -> Event {
        Event {
            id: "1".into(),
            source: "/s".into(),
            kind: "t.v1".into(),
            subject: None,
            time: None,
            tenant,
            idempotency_key: None,
            trace: None,
            data: Bytes::from(data.to_string()),
        }
    }

    fn job(route: &Route, event: &Event) -> Result<NewJob, Rejection> {
        job_kept(route, event, Duration::from_secs(3600))
    }

    fn job_kept(route: &Route, event: &Event, kept: Duration) -> Result<NewJob, Rejection> {
        route.job(event, &Values::of(event), BTreeMap::new(), kept, Some(5))
    }

    #[test]
    fn an_id_and_a_key_of_the_same_text_are_different_jobs() {
        let route = route();
        let id = route.job_id("/shop", Identity::Id("1042"));
        assert_ne!(id, route.job_id("/shop", Identity::Key("1042")));
        assert_ne!(id, route.job_id("/other", Identity::Id("1042")));
        assert_eq!(id, Route { within: Duration::ZERO, ..route }.job_id("/shop", Identity::Id("1042")));
    }

    #[test]
    fn a_job_has_what_its_route_says() {
        let deadline = Deadline { within: Duration::from_secs(600), then: Late::Runs };
        let route = Route {
            priority: Priority::High,
            limit_keys: vec!["smtp".parse().unwrap(), "bank:{tenant}".parse().unwrap()],
            deadline: Some(deadline),
            unique: Some(UniqueRule {
                key: "{tenant}:{/month}".parse().unwrap(),
                scope: Scope::Kind,
                lifetime: Duration::from_secs(60),
                replaces_dead: true,
            }),
            ..route()
        };
        let made = job(&route, &event(Some("acme".into()), &json!({"month": 3}))).unwrap();
        assert_eq!((made.priority, made.deadline), (Priority::High, Some(deadline)));
        assert_eq!(made.limit_keys, ["smtp", "bank:acme"]);
        assert_eq!(
            made.expect,
            Some(Expect { from: Some(5), ..Expect::new("t.v1:a.b", Duration::from_secs(60)) })
        );
        let unique = made.unique.unwrap();
        assert_eq!(
            (unique.lifetime.as_secs(), unique.noted.as_secs()),
            (60, 3600),
            "as long as jobs are kept"
        );
        assert_eq!((unique.scope, unique.replaces_dead), (Scope::Kind, true));
        let event = event(Some("acme".into()), &json!({"month": 3}));
        let unique = job_kept(&route, &event, Duration::MAX).unwrap().unique.unwrap();
        assert_eq!(unique.noted, MAX_TIME, "no longer than a queue can count");
        let plain = job(&self::route(), &event).unwrap();
        assert_eq!((plain.priority, plain.deadline, plain.limit_keys), (Priority::Normal, None, vec![]));
    }

    #[test]
    fn an_event_that_lacks_a_value_is_rejected_with_route_and_place() {
        let route = Route { limit_keys: vec!["customer:{/customer/id}".parse().unwrap()], ..route() };
        let rejected = job(&route, &event(None, &json!({}))).unwrap_err();
        assert_eq!((rejected.reason, rejected.place.as_str()), (Reason::MissingValue, "/data/customer/id"));
        for word in ["`a.b`", "`customer:{/customer/id}`", "add it"] {
            assert!(rejected.detail.contains(word), "`{word}` is not in: {rejected}");
        }
        let rejected = job(&route, &event(None, &json!({"customer": {"id": []}}))).unwrap_err();
        assert_eq!((rejected.reason, rejected.place.as_str()), (Reason::InvalidValue, "/data/customer/id"));
    }

    /// Sometimes a time that cannot be counted.
    fn time() -> impl Strategy<Value = Duration> {
        let of = |micros: std::ops::Range<u64>| micros.prop_map(Duration::from_micros);
        prop_oneof![
            1 => Just(Duration::ZERO),
            1 => Just(Duration::MAX),
            2 => of(0..2_000),
            8 => of(0..2 * MAX_TIME.as_micros() as u64),
        ]
    }

    fn unique() -> impl Strategy<Value = Option<UniqueRule>> {
        let rule = (time(), "[a-z]{1,5}(\\{(tenant|/a)\\}){0,3}").prop_map(|(lifetime, key)| UniqueRule {
            scope: Scope::Kind,
            key: key.parse().unwrap(),
            lifetime,
            replaces_dead: false,
        });
        prop::option::of(rule)
    }

    fn deadline() -> impl Strategy<Value = Option<Deadline>> {
        let then = prop_oneof![Just(Late::Expires), Just(Late::Runs)];
        prop::option::of((time(), then).prop_map(|(within, then)| Deadline { within, then }))
    }

    proptest! {
        /// The bridge relies on it: see `enqueue.rs` there.
        #[test]
        fn a_queue_takes_every_job_of_a_route_that_can_be_used(
            kind in "\\PC{0,9}",
            keys in prop::collection::vec("[a-z]{1,5}|[a-z:]{0,5}\\{(tenant|subject|/a|/b/0)\\}", 0..5),
            (deadline, unique) in (deadline(), unique()),
            tenant in prop::option::of("\\PC{1,128}"),
            (a, b) in ("\\PC{0,300}", any::<i64>()),
            kept in time(),
        ) {
            let route = Route {
                job: kind,
                limit_keys: keys.iter().map(|key| key.parse().unwrap()).collect(),
                deadline,
                unique,
                ..route()
            };
            let event = event(tenant, &json!({"a": a, "b": [b]}));
            if let (Ok(()), Ok(job)) = (route.check(), job_kept(&route, &event, kept)) {
                prop_assert_eq!(job.check(1 << 20), Ok(()));
            }
        }
    }
}
