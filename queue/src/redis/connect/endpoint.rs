//! How a connection to any one server is opened: transport, certificates, login.

use std::{fs, path::Path, time::Duration};

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, io::tcp::TcpSettings,
};
use rustls::crypto::CryptoProvider;
use socket2::TcpKeepalive;

use super::{
    address::{Address, Node},
    options::RedisOptions,
};

/// The options that all servers of one address share.
#[derive(Clone)]
pub(super) struct Endpoint {
    tcp: TcpSettings,
    login: RedisConnectionInfo,
    tls: Option<TlsCertificates>,
}

impl Endpoint {
    /// Reads the certificates, if any.
    pub(super) fn new(address: &Address, options: &RedisOptions) -> RedisResult<Self> {
        // The kernel notices a peer that is gone: by unacknowledged data, and by probes on a
        // connection that only listens. Without these options that would take a quarter of an hour.
        let keepalive =
            TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5));
        let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(options.response_timeout);
        let login = login(address.user.as_deref(), address.password.as_deref()).set_db(address.db);
        let tls = certificates(options)?;
        if !address.tls && tls.is_some() {
            let remedy = "`ca_file` and `client_cert` are for TLS: start the URL with rediss, or remove them";
            return Err(unusable(remedy.to_owned()));
        }
        if address.tls {
            choose_provider();
        }
        let tls = address.tls.then(|| tls.unwrap_or(TlsCertificates { client_tls: None, root_cert: None }));
        Ok(Self { tcp, login, tls })
    }

    /// The same with another login.
    pub(super) fn logged_in_as(&self, user: Option<&str>, password: Option<&str>) -> Self {
        Self { login: login(user, password), ..self.clone() }
    }

    /// The certificates, for TLS.
    pub(super) fn certificates(&self) -> Option<&TlsCertificates> {
        self.tls.as_ref()
    }

    /// A client of this server.
    pub(super) fn client(&self, node: &Node) -> RedisResult<Client> {
        match &self.tls {
            None => Client::open(self.info(node)?),
            Some(certificates) => Client::build_with_tls(self.info(node)?, certificates.clone()),
        }
    }

    /// The server's address for the client library.
    pub(super) fn info(&self, node: &Node) -> RedisResult<ConnectionInfo> {
        let Node { host, port } = node.clone();
        let address = match &self.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        };
        let info = address.into_connection_info()?;
        Ok(info.set_tcp_settings(self.tcp.clone()).set_redis_settings(self.login.clone()))
    }

    /// The options of every socket.
    pub(super) fn tcp(&self) -> TcpSettings {
        self.tcp.clone()
    }
}

fn login(user: Option<&str>, password: Option<&str>) -> RedisConnectionInfo {
    let login = RedisConnectionInfo::default();
    let login = user.map_or(login.clone(), |user| login.set_username(user));
    password.map_or(login.clone(), |password| login.set_password(password))
}

/// The files with certificates; `None` if none is named.
fn certificates(options: &RedisOptions) -> RedisResult<Option<TlsCertificates>> {
    let client_tls = match (&options.client_cert, &options.client_key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig {
            client_cert: read(cert, "client_cert")?,
            client_key: read(key, "client_key")?,
        }),
        (None, None) => None,
        _ => return Err(unusable("`client_cert` and `client_key` belong together: set both or none".into())),
    };
    let root_cert = options.ca_file.as_deref().map(|path| read(path, "ca_file")).transpose()?;
    let none = client_tls.is_none() && root_cert.is_none();
    Ok(if none { None } else { Some(TlsCertificates { client_tls, root_cert }) })
}

fn read(path: &Path, key: &str) -> RedisResult<Vec<u8>> {
    let refused = |why: String| unusable(format!("`{key}` is `{}`: {why}", path.display()));
    let pem = fs::read(path).map_err(|error| refused(format!("the file cannot be read: {error}")))?;
    // The client library takes a file without a certificate as an empty list.
    if !pem.windows(11).any(|window| window == b"-----BEGIN ") {
        return Err(refused("name a file in PEM form, with lines `-----BEGIN …-----`".to_owned()));
    }
    Ok(pem)
}

/// The client library uses the process' provider of cryptography, and panics if several are linked
/// and none was chosen. Upshot uses ring, as for AMQP and mail.
fn choose_provider() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have made the same choice first.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// The error for invalid settings.
pub(super) fn unusable(why: String) -> RedisError {
    (ErrorKind::InvalidClientConfig, "Redis cannot be reached with these settings", why).into()
}
