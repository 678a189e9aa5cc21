//! Expectations of others: an event of one type must be followed by an event of another type in time.
//!
//! Such an expectation is a route to the built-in kind of job [`KIND`] in the queue [`QUEUE`], and a
//! rule by which the other event confirms what the job waits for. So it is in every list, count,
//! receipt and story, as each job with a route.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use upshot_queue::{Condition, QueueName, job::MAX_TIME};

use crate::{
    confirmation::{Proved, Rule},
    duration,
    route::{
        Route, is_plain,
        template::{Malformed, Template},
    },
};

/// The kind of the jobs that wait for another event.
pub const KIND: &str = "expect";
/// Their queue.
pub const QUEUE: &str = "expectations";
/// The label under which such a job carries the key of the confirmation that it waits for.
pub const LABEL_KEY: &str = "expects";

/// The rule that an event of one type must be followed by an event of another type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Expectation {
    /// Its name: that of its route, and the beginning of each key. `<event>:<achieved_by.event>` by
    /// default.
    pub name: String,
    /// The event type that opens it, such as `order.completed.v1`.
    pub event: String,
    /// What both events have in common, as the opening event says it; its subject by default.
    pub key: Template,
    /// The event that achieves it.
    pub achieved_by: Match,
    /// The event that makes it missed, if there is one.
    pub missed_by: Option<Missing>,
    /// By when, counted from the opening event's time or the acceptance.
    pub within: Duration,
}

/// An event that achieves an expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Its type, such as `parcel.delivered.v1`.
    pub event: String,
    /// What both events have in common, as this event says it.
    #[serde(rename = "match")]
    pub key: Template,
}

/// An event that makes an expectation missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// Its type, such as `parcel.lost.v1`.
    pub event: String,
    /// What both events have in common, as this event says it.
    #[serde(rename = "match")]
    pub key: Template,
    /// Why it is missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Template>,
}

/// An expectation that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the expectation of `{event}` that `{achieved_by}` follows: {why}")]
pub struct Error {
    /// The event type that opens it.
    pub event: String,
    /// The event type that achieves it.
    pub achieved_by: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with an expectation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A name that cannot be written everywhere.
    #[error("`name` is `{0}`: give it a `name` of 1 to 128 letters, digits and `.:_-`")]
    Name(String),
    /// A name with which a queue's own conditions begin.
    #[error("`name` is `{0}`, with which conditions of the queue itself begin: give it another `name`")]
    Reserved(String),
    /// A time that a queue cannot count.
    #[error("`within` is {}: use 1ms to 100 years", humantime::format_duration(*.0))]
    Within(Duration),
    /// An event that would end the expectation that it opens.
    #[error("`{0}` opens the expectation and ends it: name another event type")]
    Itself(String),
    /// An event that both achieves it and makes it missed.
    #[error("`{0}` achieves it and makes it missed: name another event type")]
    Both(String),
    /// A key that is too long together with the name.
    #[error("the key {0}; each key begins with the name")]
    Key(Malformed),
}

impl Expectation {
    /// The route of its jobs.
    pub fn route(&self) -> Route {
        let Self { name, event, key, within, .. } = self;
        let expects = self.whole(key).ok();
        Route { name: name.clone(), expects, ..Route::new(event, KIND, queue(), *within) }
    }

    /// The rules by which other events confirm what its jobs wait for.
    pub fn rules(&self) -> Vec<Rule> {
        let rule = |event: &str, key, outcome, reason| {
            let (event, evidence) = (event.to_owned(), BTreeMap::new());
            Some(Rule { event, key: self.whole(key).ok()?, queue: queue(), outcome, reason, evidence })
        };
        let achieved = rule(&self.achieved_by.event, &self.achieved_by.key, Proved::Achieved, None);
        let missed = self
            .missed_by
            .as_ref()
            .and_then(|missed| rule(&missed.event, &missed.key, Proved::Missed, missed.reason.clone()));
        achieved.into_iter().chain(missed).collect()
    }

    /// The key of a confirmation. It begins with the name, so that expectations do not share keys.
    fn whole(&self, key: &Template) -> Result<Template, Malformed> {
        format!("{} {key}", self.name).parse()
    }

    fn check(&self) -> Result<(), Why> {
        if !is_plain(&self.name) {
            return Err(Why::Name(self.name.clone()));
        }
        if Condition::new(None, &format!("{} x", self.name)).is_err() {
            return Err(Why::Reserved(self.name.clone()));
        }
        if self.within.as_millis() == 0 || self.within > MAX_TIME {
            return Err(Why::Within(self.within));
        }
        let missed_by = self.missed_by.as_ref().map(|missed| (&missed.event, &missed.key));
        let ends = [Some((&self.achieved_by.event, &self.achieved_by.key)), missed_by];
        for (event, key) in ends.into_iter().flatten() {
            if *event == self.event {
                return Err(Why::Itself(event.clone()));
            }
            self.whole(key).map_err(Why::Key)?;
        }
        match missed_by {
            Some((event, _)) if *event == self.achieved_by.event => Err(Why::Both(event.clone())),
            _ => self.whole(&self.key).map(drop).map_err(Why::Key),
        }
    }
}

