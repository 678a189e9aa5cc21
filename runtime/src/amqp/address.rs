//! The address of RabbitMQ: hosts, login and certificates.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use url::Url;

use super::tls;
use crate::{secret::SecretUrl, settings::AmqpSettings};

/// The valid forms of the URL, for error messages.
const FORMS: &str = "write amqp://user:password@host:5672/vhost, or amqps://user:password@host:5671/vhost for TLS, \
     several hosts of a cluster with commas between them; percent-encode special characters of user, password and vhost";
/// The parameters of the URL.
const QUERY: [&str; 5] = ["heartbeat", "frame_max", "channel_max", "connection_timeout", "auth_mechanism"];
/// RabbitMQ's own frame size. The headers of a message are one frame of its producer's size, so a
/// client with smaller frames could not read them.
const LEAST_FRAME: u32 = 128 << 10;
/// The heartbeat, in seconds, unless the URL says so. After twice this silence the client leaves a
/// node for another one.
const HEARTBEAT: u16 = 5;
/// How many hosts a URL may name.
const MOST_HOSTS: usize = 32;

/// The address of RabbitMQ: the section `[amqp]` of the settings. Cheap to clone; clones share
/// which host comes first.
#[derive(Clone)]
pub struct Address(Arc<Parts>);

struct Parts {
    url: SecretUrl,
    ca_file: Option<PathBuf>,
    client_cert: Option<PathBuf>,
    client_key: Option<PathBuf>,
    /// The position of the host that the next connection tries first.
    first: AtomicUsize,
}

/// A key of `[amqp]` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`amqp.{key}` is {value}: {remedy}")]
pub struct Unusable {
    /// Which.
    pub key: &'static str,
    /// Its value, without a password.
    pub value: String,
    /// What to write instead.
    pub remedy: String,
}

/// What a connection needs.
pub(super) struct Target {
    /// With the first host. The other hosts differ only in name and port.
    pub(super) uri: AMQPUri,
    /// At least one.
    pub(super) hosts: Vec<Host>,
    /// `None` for a plain connection, which only the scheme `amqp` asks for.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// A host that the URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name or address.
    pub name: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

impl From<&AmqpSettings> for Address {
    fn from(settings: &AmqpSettings) -> Self {
        let AmqpSettings { url, ca_file, client_cert, client_key } = settings.clone();
        Self(Arc::new(Parts { url, ca_file, client_cert, client_key, first: AtomicUsize::new(0) }))
    }
}

impl From<&Self> for Address {
    fn from(address: &Self) -> Self {
        address.clone()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.0.url).finish()
    }
}

impl fmt::Display for Address {
    /// The URL without its login.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.url, f)
    }
}

impl Address {
    /// The address of a URL alone, without files. An `amqps` server then needs a certificate of a
    /// public authority.
    pub fn of_url(url: impl Into<String>) -> Self {
        Self::from(&AmqpSettings {
            url: SecretUrl::from(Into::<String>::into(url)),
            ..AmqpSettings::default()
        })
    }

    /// Checks that the URL is valid and the keys fit together. It reads no file and skips an empty
    /// URL.
    ///
    /// # Errors
    /// What is wrong, and the remedy.
    pub fn check(&self) -> Result<(), Unusable> {
        self.check_with(&self.0.url)
    }

    fn check_with(&self, url: &SecretUrl) -> Result<(), Unusable> {
        let Parts { ca_file, client_cert, client_key, .. } = &*self.0;
        let alone = |key, other| Unusable {
            key,
            value: "set alone".to_owned(),
            remedy: format!("set `amqp.{other}` as well, or remove it"),
        };
        match (client_cert, client_key) {
            (Some(_), None) => return Err(alone("client_cert", "client_key")),
            (None, Some(_)) => return Err(alone("client_key", "client_cert")),
            _ => {}
        }
        if url.is_empty() {
            return Ok(());
        }
        let is_plain = uri(url)?.0.scheme == AMQPScheme::AMQP;
        let files = [("ca_file", ca_file), ("client_cert", client_cert)];
        let file = files.into_iter().find_map(|(key, file)| Some((key, file.as_ref()?)));
        if let (Some((key, file)), true) = (file, is_plain) {
            return Err(Unusable {
                key,
                value: format!("`{}`, but `amqp.url` asks for no TLS", file.display()),
                remedy: "start the URL with amqps, or remove this key".to_owned(),
            });
        }
        Ok(())
    }

