//! Which alarms are on, from one look to the next.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    growth::{self, Counts},
    notices::Notices,
    readings::{Found, Readings},
    sort::{Severity, Sort},
};

/// Alarms that are kept at most; the bound is for damage, not for use.
const MOST: usize = 1_000;

/// What is known from one look to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// When was last looked, UTC ms.
    pub looked_at: Option<i64>,
    /// By the key of their cause: those that are on, and those that may come on.
    pub alarms: BTreeMap<String, Alarm>,
    /// Counts that never fall.
    pub counts: Counts,
    /// What is to be told.
    pub notices: Notices,
}

/// A cause that shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What is wrong.
    pub sort: Sort,
    /// With which queue, route, kind, group or reason.
    pub labels: BTreeMap<String, String>,
    /// For people; that of the last look.
    pub summary: String,
    /// What to look at, or to do.
    pub remedy: String,
    /// Since when it shows, UTC ms.
    pub since: i64,
    /// When it last showed, UTC ms.
    pub seen_at: i64,
    /// Since when the alarm is on (UTC ms); `None` while it has not lasted for long enough.
    pub on_since: Option<i64>,
    /// When a notice of it was last made, UTC ms.
    pub told_at: Option<i64>,
}

/// How to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looking<'a> {
    /// How long a cause must not show before its alarm is over, ms.
    pub calm: i64,
    /// How often an alarm is told again while it is on, ms.
    pub repeat: i64,
    /// A digest of the receiver's address; `None` where nobody is told.
    pub receiver: Option<&'a str>,
}

/// What happened to an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Fired,
    Repeated,
    Resolved,
}

impl Alarm {
    /// How bad it is.
    pub const fn severity(&self) -> Severity {
        self.sort.severity()
    }

    fn of(found: &Found, now: i64) -> Self {
        Self {
            sort: found.sort,
            labels: found.labels.clone(),
            summary: found.summary.clone(),
            remedy: found.remedy.clone(),
            since: now,
            seen_at: now,
            on_since: None,
            told_at: None,
        }
    }
}