/// The queue of expectations.
#[expect(clippy::expect_used, reason = "the constant is a queue's name, as a test shows")]
pub fn queue() -> QueueName {
    QUEUE.parse().expect("a queue's name")
}

/// The written form of an expectation.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Template>,
    achieved_by: Match,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missed_by: Option<Missing>,
    #[serde(with = "duration")]
    within: Duration,
}

fn default_name(event: &str, achieved_by: &str) -> String {
    format!("{event}:{achieved_by}")
}

impl TryFrom<Written> for Expectation {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self, Error> {
        let Written { name, event, key, achieved_by, missed_by, within } = written;
        let name = name.unwrap_or_else(|| default_name(&event, &achieved_by.event));
        let key = key.unwrap_or_else(Template::subject);
        let read = Self { name, event, key, achieved_by, missed_by, within };
        match read.check() {
            Ok(()) => Ok(read),
            Err(why) => Err(Error { event: read.event, achieved_by: read.achieved_by.event, why }),
        }
    }
}

impl From<Expectation> for Written {
    fn from(expectation: Expectation) -> Self {
        let Expectation { name, event, key, achieved_by, missed_by, within } = expectation;
        Self {
            name: (name != default_name(&event, &achieved_by.event)).then_some(name),
            event,
            key: (key != Template::subject()).then_some(key),
            achieved_by,
            missed_by,
            within,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "event = 'order.v1'\nwithin = '5d'\n\
                         achieved_by = { event = 'parcel.v1', match = '{/order}' }\n";

    fn read(text: &str) -> Result<Expectation, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_expectation_is_a_route_and_the_rules_that_end_it() {
        let lost = "missed_by = { event = 'lost.v1', match = '{subject}', reason = 'lost: {/why}' }";
        let expectation = read(&format!("{PLAIN}{lost}")).unwrap();
        let route = expectation.route();
        assert_eq!((route.name.as_str(), route.job.as_str()), ("order.v1:parcel.v1", KIND));
        assert_eq!(route.check(), Ok(()));
        assert_eq!(route.queue.as_str(), QUEUE);
        assert_eq!(route.expects.unwrap().to_string(), "order.v1:parcel.v1 {subject}");
        let rules = expectation.rules();
        let told = |rule: &Rule| (rule.event.clone(), rule.key.to_string(), rule.outcome);
        let expected = [
            ("parcel.v1".to_owned(), "order.v1:parcel.v1 {/order}".to_owned(), Proved::Achieved),
            ("lost.v1".to_owned(), "order.v1:parcel.v1 {subject}".to_owned(), Proved::Missed),
        ];
        assert_eq!(rules.iter().map(told).collect::<Vec<_>>(), expected);
        assert!(rules.iter().all(|rule| rule.queue.as_str() == QUEUE));
    }

    #[test]
    fn expectations_of_one_event_have_jobs_of_their_own() {
        use crate::event::Identity;
        let [one, other] = ["one", "other"].map(|name| {
            let route = read(&format!("name = '{name}'\n{PLAIN}")).unwrap().route();
            route.job_id("/shop", Identity::Id("1"))
        });
        assert_ne!(one, other);
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for more in ["", "name = 'delivery'", "key = '{/number}'"] {
            let expectation = read(&format!("{PLAIN}{more}")).unwrap();
            let printed = toml::to_string(&expectation).unwrap();
            assert_eq!(read(&printed), Ok(expectation), "{printed}");
        }
    }

    #[test]
    fn what_cannot_be_used_names_expectation_value_and_remedy() {
        let with = |from: &str, to: &str| PLAIN.replace(from, to);
        for (text, words) in [
            (with("'5d'", "'0s'"), ["`order.v1`", "use 1ms"]),
            (format!("name = 'kind'\n{PLAIN}"), ["`kind`", "another `name`"]),
            (with("parcel.v1", "order.v1"), ["`order.v1`", "another event type"]),
            (with("order.v1", "order v1"), ["order v1:parcel.v1", "give it a `name`"]),
            (with("{/order}", "{order}"), ["{order}", "line 3"]),
            (with("{/order}", &"x".repeat(500)), ["begins with the name", "1 to 512"]),
            (format!("{PLAIN}missed_by = {{ event = 'parcel.v1', match = 'a' }}"), ["parcel.v1", "missed"]),
            (format!("{PLAIN}queue = 'a'"), ["queue", "achieved_by"]),
        ] {
            let message = read(&text).unwrap_err();
            for word in words {
                assert!(message.contains(word), "`{word}` is not in: {message}");
            }
        }
    }
}
