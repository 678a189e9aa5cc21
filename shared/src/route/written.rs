//! A route in the settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use upshot_queue::{Deadline, Late, Priority, QueueName, Scope};

use super::{Error, Route, UniqueRule, Why, default_name};
use crate::{duration, objective::Objective, outcome::PartsRule};

/// The written form of a route. Errors name the route, because the line that TOML shows may belong
/// to another key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    event: String,
    job: String,
    #[serde(default = "one")]
    version: u32,
    queue: QueueName,
    #[serde(with = "duration")]
    within: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objective: Option<f64>,
    #[serde(default)]
    priority: Priority,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    limit_keys: Vec<String>,
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    deadline: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    late: Option<Late>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unique: Option<WrittenUnique>,
    #[serde(default, skip_serializing_if = "is_default")]
    parts: PartsRule,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUnique {
    key: String,
    #[serde(default)]
    scope: Scope,
    #[serde(with = "duration")]
    lifetime: Duration,
    #[serde(default)]
    replaces_dead: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_default(parts: &PartsRule) -> bool {
    *parts == PartsRule::default()
}

fn one() -> u32 {
    1
}

impl TryFrom<Written> for Route {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self, Error> {
        let Written {
            name,
            event,
            job,
            version,
            queue,
            within,
            objective,
            priority,
            limit_keys,
            deadline,
            late,
            unique,
            parts,
        } = written;
        let impossible = |why| Error { event: event.clone(), job: job.clone(), why };
        let objective = objective.map(Objective::try_from).transpose();
        let objective = objective.map_err(|unusable| impossible(Why::Objective(unusable)))?;
        let templates: Result<_, _> = limit_keys.iter().map(|key| key.parse()).collect();
        let limit_keys = templates.map_err(|malformed| impossible(Why::LimitKey(malformed)))?;
        if deadline.is_none() && late.is_some() {
            return Err(impossible(Why::Late));
        }
        let deadline = deadline.map(|within| Deadline { within, then: late.unwrap_or(Late::Expires) });
        let rule = |unique: WrittenUnique| {
            let key = unique.key.parse().map_err(|malformed| impossible(Why::UniqueKey(malformed)))?;
            let (lifetime, replaces_dead) = (unique.lifetime, unique.replaces_dead);
            Ok::<_, Error>(UniqueRule { key, scope: unique.scope, lifetime, replaces_dead })
        };
        let unique = unique.map(rule).transpose()?;
        let name = name.unwrap_or_else(|| default_name(&event, &job));
        let route = Self {
            name,
            event,
            job,
            version,
            queue,
            within,
            objective,
            priority,
            limit_keys,
            deadline,
            unique,
            parts,
            expects: None,
        };
        route.check()?;
        Ok(route)
    }
}

impl From<Route> for Written {
    fn from(route: Route) -> Self {
        let Route {
            name,
            event,
            job,
            version,
            queue,
            within,
            objective,
            priority,
            limit_keys,
            deadline,
            unique,
            parts,
            ..
        } = route;
        Self {
            name: (name != default_name(&event, &job)).then_some(name),
            event,
            job,
            version,
            queue,
            within,
            objective: objective.map(f64::from),
            priority,
            limit_keys: limit_keys.iter().map(ToString::to_string).collect(),
            parts,
            deadline: deadline.map(|deadline| deadline.within),
            late: deadline.map(|deadline| deadline.then),
            unique: unique.map(|UniqueRule { key, scope, lifetime, replaces_dead }| WrittenUnique {
                key: key.to_string(),
                scope,
                lifetime,
                replaces_dead,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "event = 't.v1'\njob = 'a.b'\nqueue = 'q'\nwithin = '1m'\n";

    fn read(more: &str) -> Result<Route, String> {
        toml::from_str(&format!("{PLAIN}{more}")).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_is_ordinary() {
        let plain = Route::new("t.v1", "a.b", "q".parse().unwrap(), Duration::from_secs(60));
        assert_eq!(read(""), Ok(plain.clone()));
        assert_eq!(read("version = 1\npriority = 'normal'\nlimit_keys = []"), Ok(plain));
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for more in [
            "",
            "priority = 'low'\nversion = 2",
            "limit_keys = ['smtp', 'bank:{tenant}', 'customer:{/customer/id}']",
            "deadline = '10m'",
            "deadline = '10m'\nlate = 'run'",
            "unique = { key = 'monthly:{tenant}:{/month}', lifetime = '30d' }\npriority = 'low'",
            "unique = { key = 'once', lifetime = '1h', replaces_dead = true }",
            "unique = { key = 'once', scope = 'queue', lifetime = '1h' }",
            "name = 'invoices'",
            "parts = 'at least 80%'",
            "parts = 'any'",
            "objective = 0.999",
        ] {
            let route = read(more).unwrap();
            let printed = toml::to_string(&route).unwrap();
            assert_eq!(toml::from_str::<Route>(&printed), Ok(route), "{printed}");
        }
        let scope = |more| read(more).unwrap().unique.unwrap().scope;
        assert_eq!(scope("unique = { key = 'once', lifetime = '1h' }"), Scope::Tenant);
        assert_eq!(scope("unique = { key = 'once', lifetime = '1h', scope = 'kind' }"), Scope::Kind);
        let then = |more| read(more).unwrap().deadline.unwrap().then;
        assert_eq!(then("deadline = '10m'"), Late::Expires);
        assert_eq!(then("deadline = '10m'\nlate = 'run'"), Late::Runs);
    }

    #[test]
    fn what_cannot_be_used_names_route_value_and_remedy() {
        for (more, words) in [
            ("limit_keys = ['bank:{tenant']", ["`t.v1` to `a.b`", "bank:{tenant", "{/customer/id}"]),
            ("limit_keys = ['{tenent}']", ["`t.v1` to `a.b`", "{tenent}", "{tenant}"]),
            ("limit_keys = ['a', 'b', 'c', 'd']", ["`t.v1` to `a.b`", "4", "at most 3"]),
            ("name = 'a b'", ["`t.v1` to `a.b`", "`a b`", "letters"]),
            ("objective = 99.9", ["`t.v1` to `a.b`", "99.9", "such as 0.999"]),
            ("objective = 1", ["`t.v1` to `a.b`", "`objective` is 1:", "such as 0.999"]),
            ("late = 'run'", ["`t.v1` to `a.b`", "late", "add a deadline"]),
            ("deadline = '0s'", ["`t.v1` to `a.b`", "0s", "1ms"]),
            ("deadline = '10m'\nlate = 'never'", ["never", "expire", "line 6"]),
            (
                "unique = { key = '{month}', lifetime = '1d' }",
                ["`t.v1` to `a.b`", "{month}", "{/customer/id}"],
            ),
            ("unique = { key = 'a', lifetime = '0s' }", ["`t.v1` to `a.b`", "0s", "1ms"]),
            ("unique = { key = 'a', lifetime = '1d', scope = 'all' }", ["`all`", "tenant", "line 5"]),
            ("unique = { key = 'a', lifetime = '1d', among = 'kind' }", ["among", "replaces_dead", "line 5"]),
            ("parts = 'some'", ["`some`", "at least 80%", "line 5"]),
            ("priority = 'urgent'", ["urgent", "critical", "line 5"]),
            ("limits = []", ["limits", "limit_keys", "line 5"]),
        ] {
            let message = read(more).unwrap_err();
            for word in words {
                assert!(message.contains(word), "`{word}` is not in: {message}");
            }
        }
    }
}