impl State {
    /// Takes what was read into account. An alarm comes on once its cause has lasted for long enough,
    /// and is over once the cause has not shown for a while. Each of both is told once. Causes that
    /// could not be read stay as they are.
    pub fn look(&mut self, readings: &Readings, looking: Looking<'_>, now: i64) {
        let grown = growth::note(&mut self.counts, &readings.counts(), self.looked_at.is_none(), now);
        let found = readings.found(&grown, now);
        self.looked_at = Some(now);
        self.notices.tidy(looking.receiver, now);
        for (key, found) in &found {
            if self.alarms.len() >= MOST && !self.alarms.contains_key(key) {
                continue;
            }
            let alarm = self.alarms.entry(key.clone()).or_insert_with(|| Alarm::of(found, now));
            (alarm.summary, alarm.remedy) = (found.summary.clone(), found.remedy.clone());
            // After the clock was set back, what is later than now counts from now.
            (alarm.since, alarm.seen_at) = (alarm.since.min(now), now);
            if alarm.on_since.is_none() && now.saturating_sub(alarm.since) >= alarm.sort.lasts() {
                alarm.on_since = Some(now);
            }
        }
        let is_over = |key: &String, alarm: &Alarm| {
            let was_on = alarm.on_since.is_some();
            let unseen = now.saturating_sub(alarm.seen_at.min(now));
            !found.contains_key(key)
                && readings.can_tell(alarm.sort, &alarm.labels)
                && (!was_on || unseen >= looking.calm)
        };
        let over: Vec<String> = self
            .alarms
            .iter()
            .filter(|(key, alarm)| is_over(key, alarm))
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            let Some(alarm) = self.alarms.remove(&key) else { continue };
            if alarm.told_at.is_some() {
                self.tell(&key, &alarm, Event::Resolved, looking, now);
            }
        }
        let due: Vec<(String, Event)> = self
            .alarms
            .iter()
            .filter(|(_, alarm)| alarm.on_since.is_some())
            .filter_map(|(key, alarm)| match alarm.told_at {
                None => Some((key.clone(), Event::Fired)),
                Some(at)
                    if now.saturating_sub(at.min(now)) >= looking.repeat && !self.notices.has_of(key) =>
                {
                    Some((key.clone(), Event::Repeated))
                }
                Some(_) => None,
            })
            .collect();
        for (key, event) in due {
            let Some(mut alarm) = self.alarms.remove(&key) else { continue };
            if self.tell(&key, &alarm, event, looking, now) {
                alarm.told_at = Some(now);
            }
            self.alarms.insert(key, alarm);
        }
    }

    /// Makes a notice. Returns whether somebody is to be told.
    fn tell(&mut self, key: &str, alarm: &Alarm, event: Event, looking: Looking<'_>, now: i64) -> bool {
        if looking.receiver.is_none() || self.notices.gone.is_some() {
            return false;
        }
        let kind = match event {
            Event::Fired => "alarm.fired",
            Event::Repeated => "alarm.repeated",
            Event::Resolved => "alarm.resolved",
        };
        // The same for every process that makes it.
        let digest = Sha256::digest(format!("{key}\n{kind}\n{now}"));
        let id = format!("alarm_{}", HEXLOWER.encode(digest.get(..16).unwrap_or_default()));
        let body = json!({
            "type": kind,
            "timestamp": written(now),
            "data": {
                "alarm": alarm.sort,
                "severity": alarm.severity(),
                "labels": alarm.labels,
                "summary": alarm.summary,
                "remedy": alarm.remedy,
                "since": written(alarm.since),
                "on_since": alarm.on_since.map(written),
                "resolved_at": (event == Event::Resolved).then(|| written(now)),
            },
        });
        self.notices.add(id, key.to_owned(), body.to_string(), now);
        true
    }
}

