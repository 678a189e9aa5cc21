//! TLS with RabbitMQ: trusted authorities and the client certificate.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::address::Unusable;

/// A configuration that checks the server's certificate and name. It trusts only the authorities in
/// `ca_file`, or the public ones without that file.
pub(super) fn config(
    ca_file: Option<&Path>,
    client: Option<(&Path, &Path)>,
) -> Result<ClientConfig, Unusable> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            for certificate in certificates("ca_file", path)? {
                roots.add(certificate).map_err(|why| unusable("ca_file", path, &why.to_string()))?;
            }
        }
    }
    // Ring, as for Redis and mail. Named here, so that it does not depend on the linked providers.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| Unusable {
            key: "url",
            value: "an amqps address".to_owned(),
            remedy: format!("TLS cannot be set up here: {why}"),
        })?
        .with_root_certificates(roots);
    let Some((cert, key)) = client else { return Ok(config.with_no_client_auth()) };
    let chain = certificates("client_cert", cert)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|why| {
        let why = readable(&why, "-----BEGIN PRIVATE KEY-----");
        unusable("client_key", key, &why)
    })?;
    config.with_client_auth_cert(chain, secret).map_err(|why| {
        let why = format!("it does not go with the certificate of `amqp.client_cert`: {why}");
        unusable("client_key", key, &why)
    })
}

/// Puts TLS around a connected socket, or fails: nothing is sent in plain text.
pub(super) async fn handshake(
    config: &Arc<ClientConfig>,
    host: &str,
    port: u16,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        let why = format!("`{host}` cannot stand in a certificate: name the host as its certificate does");
        io::Error::new(io::ErrorKind::InvalidInput, why)
    })?;
    let connected = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
    connected.map_err(|error| explained(&error, host, port))
}

/// Adds the remedy to the error if RabbitMQ refused the client certificate or missed one. RabbitMQ
/// says so only after the handshake of TLS 1.3, and a reset by the kernel can lose that message.
pub(super) fn refused(error: lapin::Error) -> lapin::Error {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let lapin::ErrorKind::IOError(cause) = error.kind() else { return error };
    let alert = cause.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let is_closed = matches!(cause.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof);
    if !is_closed && !matches!(alert, Some(rustls::Error::AlertReceived(_))) {
        return error;
    }
    io::Error::new(cause.kind(), format!("{cause}: {ALERT}")).into()
}

/// The meaning of an alert from the server.
const ALERT: &str = "RabbitMQ refused or closed the connection: where it asks for a certificate, name one that it trusts by \
                     `amqp.client_cert` and `amqp.client_key`";

/// The error of a handshake with the remedy.
fn explained(error: &io::Error, host: &str, port: u16) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let remedy = match cause {
        // A listener without TLS answers a ClientHello like this.
        Some(rustls::Error::InvalidMessage(_)) => {
            "it does not speak TLS on this port: name the port of its TLS listener (usually 5671), \
             or start `amqp.url` with amqp:// if the connection need not be encrypted"
        }
        Some(rustls::Error::InvalidCertificate(_)) => {
            "name the file of the authority that signed it as `amqp.ca_file`, and the server by a name \
             that the certificate holds"
        }
        Some(rustls::Error::AlertReceived(_)) => ALERT,
        _ => "no TLS connection came about; nothing was sent in plain text",
    };
    io::Error::new(error.kind(), format!("TLS with {host}:{port}: {error}: {remedy}"))
}

/// The certificates of a file, at least one.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let refused = |why: rustls::pki_types::pem::Error| {
        let why = readable(&why, "-----BEGIN CERTIFICATE-----");
        unusable(key, path, &why)
    };
    let found = CertificateDer::pem_file_iter(path).map_err(refused)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(refused)?;
    if found.is_empty() {
        return Err(refused(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn readable(why: &rustls::pki_types::pem::Error, wanted: &str) -> String {
    match why {
        rustls::pki_types::pem::Error::Io(why) => {
            format!("the file cannot be read: {why}; name one that this process may read")
        }
        why => format!("name a file in PEM form, with a line `{wanted}` ({why})"),
    }
}

fn unusable(key: &'static str, path: &Path, remedy: &str) -> Unusable {
    Unusable { key, value: format!("`{}`", path.display()), remedy: remedy.to_owned() }
}
