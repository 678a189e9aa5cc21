//! What logins, sessions and links need, of one API.

use std::{net::IpAddr, time::Duration};

use axum::http::{Extensions, HeaderMap};
use upshot_access::{
    CapabilityLinks, Devices, Lengths, Once, Role, Sessions,
    oidc::{Config, Provider},
};
use upshot_queue::Connection;
use upshot_runtime::settings::{ApiSettings, GroupRole, OidcSettings};

use super::{
    client::{Proxies, counted},
    cookie::Cookies,
    fetch,
    pace::Pace,
    transport::Transport,
};
use crate::problem::Problem;

/// Failed logins of a client at once, and the time after which it may fail once more.
const FAILURES: (u32, Duration) = (10, Duration::from_secs(6));
/// Logins that a client may begin at once, and the time after which it may begin one more.
const STARTS: (u32, Duration) = (30, Duration::from_secs(2));

/// What logins, sessions and links need.
#[derive(Debug)]
pub struct People {
    /// Sessions of browsers.
    pub sessions: Sessions,
    /// Capability links.
    pub links: CapabilityLinks,
    /// Values that are taken once.
    pub once: Once,
    /// Devices that ask for a login.
    pub devices: Devices,
    /// The identity provider, if people log in with one.
    pub provider: Option<Provider>,
    /// The cookies of browsers.
    pub cookies: Cookies,
    /// Whether a login travels safely.
    pub transport: Transport,
    /// The lifetime of a link: if its maker says none, and at most.
    pub link_lifetime: (Duration, Duration),
    /// How often a stream checks its principal.
    pub recheck: Duration,
    /// How often a principal may publish; without a limit, none.
    publishing: Option<Pace>,
    failures: Pace,
    starts: Pace,
    proxies: Proxies,
}

impl People {
    /// The same for these settings, on a connection to Redis.
    ///
    /// # Errors
    /// When the provider's settings cannot be used.
    pub fn new(settings: &ApiSettings, conn: &Connection, prefix: &str) -> Result<Self, fetch::Error> {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let lengths = Lengths {
            idle_ms: millis(settings.sessions.idle),
            absolute_ms: millis(settings.sessions.absolute),
        };
        let public_url = settings.public_url.as_deref();
        let publishing = (settings.publish_rate > 0)
            .then(|| Pace::new(settings.publish_rate, Duration::from_secs(1) / settings.publish_rate));
        Ok(Self {
            sessions: Sessions::with_connection(conn.clone(), prefix, lengths),
            links: CapabilityLinks::with_connection(conn.clone(), prefix),
            once: Once::with_connection(conn.clone(), prefix),
            devices: Devices::with_connection(conn.clone(), prefix),
            provider: settings.oidc.as_ref().map(provider).transpose()?,
            cookies: Cookies::new(public_url, prefix),
            transport: Transport::new(public_url),
            link_lifetime: (settings.links.lifetime, settings.links.most),
            recheck: settings.sessions.recheck,
            publishing,
            failures: Pace::new(FAILURES.0, FAILURES.1),
            starts: Pace::new(STARTS.0, STARTS.1),
            proxies: Proxies::new(&settings.trusted_proxies),
        })
    }

    /// The client of a request, as its failures are counted.
    pub fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> Client {
        Client(self.proxies.client(extensions, headers))
    }

    /// Checks that a client may try to log in.
    ///
    /// # Errors
    /// A 429 when it failed too often.
    pub fn may_try(&self, client: &Client) -> Result<(), Problem> {
        self.failures.look(&client.name()).map_err(|wait| Problem::too_often("failed logins", wait))
    }

    /// Counts a login that failed.
    pub fn count_failure(&self, client: &Client) {
        // A client that has failed too often is refused before it can fail once more.
        let _ = self.failures.act(&client.name());
    }

    /// Counts a login that begins, because each takes memory for a while.
    ///
    /// # Errors
    /// A 429 when the client begins too many.
    pub fn count_start(&self, client: &Client) -> Result<(), Problem> {
        self.starts.act(&client.name()).map_err(|wait| Problem::too_often("logins", wait))
    }

    /// Counts an event of a principal.
    ///
    /// # Errors
    /// A 429 when it publishes too many.
    pub fn count_event(&self, principal: &str) -> Result<(), Problem> {
        let Some(publishing) = &self.publishing else { return Ok(()) };
        publishing.act(principal).map_err(|wait| Problem::too_often("events", wait))
    }
}

/// The client of a request.
#[derive(Clone, Copy, Debug)]
pub struct Client(Option<IpAddr>);

impl Client {
    /// Its address.
    pub fn address(&self) -> Option<String> {
        self.0.map(|address| address.to_string())
    }

    fn name(&self) -> String {
        // Without an address there is no server, only a test.
        self.0.map_or_else(|| "unknown".to_owned(), counted)
    }
}

fn provider(settings: &OidcSettings) -> Result<Provider, fetch::Error> {
    let role = |role: &GroupRole| match role {
        GroupRole::Producer => Role::Producer,
        GroupRole::Viewer => Role::Viewer,
        GroupRole::Operator => Role::Operator,
        GroupRole::Administrator => Role::Administrator,
    };
    let config = Config {
        issuer: settings.issuer.clone(),
        client_id: settings.client_id.clone(),
        client_secret: settings.client_secret.as_ref().map(|secret| secret.expose().to_owned()),
        scopes: settings.scopes.clone(),
        groups_claim: settings.groups_claim.clone(),
        tenants_claim: settings.tenants_claim.clone(),
        name_claim: settings.name_claim.clone(),
        roles: settings.roles.iter().map(|(group, named)| (group.clone(), role(named))).collect(),
    };
    fetch::provider(settings, config)
}
