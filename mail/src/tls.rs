//! TLS with the mail server: trusted authorities.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::Error;

/// A configuration that checks the server's certificate and name. It trusts the authorities in
/// `ca_file` and the public ones.
///
/// # Errors
/// When the file holds no certificate.
pub(super) fn config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        let unusable = |why: &dyn std::fmt::Display| Error::CaFile {
            path: path.display().to_string(),
            why: why.to_string(),
        };
        let mut added = 0;
        for certificate in CertificateDer::pem_file_iter(path).map_err(|why| unusable(&why))? {
            roots.add(certificate.map_err(|why| unusable(&why))?).map_err(|why| unusable(&why))?;
            added += 1;
        }
        if added == 0 {
            return Err(unusable(&"it holds no certificate"));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Puts TLS around a connected socket, or fails: nothing is sent in plain text.
///
/// # Errors
/// Why there is no TLS connection, with the remedy.
pub(super) async fn handshake(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        let why = format!("`{host}` cannot stand in a certificate: name the host as its certificate does");
        io::Error::new(io::ErrorKind::InvalidInput, why)
    })?;
    let connected = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
    connected.map_err(|error| explained(&error))
}

fn explained(error: &io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let remedy = match cause {
        Some(rustls::Error::InvalidMessage(_)) => {
            "it does not speak TLS here, and nothing was sent in plain text: `smtp.url` is smtps:// for a port \
             with TLS (usually 465), and smtp+starttls:// for one that begins without (usually 587)"
        }
        Some(rustls::Error::InvalidCertificate(_)) => {
            "name the file of the authority that signed it as `smtp.ca_file`, and the server by a name that the \
             certificate holds"
        }
        _ => "no TLS connection came about, and nothing was sent in plain text",
    };
    io::Error::new(error.kind(), format!("{error}: {remedy}"))
}
