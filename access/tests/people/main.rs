//! Sessions, capability links, values that are taken once, and devices, on a real Redis.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod devices;
mod links;
mod once;
mod sessions;

use upshot_access::{
    CapabilityLinks, Devices, Error, Identity, Lengths, NewToken, Once, Only, Principal, Refusal, Rights,
    Role, Scope, Sessions, Tokens,
};
use upshot_queue::{Connection, Connector};
use upshot_servers::Service;
use upshot_testkit::{TestRedis, shared_redis};

const HOUR: i64 = 3_600_000;
const LENGTHS: Lengths = Lengths { idle_ms: HOUR, absolute_ms: 24 * HOUR };

struct Stage {
    redis: TestRedis,
    /// Logs in as the API does: Redis must not refuse it anything.
    api: Connector,
    conn: Connection,
}

impl Stage {
    async fn new() -> Self {
        let redis = TestRedis::new("orders").await;
        let conn = redis.connector.connect().unwrap();
        let mut settings = redis.settings.clone();
        settings.redis.url = shared_redis().await.url_of(Service::Api).into();
        let api = Connector::new(settings.redis.options()).unwrap();
        Self { redis, api, conn }
    }

    fn sessions(&self, lengths: Lengths) -> Sessions {
        Sessions::new(&self.api, lengths).unwrap()
    }

    fn tokens(&self) -> Tokens {
        Tokens::new(&self.api).unwrap()
    }

    fn links(&self) -> CapabilityLinks {
        CapabilityLinks::new(&self.api).unwrap()
    }

    fn once(&self) -> Once {
        Once::new(&self.api).unwrap()
    }

    fn devices(&self) -> Devices {
        Devices::new(&self.api).unwrap()
    }

    /// All keys of `{@access}` that match a pattern.
    async fn keys(&self, pattern: &str) -> Vec<String> {
        let pattern = format!("{}:{{@access}}:{pattern}", self.redis.connector.prefix());
        redis::cmd("KEYS").arg(pattern).query_async(&mut self.conn.clone()).await.unwrap()
    }
}

/// A person with this role, of these tenants.
fn person(subject: &str, role: Role, tenants: &[&str]) -> Principal {
    Principal {
        identity: Identity::Person {
            issuer: "https://id.example".to_owned(),
            subject: subject.to_owned(),
            name: subject.to_owned(),
        },
        role: Some(role),
        rights: role.rights(),
        scope: Scope { tenants: Only::of(tenants.iter().copied()), ..Scope::everything() },
        until: None,
    }
}

fn new_token(role: Role, lifetime_ms: Option<i64>) -> NewToken {
    NewToken {
        name: "shop".to_owned(),
        role,
        more: Rights::default(),
        without: Rights::default(),
        scope: Scope::everything(),
        lifetime_ms,
        created_by: "test".to_owned(),
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}
