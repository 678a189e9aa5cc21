//! Sends notices to a webhook, signed as Standard Webhooks say.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>: the
//! signature is HMAC-SHA256 of `id.timestamp.body`, the id stays the same in each attempt, a redirect
//! is a failure, and 410 ends it.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use data_encoding::{BASE64, HEXLOWER};
use reqwest::{
    Client, StatusCode,
    header::{self, HeaderMap},
    redirect::Policy,
};
use ring::hmac;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use sha2::{Digest, Sha256};
use upshot_ledger::alarms::{Notice, Told};
use upshot_runtime::{secret::Secret, settings::AlarmSettings};

/// How long the receiver may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends notices.
pub struct Sender {
    client: Client,
    settings: AlarmSettings,
}

/// Why the settings of the webhook cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The file of authorities cannot be used.
    #[error("`alarms.ca_file` is {path} ({why}): name a file with certificates (PEM)")]
    Authority {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("`alarms.webhook` cannot be used, because TLS cannot be set up: {0}")]
    Tls(String),
}

impl Sender {
    /// A sender for these settings.
    ///
    /// # Errors
    /// When the file of authorities cannot be used.
    pub fn new(settings: &AlarmSettings) -> Result<Self, Unusable> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls(settings)?)
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .user_agent(concat!("upshot/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|why| Unusable::Tls(why.to_string()))?;
        Ok(Self { client, settings: settings.clone() })
    }

    /// A digest of the receiver's address. It does not tell the address, which may hold a login.
    pub fn receiver(&self) -> String {
        let url = self.settings.webhook.current();
        let url = url.as_ref().unwrap_or(&self.settings.webhook);
        HEXLOWER.encode(Sha256::digest(url.expose()).get(..8).unwrap_or_default())
    }

    /// Sends a notice once. Address and secret are read again where a file holds them.
    pub async fn send(&self, notice: &Notice) -> Told {
        let away = |why: String| Told::Away { why, wait: None };
        let url = match self.settings.webhook.current() {
            Ok(url) => url,
            Err(error) => return away(format!("alarms.webhook: {error}")),
        };
        let key = match self.settings.secret.as_ref().map(Secret::current).transpose() {
            Ok(secret) => secret.as_ref().and_then(AlarmSettings::key),
            Err(error) => return away(format!("alarms.secret: {error}")),
        };
        let Some(key) = key else {
            return away("alarms.secret: not a secret of Standard Webhooks".to_owned());
        };
        let now = Utc::now();
        let timestamp = now.timestamp().to_string();
        let sent = self
            .client
            .post(url.expose())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &notice.id)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-signature", signature(&key, &notice.id, &timestamp, &notice.body))
            .body(notice.body.clone())
            .send()
            .await;
        match sent {
            Ok(answer) => told(answer.status(), answer.headers(), now),
            Err(error) => away(whole(&error.without_url())),
        }
    }
}

/// What an answer means.
fn told(status: StatusCode, headers: &HeaderMap, now: DateTime<Utc>) -> Told {
    let code = status.as_u16();
    match code {
        200..300 => Told::Taken,
        410 => Told::Gone,
        // About this message alone.
        400 | 409 | 413 | 415 | 422 => Told::Refused { why: format!("it answers {code}") },
        300..400 => {
            let why = format!("it answers {code}, and redirects are not followed: write the final address");
            Told::Away { why, wait: None }
        }
        _ => Told::Away { why: format!("it answers {code}"), wait: retry_after(headers, now) },
    }
}

/// How long an answer asks to wait (ms): in seconds, or up to a time (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<i64> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(i64::from(seconds) * 1_000);
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    Some(until.signed_duration_since(now).num_milliseconds().max(0))
}

fn signature(key: &[u8], id: &str, timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(tag.as_ref()))
}

fn tls(settings: &AlarmSettings) -> Result<ClientConfig, Unusable> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = &settings.ca_file {
        let wrong = |why: String| Unusable::Authority { path: path.display().to_string(), why };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|why| wrong(why.to_string()))?;
        let before = roots.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|why| wrong(why.to_string()))?;
            roots.add(certificate).map_err(|why| wrong(why.to_string()))?;
        }
        if roots.len() == before {
            return Err(wrong("it has no certificate".to_owned()));
        }
    }
    // Ring, as for Redis and RabbitMQ.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| Unusable::Tls(why.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of the reference libraries.
        let key = BASE64.decode(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn answers_say_whether_others_may_be_told() {
        let now = DateTime::from_timestamp(1_773_480_413, 0).unwrap();
        let answer = |code: u16, after: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(after) = after {
                headers.insert(header::RETRY_AFTER, after.parse().unwrap());
            }
            told(StatusCode::from_u16(code).unwrap(), &headers, now)
        };
        let wait = |told: Told| if let Told::Away { wait, .. } = told { wait } else { Some(-1) };
        assert_eq!((answer(204, None), answer(410, None)), (Told::Taken, Told::Gone));
        assert!(matches!(answer(422, None), Told::Refused { .. }));
        for code in [302, 401, 404, 429, 500, 503] {
            assert_eq!(wait(answer(code, None)), None, "{code}");
        }
        assert_eq!(wait(answer(429, Some("120"))), Some(120_000));
        assert_eq!(wait(answer(503, Some("Sat, 14 Mar 2026 09:27:53 GMT"))), Some(60_000));
        assert_eq!(wait(answer(503, Some("Sat, 14 Mar 2020 09:27:53 GMT"))), Some(0));
        assert_eq!(wait(answer(503, Some("soon"))), None);
    }
}