    /// The same, and checks that the certificates can be read.
    ///
    /// # Errors
    /// What is wrong, and the remedy.
    pub fn check_files(&self) -> Result<(), Unusable> {
        if self.0.url.is_empty() { self.check() } else { self.target().map(drop) }
    }

    /// The hosts of a valid URL.
    pub fn hosts(&self) -> Vec<Host> {
        uri(&self.0.url).map(|(_, hosts)| hosts).unwrap_or_default()
    }

    /// The position of the host to try first.
    pub(super) fn first_host(&self) -> usize {
        self.0.first.load(Ordering::Relaxed)
    }

    /// Notes the host in use. The next connection tries the host after it first.
    pub(super) fn used_host(&self, place: usize) {
        self.0.first.store(place.wrapping_add(1), Ordering::Relaxed);
    }

    /// Whether a connection is encrypted.
    pub fn is_tls(&self) -> bool {
        uri(&self.0.url).is_ok_and(|(uri, _)| uri.scheme == AMQPScheme::AMQPS)
    }

    /// What a connection needs. Reads the file of the URL and the certificates again, so that the
    /// next connection uses replaced ones.
    pub(super) fn target(&self) -> Result<Target, Unusable> {
        let url = self.0.url.current().map_err(|error| Unusable {
            key: "url",
            value: format!("`{}`", self.0.url),
            remedy: error.to_string(),
        })?;
        self.check_with(&url)?;
        let (uri, hosts) = uri(&url)?;
        let Parts { ca_file, client_cert, client_key, .. } = &*self.0;
        let tls = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => {
                let client = client_cert.as_deref().zip(client_key.as_deref());
                Some(Arc::new(tls::config(ca_file.as_deref(), client)?))
            }
        };
        Ok(Target { uri, hosts, tls })
    }
}

fn uri(url: &SecretUrl) -> Result<(AMQPUri, Vec<Host>), Unusable> {
    parse_all(url.expose()).map_err(|remedy| Unusable { key: "url", value: format!("`{url}`"), remedy })
}

