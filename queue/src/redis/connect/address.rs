//! The address of Redis in its forms: one server, a cluster, servers behind sentinels.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;

/// The default port of a server.
const SERVER_PORT: u16 = 6379;
/// The default port of a sentinel.
const SENTINEL_PORT: u16 = 26379;
/// All valid forms, for error messages.
const FORMS: &str = "use redis://[user:password@]host:port/db, redis+cluster://[user:password@]host:port,host:port \
     or redis+sentinel://[user:password@]host:port,host:port/master/db; `rediss` in place of `redis` for TLS";

/// The address of Redis and its login.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// How the servers are organised.
    pub mode: Mode,
    /// Whether every connection is encrypted.
    pub tls: bool,
    /// The ACL user; `None` for the default one.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// The number of the database; 0 on a cluster.
    pub db: i64,
}

/// How the servers are organised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One server.
    Single(Node),
    /// A Redis Cluster. These nodes name all others.
    Cluster(Vec<Node>),
    /// A master with replicas; the sentinels know which one is the master.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<Node>,
        /// The name by which they know the master.
        master: String,
    },
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// A name or an IP address; an IPv6 address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Why an address cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Redis URL `{url}` cannot be used: {remedy}")]
pub struct AddressError {
    /// The address without its login.
    pub url: String,
    /// What to write instead.
    pub remedy: String,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, AddressError> {
        parse(url).map_err(|remedy| AddressError { url: redacted(url), remedy })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, tls, user, password: _, db } = self;
        f.debug_struct("Address")
            .field("mode", mode)
            .field("tls", tls)
            .field("user", user)
            .field("db", db)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The address, or a remedy.
fn parse(url: &str) -> Result<Address, String> {
    let (scheme, rest) = url.split_once("://").ok_or(FORMS)?;
    let (base, mode) = scheme.split_once('+').unwrap_or((scheme, ""));
    let tls = match base {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => return Err(FORMS.to_owned()),
    };
    if rest.contains(['?', '#']) {
        return Err("remove what follows `?` or `#`; where the password has one, write %3F or %23".to_owned());
    }
    // A password may hold a plain `@` or `/`; a host holds no `@`.
    let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
    let (user, password) = login.map_or(Ok((None, None)), credentials)?;
    let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
    let (mode, db) = match mode {
        "" => {
            let [node] = <[Node; 1]>::try_from(nodes(hosts, SERVER_PORT)?)
                .map_err(|_| "name one host, or use redis+cluster:// or redis+sentinel:// for several")?;
            (Mode::Single(node), database(path)?)
        }
        "cluster" if !matches!(path, "" | "0") => {
            return Err("remove what follows the hosts: a cluster has only database 0".to_owned());
        }
        "cluster" => (Mode::Cluster(nodes(hosts, SERVER_PORT)?), 0),
        "sentinel" => {
            let (master, db) = path.split_once('/').unwrap_or((path, ""));
            if master.is_empty() {
                let remedy = "name the master as the sentinels do, after the hosts: /master or /master/db";
                return Err(remedy.to_owned());
            }
            let sentinels = nodes(hosts, SENTINEL_PORT)?;
            (Mode::Sentinel { sentinels, master: decoded(master, "the master's name")? }, database(db)?)
        }
        _ => return Err(FORMS.to_owned()),
    };
    Ok(Address { mode, tls, user, password, db })
}

/// `user:password`, `:password` or `user`, each percent-encoded.
fn credentials(login: &str) -> Result<(Option<String>, Option<String>), String> {
    let (user, password) = login.split_once(':').map_or((login, None), |(user, pw)| (user, Some(pw)));
    let user = if user.is_empty() { None } else { Some(decoded(user, "the user")?) };
    let password = password.map(|password| decoded(password, "the password")).transpose()?;
    Ok((user, password))
}

fn decoded(text: &str, what: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into)
        .map_err(|_| format!("{what} is not UTF-8 after percent-decoding: encode it as UTF-8"))
}

fn nodes(hosts: &str, port: u16) -> Result<Vec<Node>, String> {
    hosts.split(',').map(|host| node(host, port)).collect()
}

fn node(text: &str, default_port: u16) -> Result<Node, String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("close the bracket of the IPv6 address")?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').unwrap_or(rest)) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err("name a host before each port and between two commas".to_owned());
    }
    let port = match port.map(str::parse) {
        None => default_port,
        Some(Ok(port)) if port > 0 => port,
        Some(_) => {
            return Err(format!("the port of `{text}` must be 1 to 65535; put an IPv6 address into [ ]"));
        }
    };
    Ok(Node { host: host.to_owned(), port })
}

fn database(path: &str) -> Result<i64, String> {
    if path.is_empty() {
        return Ok(0);
    }
    // The parser would accept a sign, and Redis would refuse it.
    let digits = path.bytes().all(|byte| byte.is_ascii_digit());
    let number = path.parse().ok().filter(|_| digits);
    number.ok_or_else(|| format!("the database `{path}` must be a number, such as 0"))
}

