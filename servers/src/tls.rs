//! The files of a server that speaks TLS, and an authority that signs them.

use std::path::PathBuf;

/// The files (PEM) of a server that speaks TLS. It asks clients for a
/// certificate of the same authority and lets in those that have none, unless
/// it is told to demand one.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The authority.
    pub ca: PathBuf,
    /// The server's certificate.
    pub cert: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
}

#[cfg(feature = "certificates")]
mod authority {
    use std::path::{Path, PathBuf};

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, Error, IsCa, KeyPair};

    use super::TlsFiles;

    /// A private authority of a test, with its certificate in a file.
    #[derive(Debug)]
    pub struct Authority {
        issuer: CertifiedIssuer<'static, KeyPair>,
        dir: PathBuf,
        /// Its certificate (PEM).
        pub file: PathBuf,
    }

    impl Authority {
        /// Makes an authority of this name, which keeps its files in `dir`.
        ///
        /// # Errors
        /// When a file cannot be written or a name cannot stand in a certificate.
        pub fn new(dir: &Path, name: &str) -> std::io::Result<Self> {
            let mut params = CertificateParams::new(Vec::new()).map_err(refused)?;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            let key = KeyPair::generate().map_err(refused)?;
            let issuer = CertifiedIssuer::self_signed(params, key).map_err(refused)?;
            let file = dir.join(format!("{name}.pem"));
            std::fs::write(&file, issuer.as_ref().pem())?;
            Ok(Self { issuer, dir: dir.to_owned(), file })
        }

        /// The files of a certificate for these names or addresses, and of its key.
        ///
        /// # Errors
        /// Those of [`Authority::new`].
        pub fn sign(&self, file: &str, names: &[&str]) -> std::io::Result<(PathBuf, PathBuf)> {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let key = KeyPair::generate().map_err(refused)?;
            let params = CertificateParams::new(names).map_err(refused)?;
            let cert = params.signed_by(&key, &self.issuer).map_err(refused)?;
            let paths = (self.dir.join(format!("{file}.pem")), self.dir.join(format!("{file}.key.pem")));
            std::fs::write(&paths.0, cert.pem())?;
            std::fs::write(&paths.1, key.serialize_pem())?;
            Ok(paths)
        }

        /// What a server of these names needs.
        ///
        /// # Errors
        /// Those of [`Authority::new`].
        pub fn server(&self, names: &[&str]) -> std::io::Result<TlsFiles> {
            let (cert, key) = self.sign("server", names)?;
            Ok(TlsFiles { ca: self.file.clone(), cert, key })
        }
    }

    fn refused(error: Error) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(feature = "certificates")]
pub use authority::Authority;
