//! What a private RabbitMQ node is told: its environment and the files it reads.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::RabbitTls;
use crate::folder::Folder;
use crate::users::{self, Passwords};
use crate::{Error, Service, TlsFiles};

/// The user that may do everything.
const USER: &str = "upshot";
/// Data is kept under the node's name, so it never changes. Nodes of different
/// folders can share it, as each asks a port mapper of its own.
const NODE: &str = "upshot@localhost";

/// Quorum queues write into a file of this size before they sort it; RabbitMQ's own default
/// keeps 512 MB on the disk for that.
const WAL_BYTES: u32 = 64 << 20;

/// The ports of a node, all on 127.0.0.1.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ports {
    pub amqp: u16,
    pub distribution: u16,
    pub epmd: u16,
    pub amqps: u16,
}

/// The settings of a node.
#[derive(Debug)]
pub(super) struct Config {
    vhosts: Vec<String>,
    password: String,
    services: Passwords,
    /// Instead of the services' users.
    other: Option<Value>,
    tls: Option<RabbitTls>,
    pub ports: Ports,
}

impl Config {
    /// The settings of the folder's node: its passwords are made up at the first start and kept.
    pub(super) fn new(
        folder: &Folder,
        mut vhosts: Vec<String>,
        tls: Option<RabbitTls>,
        definitions: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).map_err(Error::folder("read", &path))?;
            let parsed = serde_json::from_str::<Value>(&text);
            parsed.map_err(|why| Error::folder("understand", &path)(why.into()))
        };
        let other = definitions.map(read).transpose()?;
        let named = other.iter().flat_map(|other| users::listed(other, "vhosts"));
        vhosts.extend(named.filter_map(|vhost| Some(vhost.get("name")?.as_str()?.to_owned())));
        let password = folder.secret("password", 0o600)?;
        let services = Passwords::new(folder)?;
        Ok(Self { vhosts, password, services, other, tls, ports: Ports::default() })
    }

    /// The address of a vhost by way of `port`, for the user that may do everything.
    pub(super) fn url(&self, port: u16, vhost: &str) -> String {
        url(USER, &self.password, port, vhost)
    }

    /// The same for the user of a service.
    pub(super) fn url_of(&self, service: Service, port: u16, vhost: &str) -> String {
        url(service.user(), self.services.of(service), port, vhost)
    }

    /// Writes the files and returns the environment that makes a node use them and nothing else.
    pub(super) fn write(&self, folder: &Folder) -> Result<Vec<(&'static str, OsString)>, Error> {
        folder.subfolder("home")?;
        // Erlang refuses a cookie that others can read.
        folder.secret("home/.erlang.cookie", 0o400)?;
        let definitions = folder.write("definitions.json", &self.definitions(), 0o600)?;
        let mut settings = format!(
            "load_definitions = {}\ndisk_free_limit.absolute = 50MB\n\
             max_message_size = 16777216\nraft.wal_max_size_bytes = {WAL_BYTES}\n",
            definitions.display()
        );
        settings.extend(self.tls.iter().map(|tls| self.tls_settings(tls)));
        folder.write("rabbitmq.conf", &settings, 0o600)?;
        folder.write("rabbitmq-env.conf", "", 0o600)?;
        folder.write("enabled_plugins", "[].\n", 0o600)?;
        // The node's name must resolve even on a machine without /etc/hosts.
        let hosts = "{host, {127,0,0,1}, [\"localhost\"]}.\n{lookup, [file, native]}.\n";
        folder.write("inetrc", hosts, 0o600)?;
        self.environment(folder)
    }

    /// The environment of the node and of the programs that control it.
    pub(super) fn environment(&self, folder: &Folder) -> Result<Vec<(&'static str, OsString)>, Error> {
        let (home, hosts) = (folder.subfolder("home")?, folder.join("inetrc"));
        let (plugins, nothing) = (folder.join("enabled_plugins"), folder.join("rabbitmq-env.conf"));
        let Ports { amqp, distribution, epmd, .. } = self.ports;
        Ok(vec![
            ("HOME", home.into()),
            ("ERL_EPMD_PORT", epmd.to_string().into()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            // Without this, Erlang starts a port mapper that outlives everyone
            // whenever it does not find one.
            ("ERL_AFLAGS", "-start_epmd false".into()),
            ("ERL_INETRC", hosts.into()),
            // The log says why a node failed to start; a dump of its memory only costs time.
            ("ERL_CRASH_DUMP_BYTES", "0".into()),
            ("RABBITMQ_NODENAME", NODE.into()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODE_PORT", amqp.to_string().into()),
            ("RABBITMQ_DIST_PORT", distribution.to_string().into()),
            ("RABBITMQ_MNESIA_BASE", folder.subfolder("data")?.into()),
            ("RABBITMQ_LOG_BASE", folder.subfolder("log")?.into()),
            // The same file to which the watchdog appends what comes before logging.
            ("RABBITMQ_LOGS", folder.join("rabbitmq.log").into()),
            ("RABBITMQ_PID_FILE", folder.join("node.pid").into()),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", plugins.into()),
            ("RABBITMQ_CONF_ENV_FILE", nothing.into()),
            ("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq").into()),
            // The system's own drop-in files are not for us.
            ("RABBITMQ_CONFIG_FILES", folder.subfolder("conf.d")?.into()),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", folder.join("advanced.config").into()),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}".into()),
            // The start script then becomes the node instead of waiting for it
            // as a child: signals and SIGKILL reach the node itself.
            ("detached", "true".into()),
        ])
    }

    fn tls_settings(&self, tls: &RabbitTls) -> String {
        let RabbitTls { files: TlsFiles { ca, cert, key }, demands_certificate } = tls;
        format!(
            "listeners.ssl.1 = 127.0.0.1:{}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\nssl_options.verify = verify_peer\n\
             ssl_options.fail_if_no_peer_cert = {demands_certificate}\n",
            self.ports.amqps,
            ca.display(),
            cert.display(),
            key.display()
        )
    }

    /// Users, vhosts and permissions, loaded by the node at every start.
    fn definitions(&self) -> String {
        let vhosts: Vec<_> = self.vhosts.iter().map(|name| json!({ "name": name })).collect();
        let everything =
            |vhost| json!({ "user": USER, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*" });
        let (mut users, mut permissions) = match &self.other {
            Some(other) => (users::listed(other, "users"), users::listed(other, "permissions")),
            None => users::of_rabbitmq(&self.vhosts, &self.services),
        };
        permissions.extend(self.vhosts.iter().map(everything));
        users.push(json!({ "name": USER, "password": self.password, "tags": "administrator" }));
        json!({ "users": users, "vhosts": vhosts, "permissions": permissions }).to_string()
    }
}

fn url(user: &str, password: &str, port: u16, vhost: &str) -> String {
    format!("amqp://{user}:{password}@127.0.0.1:{port}/{}", percent_encode(vhost))
}

/// Percent-encodes what RFC 3986 does not allow in a path segment as it is.
fn percent_encode(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vhost_is_percent_encoded() {
        assert_eq!(percent_encode("/"), "%2F");
        assert_eq!(percent_encode("upshot.t-1_x~"), "upshot.t-1_x~");
        assert_eq!(percent_encode("é?"), "%C3%A9%3F");
    }

    #[tokio::test]
    async fn the_password_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), false).await.unwrap();
        let first = Config::new(&folder, vec![], None, None).unwrap().url(1, "v");
        let second = Config::new(&folder, vec![], None, None).unwrap().url(1, "v");
        assert_eq!(first, second);
        assert!(first.starts_with("amqp://upshot:") && first.ends_with("@127.0.0.1:1/v"), "{first}");
    }
}