/// The part of the address that may be shown: nothing before the `@`.
fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let shown = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, place)| format!("…@{place}"));
    if scheme.is_empty() { shown } else { format!("{scheme}://{shown}") }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn server(host: &str, port: u16) -> Node {
        Node { host: host.to_owned(), port }
    }

    #[test]
    fn every_form_is_understood() {
        let single =
            Address { mode: Mode::Single(server("h", 6379)), tls: false, user: None, password: None, db: 0 };
        assert_eq!("redis://h".parse(), Ok(single.clone()));
        assert_eq!("valkey://h:6379/0".parse(), Ok(single.clone()));
        let named =
            Address { user: Some("u".into()), password: Some("p@ß/".into()), db: 3, ..single.clone() };
        assert_eq!("redis://u:p%40%C3%9F/@h:6379/3".parse(), Ok(named));
        let secret = Address { password: Some("p".into()), tls: true, ..single.clone() };
        assert_eq!("rediss://:p@h/".parse(), Ok(secret));
        let six = Address { mode: Mode::Single(server("::1", 7)), ..single.clone() };
        assert_eq!("redis://[::1]:7".parse(), Ok(six));
        let mode = Mode::Cluster(vec![server("a", 1), server("b", 6379)]);
        let cluster = Address { mode, tls: true, ..single.clone() };
        assert_eq!("rediss+cluster://a:1,b".parse(), Ok(cluster));
        let mode =
            Mode::Sentinel { sentinels: vec![server("a", 26379), server("b", 2)], master: "m".to_owned() };
        let sentinel = Address { mode, db: 5, user: Some("u".into()), password: Some("p".into()), ..single };
        assert_eq!("redis+sentinel://u:p@a,b:2/m/5".parse(), Ok(sentinel));
    }

    #[test]
    fn errors_name_the_url_and_the_remedy_and_never_the_password() {
        for (url, shown, remedy) in [
            ("localhost:6379", "localhost:6379", "redis://"),
            ("u:secret@h", "…@h", "redis://"),
            ("http://u:secret@h", "http://…@h", "redis://"),
            ("redis+ring://:secret@h", "redis+ring://…@h", "redis+cluster://"),
            ("redis://:secret@", "redis://…@", "name a host"),
            ("redis://:secret@a,b", "redis://…@a,b", "name one host"),
            ("redis://:secret@h:port", "redis://…@h:port", "1 to 65535"),
            ("redis://:secret@h:0", "redis://…@h:0", "1 to 65535"),
            ("redis://:secret@h/first", "redis://…@h/first", "must be a number"),
            ("redis://:secret@h/-1", "redis://…@h/-1", "must be a number"),
            ("redis://:secret@h?db=1", "redis://…@h?db=1", "remove what follows"),
            ("redis://[::1", "redis://[::1", "close the bracket"),
            ("redis+cluster://:secret@h/1", "redis+cluster://…@h/1", "database 0"),
            ("redis+cluster://a,,b", "redis+cluster://a,,b", "name a host"),
            ("redis+sentinel://:secret@h", "redis+sentinel://…@h", "name the master"),
            ("redis://:secret%ff@h", "redis://…@h", "not UTF-8"),
        ] {
            let error = url.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{shown}`")) && error.contains(remedy), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let address: Address = "redis://u:secret@h".parse().unwrap();
        assert!(!format!("{address:?}").contains("secret"));
    }

    fn encoded(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    proptest! {
        #[test]
        fn credentials_survive_whatever_they_hold(user in ".{1,12}", password in ".{0,12}") {
            let url = format!("redis://{}:{}@h", encoded(&user), encoded(&password));
            let address: Address = url.parse().unwrap();
            prop_assert_eq!((address.user, address.password), (Some(user), Some(password)));
        }

        #[test]
        fn nodes_are_read_as_they_are_shown(hosts in prop::collection::vec(("[a-z0-9.-]{1,9}|::1", 1u16..), 1..5)) {
            let nodes: Vec<Node> = hosts.iter().map(|(host, port)| server(host, *port)).collect();
            let shown: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            let address: Address = format!("redis+cluster://{}", shown.join(",")).parse().unwrap();
            prop_assert_eq!(address.mode, Mode::Cluster(nodes));
        }

        #[test]
        fn no_text_shows_a_secret_or_panics(text in ".{0,20}", mode in "[a-z+:/]{0,12}") {
            for url in [format!("{mode}{text}"), format!("{mode}://u:s3cr3t@{text}")] {
                if let Err(error) = url.parse::<Address>() {
                    prop_assert!(!error.to_string().contains("s3cr3t"));
                }
            }
        }
    }
}
