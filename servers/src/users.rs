//! The users of Upshot's services, from the files in `deploy/`: each may do only what its service
//! needs. Private servers have the same users, so that every test proves them to be enough.

use serde_json::{Value, json};

use crate::Error;
use crate::folder::Folder;

/// Users and permissions in RabbitMQ.
const DEFINITIONS: &str = include_str!("../../deploy/rabbitmq/definitions.json");
/// Users in Redis.
const ACL: &str = include_str!("../../deploy/redis/users.acl");
/// The prefix of keys and channels in `ACL`.
const PREFIX: &str = "upshot:";

/// A part of an installation with a user of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// A program that publishes events. It has no user in Redis.
    Producer,
    /// The bridge.
    Bridge,
    /// The executor. It has no user in RabbitMQ.
    Executor,
    /// The API.
    Api,
    /// The commands of an operator.
    Operator,
}

impl Service {
    const ALL: [Self; 5] = [Self::Producer, Self::Bridge, Self::Executor, Self::Api, Self::Operator];

    /// The name of its user.
    pub fn user(self) -> &'static str {
        match self {
            Self::Producer => "upshot-producer",
            Self::Bridge => "upshot-bridge",
            Self::Executor => "upshot-executor",
            Self::Api => "upshot-api",
            Self::Operator => "upshot-operator",
        }
    }
}

/// A password for each service, made up at the first start and kept in the folder of a server.
#[derive(Debug, Clone)]
pub(crate) struct Passwords([String; Service::ALL.len()]);

impl Passwords {
    pub(crate) fn new(folder: &Folder) -> Result<Self, Error> {
        let mut all: [String; Service::ALL.len()] = Default::default();
        for (password, service) in all.iter_mut().zip(Service::ALL) {
            *password = folder.secret(&format!("password-{}", service.user()), 0o600)?;
        }
        Ok(Self(all))
    }

    pub(crate) fn of(&self, service: Service) -> &str {
        let place = Service::ALL.iter().position(|each| *each == service);
        place.and_then(|place| self.0.get(place)).map_or("", String::as_str)
    }

    fn of_user(&self, user: &str) -> Option<&str> {
        Service::ALL.into_iter().find(|service| service.user() == user).map(|service| self.of(service))
    }
}

/// The users of RabbitMQ with these passwords, and their permissions in these virtual hosts.
pub(crate) fn of_rabbitmq(vhosts: &[String], passwords: &Passwords) -> (Vec<Value>, Vec<Value>) {
    let definitions: Value = serde_json::from_str(DEFINITIONS).unwrap_or_default();
    let with_password = |mut user: Value| {
        let password = passwords.of_user(user.get("name")?.as_str()?)?.to_owned();
        let fields = user.as_object_mut()?;
        fields.remove("password_hash");
        fields.insert("password".to_owned(), json!(password));
        Some(user)
    };
    let in_vhosts = |permission: Value| {
        vhosts.iter().map(move |vhost| {
            let mut permission = permission.clone();
            if let Some(fields) = permission.as_object_mut() {
                fields.insert("vhost".to_owned(), json!(vhost));
            }
            permission
        })
    };
    let users = listed(&definitions, "users").into_iter().filter_map(with_password).collect();
    (users, listed(&definitions, "permissions").into_iter().flat_map(in_vhosts).collect())
}

/// A list of RabbitMQ's definitions.
pub(crate) fn listed(definitions: &Value, name: &str) -> Vec<Value> {
    definitions.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The users of Redis as words of its ACL, with these passwords. `prefix` is a pattern for the
/// prefix of keys and channels.
pub(crate) fn of_redis(prefix: &str, passwords: &Passwords) -> Vec<String> {
    let user = |line: &str| {
        let rules = line.strip_prefix("user ")?;
        let (name, rules) = rules.split_once(' ')?;
        let password = passwords.of_user(name)?;
        let rule = |rule: &str| {
            if rule.starts_with('#') {
                return format!(">{password}");
            }
            match rule.split_once(PREFIX) {
                Some((kind @ ("~" | "&"), rest)) => format!("{kind}{prefix}:{rest}"),
                _ => rule.to_owned(),
            }
        };
        let rules: Vec<String> = rules.split_whitespace().map(rule).collect();
        Some(format!("{name} {}", rules.join(" ")))
    };
    ACL.lines().filter_map(user).collect()
}

/// A text as a pattern that matches this text alone.
pub fn pattern_of(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for char in text.chars() {
        if "*?[]\\".contains(char) {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords(Service::ALL.map(|service| format!("of-{}", service.user())))
    }

    #[test]
    fn every_user_of_rabbitmq_has_its_password_and_permissions_in_each_vhost() {
        let vhosts = ["a".to_owned(), "b".to_owned()];
        let (users, permissions) = of_rabbitmq(&vhosts, &passwords());
        let names: Vec<&str> = users.iter().map(|user| user["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["upshot-producer", "upshot-bridge", "upshot-api", "upshot-operator"]);
        for user in &users {
            assert_eq!(user["password"], format!("of-{}", user["name"].as_str().unwrap()));
            assert_eq!((user.get("password_hash"), &user["tags"]), (None, &json!([])));
        }
        assert_eq!(permissions.len(), 2 * users.len());
        assert!(permissions.iter().any(|each| each["user"] == "upshot-api" && each["vhost"] == "b"));
        let producer = permissions.iter().find(|each| each["user"] == "upshot-producer").unwrap();
        assert_eq!(producer["write"], "^upshot\\.events$");
        assert_eq!((&producer["configure"], &producer["read"]), (&json!("^$"), &json!("^$")));
    }

    #[test]
    fn every_user_of_redis_has_its_password_and_the_prefix() {
        let users = of_redis("other", &passwords());
        let names: Vec<&str> = users.iter().map(|user| user.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["upshot-bridge", "upshot-executor", "upshot-api", "upshot-operator"]);
        for user in &users {
            let name = user.split(' ').next().unwrap();
            assert!(
                user.contains(&format!(" on >of-{name} ~other:{{[^@]*}}* ~other:installation ")),
                "{user}"
            );
            assert!(user.contains(" resetchannels &other:{[^@]*}:* -@all "), "{user}");
            assert!(!user.contains("upshot:") && !user.contains('#'), "{user}");
        }
    }

    /// Tokens and sessions are for the API and the operator.
    #[test]
    fn only_the_api_and_the_operator_reach_the_slot_of_access() {
        for line in ACL.lines().filter(|line| line.starts_with("user upshot-") && !line.contains(" ~* ")) {
            let may = line.contains("~upshot:{@access}*");
            let name = line.split(' ').nth(1).unwrap();
            assert_eq!(may, ["upshot-api", "upshot-operator"].contains(&name), "{name}");
            assert!(!line.contains("~upshot:* ") && !line.contains("~* "), "{line}");
        }
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(pattern_of("a-1.b"), "a-1.b");
        assert_eq!(pattern_of("a*[b]?\\"), "a\\*\\[b\\]\\?\\\\");
    }
}
