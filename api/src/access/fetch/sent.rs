//! The HTTP client that asks the identity provider. It bounds time and bytes, follows no redirect, and
//! trusts the public authorities and `api.oidc.ca_file`.

use std::{sync::Arc, time::Duration};

use axum::http;
use reqwest::{Client, redirect::Policy};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use upshot_access::oidc::{Asked, Config, FetchError, Http, Provider, Said};
use upshot_runtime::settings::OidcSettings;

use super::Error;

/// How long the provider may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer at most.
const MOST: usize = 1 << 20;

/// The provider of these settings.
///
/// # Errors
/// When the file of authorities cannot be used.
pub fn provider(settings: &OidcSettings, config: Config) -> Result<Provider, Error> {
    Ok(Provider::new(config, client(settings)?))
}

fn client(settings: &OidcSettings) -> Result<Http, Error> {
    let client = Client::builder()
        .tls_backend_preconfigured(tls(settings)?)
        .redirect(Policy::none())
        .timeout(PATIENCE)
        .build()
        .map_err(|why| Error::Tls(whole(&why)))?;
    Ok(Http::new(move |asked| Box::pin(fetch(client.clone(), asked))))
}

fn tls(settings: &OidcSettings) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = &settings.ca_file {
        let wrong = |why: String| Error::Authority { path: path.display().to_string(), why };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|why| wrong(why.to_string()))?;
        let mut some = false;
        for certificate in certificates {
            let certificate = certificate.map_err(|why| wrong(why.to_string()))?;
            roots.add(certificate).map_err(|why| wrong(why.to_string()))?;
            some = true;
        }
        if !some {
            return Err(wrong("it has no certificate".to_owned()));
        }
    }
    // Ring, as for Redis and RabbitMQ.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| Error::Tls(why.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn fetch(client: Client, asked: Asked) -> Result<Said, FetchError> {
    let (parts, body) = asked.into_parts();
    let url = parts.uri.to_string();
    let request = client.request(parts.method, &url).headers(parts.headers).body(body);
    let failed = |why: reqwest::Error| FetchError(whole(&why.without_url()));
    let mut response = request.send().await.map_err(failed)?;
    let mut said = http::Response::builder().status(response.status());
    if let Some(headers) = said.headers_mut() {
        headers.clone_from(response.headers());
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        if body.len() + part.len() > MOST {
            return Err(FetchError(format!("{url} answers more than {MOST} bytes")));
        }
        body.extend_from_slice(&part);
    }
    said.body(body).map_err(|why| FetchError(why.to_string()))
}

/// An error with its sources.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
