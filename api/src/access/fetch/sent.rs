//! The HTTP client that asks the identity provider. It bounds time and bytes, follows no redirect, and
//! trusts the public authorities and `api.oidc.ca_file`.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, Method, header, redirect::Policy};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use upshot_access::oidc::{Answer, Ask, FetchError, Http};
use upshot_runtime::settings::OidcSettings;

use super::Error;

/// How long the provider may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer at most.
const MOST: usize = 1 << 20;

/// The client for these settings.
///
/// # Errors
/// When the file of authorities cannot be used.
pub fn http(settings: &OidcSettings) -> Result<Http, Error> {
    let client = Client::builder()
        .tls_backend_preconfigured(tls(settings)?)
        .redirect(Policy::none())
        .timeout(PATIENCE)
        .build()
        .map_err(|why| Error::Tls(whole(&why)))?;
    Ok(Http::new(move |ask| Box::pin(fetch(client.clone(), ask))))
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

async fn fetch(client: Client, ask: Ask) -> Result<Answer, FetchError> {
    let Ask { url, form, authorization } = ask;
    let method = if form.is_some() { Method::POST } else { Method::GET };
    let mut request = client.request(method, &url).header(header::ACCEPT, "application/json");
    if let Some(form) = form {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
    }
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let failed = |why: reqwest::Error| FetchError(whole(&why.without_url()));
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        if body.len() + part.len() > MOST {
            return Err(FetchError(format!("{url} answers more than {MOST} bytes")));
        }
        body.extend_from_slice(&part);
    }
    Ok(Answer { status, body })
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