fn written(ms: i64) -> String {
    let time: Option<DateTime<Utc>> = DateTime::from_timestamp_millis(ms);
    time.map_or_else(|| ms.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{super::notices::Told, *};

    const MINUTE: i64 = 60_000;
    const LOOKING: Looking<'_> = Looking { calm: MINUTE, repeat: 240 * MINUTE, receiver: Some("r") };

    fn bridges(bridges: Option<u32>) -> Readings {
        Readings { bridges, ..Readings::default() }
    }

    /// What was told since the last call: the kind and the alarm of each notice.
    fn told(state: &mut State, now: i64) -> Vec<(String, String)> {
        let mut told = Vec::new();
        while let Some(notice) = state.notices.next(now).cloned() {
            let body: Value = serde_json::from_str(&notice.body).unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            told.push((text(&body["type"]), text(&body["data"]["alarm"])));
            state.notices.told(&notice.id, Told::Taken, "r", now);
        }
        told
    }

    fn looked(state: &mut State, readings: &Readings, now: i64) -> Vec<(String, String)> {
        // Each look is by another process, after a restart.
        *state = serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap();
        state.look(readings, LOOKING, now);
        told(state, now)
    }

    fn pair(kind: &str, alarm: &str) -> Vec<(String, String)> {
        vec![(kind.to_owned(), alarm.to_owned())]
    }

    #[test]
    fn an_alarm_fires_once_is_repeated_and_resolves_once() {
        let mut state = State::default();
        assert!(looked(&mut state, &bridges(Some(0)), 0).is_empty(), "it has to last");
        assert!(looked(&mut state, &bridges(Some(0)), MINUTE).is_empty());
        assert_eq!(looked(&mut state, &bridges(Some(0)), 2 * MINUTE), pair("alarm.fired", "no_bridge"));
        for minute in 3..242 {
            assert!(looked(&mut state, &bridges(Some(0)), minute * MINUTE).is_empty());
        }
        assert_eq!(looked(&mut state, &bridges(Some(0)), 242 * MINUTE), pair("alarm.repeated", "no_bridge"));
        assert!(
            looked(&mut state, &bridges(Some(1)), 242 * MINUTE + 30_000).is_empty(),
            "it has to stay calm"
        );
        assert_eq!(looked(&mut state, &bridges(Some(1)), 243 * MINUTE), pair("alarm.resolved", "no_bridge"));
        assert!(looked(&mut state, &bridges(Some(1)), 244 * MINUTE).is_empty() && state.alarms.is_empty());
    }

    #[test]
    fn what_does_not_last_and_what_cannot_be_read_is_not_told() {
        let mut state = State::default();
        looked(&mut state, &bridges(Some(0)), 0);
        looked(&mut state, &bridges(Some(1)), MINUTE);
        looked(&mut state, &bridges(Some(0)), 2 * MINUTE);
        assert!(looked(&mut state, &bridges(Some(0)), 3 * MINUTE).is_empty(), "it began again");
        assert_eq!(looked(&mut state, &bridges(Some(0)), 4 * MINUTE), pair("alarm.fired", "no_bridge"));
        // RabbitMQ is away: nobody knows about bridges.
        assert!(looked(&mut state, &bridges(None), 5 * MINUTE).is_empty());
        assert_eq!(looked(&mut state, &bridges(None), 60 * MINUTE), pair("alarm.fired", "rabbitmq_away"));
        let resolved = looked(&mut state, &bridges(Some(2)), 62 * MINUTE);
        assert_eq!(resolved.len(), 2, "{resolved:?}");
    }

    #[test]
    fn nobody_is_told_twice_of_what_was_on_before_there_was_a_receiver() {
        let mut state = State::default();
        let nobody = Looking { receiver: None, ..LOOKING };
        for minute in 0..4 {
            state.look(&bridges(Some(0)), nobody, minute * MINUTE);
        }
        assert!(state.alarms["no_bridge"].on_since.is_some() && state.notices.waiting.is_empty());
        assert_eq!(looked(&mut state, &bridges(Some(0)), 5 * MINUTE), pair("alarm.fired", "no_bridge"));
        assert!(looked(&mut state, &bridges(Some(0)), 6 * MINUTE).is_empty());
    }

    #[test]
    fn a_clock_that_is_set_back_neither_fires_nor_resolves() {
        let mut state = State::default();
        for minute in 100..103 {
            looked(&mut state, &bridges(Some(0)), minute * MINUTE);
        }
        assert!(looked(&mut state, &bridges(Some(0)), MINUTE).is_empty());
        assert!(looked(&mut state, &bridges(Some(1)), MINUTE).is_empty());
        assert_eq!(looked(&mut state, &bridges(Some(1)), 2 * MINUTE), pair("alarm.resolved", "no_bridge"));
    }

    proptest! {
        #[test]
        fn each_firing_is_resolved_before_the_next(
            steps in prop::collection::vec((prop::option::weighted(0.8, 0..2_u32), 1..40_i64), 1..80),
        ) {
            let (mut state, mut now, mut is_on) = (State::default(), 0, BTreeMap::<String, bool>::new());
            for (bridges_now, tenths) in steps {
                now += tenths * MINUTE / 10;
                for (kind, alarm) in looked(&mut state, &bridges(bridges_now), now) {
                    let on = is_on.entry(alarm).or_default();
                    prop_assert_eq!(*on, kind != "alarm.fired", "{}", kind);
                    *on = kind != "alarm.resolved";
                }
            }
            let told_on: Vec<&String> = is_on.iter().filter(|(_, on)| **on).map(|(alarm, _)| alarm).collect();
            let on: Vec<&String> =
                state.alarms.iter().filter(|(_, alarm)| alarm.on_since.is_some()).map(|(key, _)| key).collect();
            prop_assert_eq!(told_on, on);
        }
    }
}