/// The URL for the client library and its hosts, or a remedy.
fn parse_all(text: &str) -> Result<(AMQPUri, Vec<Host>), String> {
    let Some((scheme, rest)) = text.split_once("://") else { return Err(FORMS.to_owned()) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let (login, hosts) = authority
        .rsplit_once('@')
        .map_or(("", authority), |(_, hosts)| authority.split_at(authority.len() - hosts.len()));
    let of_host = |host: &str| parse(&format!("{scheme}://{login}{host}{behind}"));
    let uris = hosts.split(',').take(MOST_HOSTS + 1).map(of_host).collect::<Result<Vec<_>, _>>()?;
    if uris.len() > MOST_HOSTS {
        return Err(format!("it names more than {MOST_HOSTS} hosts: a few nodes of a cluster are enough"));
    }
    let host = |uri: &AMQPUri| Host { name: uri.authority.host.clone(), port: uri.authority.port };
    let hosts = uris.iter().map(host).collect();
    // A split yields one part at least.
    let first = uris.into_iter().next().ok_or_else(|| FORMS.to_owned())?;
    Ok((first, hosts))
}

/// The URL of one host for the client library, or a remedy. The library's own parser takes a
/// missing host, and an IPv6 address, as `localhost`, and ignores unknown parameters.
fn parse(text: &str) -> Result<AMQPUri, String> {
    let scheme = match text.split_once("://") {
        Some(("amqp", _)) => AMQPScheme::AMQP,
        Some(("amqps", _)) => AMQPScheme::AMQPS,
        _ => return Err(FORMS.to_owned()),
    };
    let url = Url::parse(text).map_err(|why| format!("{why}; {FORMS}"))?;
    let host = match url.host() {
        Some(url::Host::Ipv6(address)) => address.to_string(),
        Some(host) => decoded(&host.to_string(), "the host")?,
        None => String::new(),
    };
    if host.is_empty() {
        return Err(format!("it names no host; {FORMS}"));
    }
    if url.port() == Some(0) {
        return Err(format!("port 0 is not a port; {FORMS}"));
    }
    if url.fragment().is_some() {
        return Err("remove what follows `#`; where user, password or vhost have one, write %23".to_owned());
    }
    let vhost = match url.path() {
        "" => "/".to_owned(),
        "/" => {
            let remedy =
                "the vhost behind the host is empty: remove the last `/` for the default vhost, or name one";
            return Err(remedy.to_owned());
        }
        path => decoded(path.trim_start_matches('/'), "the vhost")?,
    };
    let guest = || "guest".to_owned();
    let username = match url.username() {
        "" => guest(),
        user => decoded(user, "the user")?,
    };
    let password =
        url.password().map_or_else(|| Ok(guest()), |password| decoded(password, "the password"))?;
    let port = url.port().unwrap_or_else(|| scheme.default_port());
    let authority = AMQPAuthority { userinfo: AMQPUserInfo { username, password }, host, port };
    Ok(AMQPUri { scheme, authority, vhost, query: query(&url)? })
}

fn query(url: &Url) -> Result<AMQPQueryString, String> {
    let mut query = AMQPQueryString { heartbeat: Some(HEARTBEAT), ..AMQPQueryString::default() };
    for (name, value) in url.query_pairs() {
        let number = |most: u64| match value.parse::<u64>() {
            Ok(number) if number <= most => Ok(number),
            _ => Err(format!("`{name}={value}`: write a whole number from 0 to {most}")),
        };
        match name.as_ref() {
            "heartbeat" => query.heartbeat = Some(number(u16::MAX.into())? as u16),
            "channel_max" => query.channel_max = Some(number(u16::MAX.into())? as u16),
            "frame_max" => match number(u32::MAX.into())? as u32 {
                0 => query.frame_max = Some(0),
                bytes if bytes >= LEAST_FRAME => query.frame_max = Some(bytes),
                _ => {
                    return Err(format!(
                        "`{name}={value}`: use {LEAST_FRAME} at least, or leave it out: the headers of a message are one frame"
                    ));
                }
            },
            "connection_timeout" => match number(u32::MAX.into())? {
                0 => return Err(format!("`{name}={value}`: write milliseconds above 0")),
                ms => query.connection_timeout = Some(ms),
            },
            "auth_mechanism" => {
                let remedy = |_| format!("`{name}={value}`: write plain, amqplain or external");
                query.auth_mechanism = Some(value.parse().map_err(remedy)?);
            }
            _ => {
                let known = QUERY.join(", ");
                return Err(format!(
                    "remove `{name}=…`: a URL may say {known}; certificates are named by `amqp.ca_file`, \
                     `amqp.client_cert` and `amqp.client_key`"
                ));
            }
        }
    }
    Ok(query)
}

fn decoded(text: &str, what: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into)
        .map_err(|_| format!("{what} is not UTF-8 after percent-decoding: encode it as UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_url_is_read() {
        let uri = parse("amqps://me%40x:p%2Fw@mq.example:5999/a%2Fb?heartbeat=10&frame_max=131072").unwrap();
        assert_eq!(uri.scheme, AMQPScheme::AMQPS);
        let AMQPAuthority { userinfo, host, port } = uri.authority;
        assert_eq!((userinfo.username.as_str(), userinfo.password.as_str()), ("me@x", "p/w"));
        assert_eq!((host.as_str(), port, uri.vhost.as_str()), ("mq.example", 5999, "a/b"));
        assert_eq!((uri.query.heartbeat, uri.query.frame_max), (Some(10), Some(131_072)));
        let short = parse("amqps://h").unwrap();
        assert_eq!((short.authority.port, short.vhost.as_str()), (5671, "/"));
        assert_eq!(
            (short.authority.userinfo.username.as_str(), short.query.heartbeat),
            ("guest", Some(HEARTBEAT))
        );
        // The client library would connect to localhost.
        assert_eq!(parse("amqp://[2001:db8::1]:7/v").unwrap().authority.host, "2001:db8::1");
    }

    #[test]
    fn a_url_may_name_several_hosts() {
        let address = Address::of_url("amqps://me:p,w@a:1,b,[::1]:3/v?heartbeat=9");
        let (uri, _) = uri(&address.0.url).unwrap();
        assert_eq!((uri.authority.userinfo.password.as_str(), uri.vhost.as_str()), ("p,w", "v"));
        assert_eq!(uri.query.heartbeat, Some(9));
        let hosts: Vec<String> = address.hosts().iter().map(Host::to_string).collect();
        assert_eq!(hosts, ["a:1", "b:5671", "::1:3"]);
        // A connection that was lost is followed by one to the next host.
        assert_eq!(address.first_host(), 0);
        address.used_host(1);
        assert_eq!(address.first_host(), 2);
    }

    #[test]
    fn an_impossible_url_is_refused_with_the_remedy_and_without_the_password() {
        for (url, words) in [
            ("http://u:s3cr3t@h/v", ["`http://…@h/v`", "amqps://"]),
            ("mq.example:5672", ["mq.example", "amqp://"]),
            ("amqp:///v", ["no host", "amqp://"]),
            ("amqp://u:s3cr3t@a,,b/v", ["empty host", "amqp://"]),
            ("amqp://u:s3cr3t@a:5672,b:0/v", ["port 0", "amqp://"]),
            ("amqp://u:s3cr3t@h:99999/v", ["invalid port", "amqp://"]),
            ("amqp://u:s3cr3t@h:0/v", ["port 0", "amqp://"]),
            ("amqp://u:s3/cr3t@h/v", ["…@h/v", "percent-encode"]),
            ("amqp://u:s3cr3t@h/", ["vhost", "last `/`"]),
            ("amqp://u:s3cr3t@h/%FF", ["the vhost", "UTF-8"]),
            ("amqp://u:s3cr3t@h/v#x", ["#", "%23"]),
            ("amqps://u:s3cr3t@h/v?verify=verify_none", ["verify", "amqp.ca_file"]),
            ("amqp://u:s3cr3t@h/v?heartbeat=often", ["heartbeat=often", "whole number"]),
            ("amqp://u:s3cr3t@h/v?frame_max=64", ["frame_max=64", "131072"]),
            ("amqp://u:s3cr3t@h/v?auth_mechanism=magic", ["magic", "external"]),
        ] {
            let said = Address::of_url(url).check().unwrap_err().to_string();
            assert!(said.starts_with("`amqp.url` is `"), "{said}");
            assert!(words.iter().all(|word| said.contains(word)), "{url}: {said}");
            assert!(!said.contains("s3cr3t") && !said.contains("s3/cr3t"), "{said}");
        }
    }

    #[test]
    fn certificates_go_with_tls_only() {
        let settings = |url: &str, ca: bool, cert: bool, key: bool| AmqpSettings {
            url: url.into(),
            ca_file: ca.then(|| "ca.pem".into()),
            client_cert: cert.then(|| "cert.pem".into()),
            client_key: key.then(|| "key.pem".into()),
        };
        for (settings, words) in [
            (settings("amqp://h", true, false, false), ["`amqp.ca_file`", "`ca.pem`", "amqps"]),
            (settings("amqp://h", false, true, true), ["`amqp.client_cert`", "`cert.pem`", "amqps"]),
            (settings("amqps://h", false, true, false), ["`amqp.client_cert`", "alone", "amqp.client_key"]),
            (settings("", false, false, true), ["`amqp.client_key`", "alone", "amqp.client_cert"]),
        ] {
            let said = Address::from(&settings).check().unwrap_err().to_string();
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
        let missing = Address::from(&settings("amqps://h", true, false, false));
        missing.check().unwrap();
        let said = missing.check_files().unwrap_err().to_string();
        assert!(said.contains("`amqp.ca_file` is `ca.pem`") && said.contains("cannot be read"), "{said}");
    }

    #[test]
    fn the_file_of_the_url_is_read_for_each_connection() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "amqp://u:one@h/v").unwrap();
        let settings =
            AmqpSettings { url: SecretUrl::from_file(file.path()).unwrap(), ..AmqpSettings::default() };
        let address = Address::from(&settings);
        let password = || address.target().map(|target| target.uri.authority.userinfo.password);
        assert_eq!(password().unwrap(), "one");
        std::fs::write(file.path(), "amqp://u:two@h/v").unwrap();
        assert_eq!(password().unwrap(), "two");
        std::fs::write(file.path(), "two").unwrap();
        assert!(password().unwrap_err().to_string().contains("`amqp.url` is `…`"));
        std::fs::remove_file(file.path()).unwrap();
        let said = password().unwrap_err().to_string();
        assert!(said.contains("`amqp.url`") && said.contains("cannot be read"), "{said}");
    }

    #[test]
    fn a_password_is_not_shown() {
        let address = Address::of_url("amqp://me:s3cr3t@h:5672/v");
        assert_eq!(address.to_string(), "amqp://…@h:5672/v");
        assert!(!format!("{address:?}").contains("s3cr3t"));
    }
}
