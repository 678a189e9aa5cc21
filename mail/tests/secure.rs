//! Mail and files: a secure scheme never falls back to plain text.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use upshot_executor::{
    Stop,
    mail::{Mail, Mailer, Recipient},
};
use upshot_servers::{MailServer, Wiretap};
use upshot_runtime::settings::{SmtpSettings, SmtpTimeouts, object_options};

const HELLO: &[u8] = b"220 mail.example ESMTP\r\n";
const SECRETS: [&[u8]; 4] = [b"s3cr3t", b"czNjcjN0", b"AUTH", b"MAIL FROM"];

async fn send(url: &str) -> Stop {
    let timeouts = SmtpTimeouts::all(Duration::from_secs(3));
    let settings = SmtpSettings { url: url.into(), timeouts, ..SmtpSettings::default() };
    let to = Recipient::new("Ada", "ada@example.org").unwrap();
    let mail = Mail {
        id: "1",
        to: &to,
        subject: "s3cr3t".to_owned(),
        text: "s3cr3t".to_owned(),
        attachment: ("a.pdf", "application/pdf", b"s3cr3t".to_vec()),
    };
    Mailer::new(&settings).unwrap().send(mail, None).await.unwrap_err()
}

fn assert_nothing_told(heard: &[u8]) {
    let text = String::from_utf8_lossy(heard);
    for secret in SECRETS {
        assert!(!heard.windows(secret.len()).any(|window| window == secret), "in plain text: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn smtps_begins_with_a_handshake_and_sends_nothing_in_plain_text() {
    for closes in [true, false] {
        let tap = Wiretap::start(HELLO, move |_| (!closes).then(|| b"250 AUTH PLAIN\r\n".to_vec()));
        let tap = tap.await.unwrap();
        send(&format!("smtps://me:s3cr3t@localhost:{}", tap.port())).await;
        let heard = tap.heard().await;
        assert_eq!(heard[..2], [0x16, 0x03], "no ClientHello: {heard:?}");
        assert_nothing_told(&heard);
    }
    // A real server that speaks plain text on this port.
    let dir = tempfile::tempdir().unwrap();
    let server = MailServer::start(dir.path()).await.unwrap();
    send(&format!("smtps://me:s3cr3t@localhost:{}", server.port())).await;
    assert!(server.messages().unwrap().is_empty());
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_starttls_is_refused_and_told_nothing() {
    let tap = Wiretap::start(HELLO, |said| {
        Some(if said.starts_with(b"EHLO") {
            b"250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n".to_vec()
        } else {
            b"250 OK\r\n".to_vec()
        })
    });
    let tap = tap.await.unwrap();
    let said = send(&format!("smtp+starttls://me:s3cr3t@localhost:{}", tap.port())).await.to_string();
    assert!(said.contains("offers no STARTTLS") && said.contains("nothing was sent"), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
    assert_nothing_told(&tap.heard().await);
    // A real one.
    let dir = tempfile::tempdir().unwrap();
    let server = MailServer::start(dir.path()).await.unwrap();
    let said = send(&format!("smtp+starttls://me:s3cr3t@localhost:{}", server.port())).await.to_string();
    assert!(said.contains("offers no STARTTLS"), "{said}");
    assert!(server.messages().unwrap().is_empty());
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_before_starttls_succeeds() {
    // It offers TLS and then refuses, or goes on in plain text, or says more than it was asked
    // (so that plain text would be taken for the answer over TLS).
    for answer in [&b"454 not now\r\n"[..], b"220 go ahead\r\n", b"220 go\r\n250-mail\r\n250 AUTH PLAIN\r\n"]
    {
        let tap = Wiretap::start(HELLO, move |said| {
            Some(if said.starts_with(b"EHLO") {
                b"250-mail.example\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n".to_vec()
            } else if said.starts_with(b"STARTTLS") {
                answer.to_vec()
            } else {
                b"250 OK\r\n".to_vec()
            })
        });
        let tap = tap.await.unwrap();
        let said = send(&format!("smtp+starttls://me:s3cr3t@localhost:{}", tap.port())).await.to_string();
        let heard = tap.heard().await;
        assert_nothing_told(&heard);
        let text = String::from_utf8_lossy(&heard).into_owned();
        let (before, after) = text.split_once("STARTTLS\r\n").unwrap_or_else(|| panic!("{said}: {text}"));
        assert!(before.starts_with("EHLO"), "{text}");
        assert!(after.is_empty() || after.starts_with("\u{16}\u{3}") || after.starts_with("QUIT"), "{text}");
    }
}

fn s3(port: u16, scheme: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let endpoint = format!("{scheme}://localhost:{port}");
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "me"),
        ("AWS_SECRET_ACCESS_KEY", "s3cr3t"),
        ("AWS_REGION", "eu-central-1"),
    ];
    let all = variables.iter().chain(more).map(|(name, value)| (name.into(), value.into()));
    object_options(all)
}

/// Asks a store for a file, and says why there is none.
async fn fetch(options: Vec<(String, String)>) -> String {
    use object_store::ObjectStoreExt;
    let url = "s3://bucket/prefix".parse().unwrap();
    let (store, base) = object_store::parse_url_opts(&url, options).unwrap();
    store.get(&base.join("file")).await.map(drop).unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn https_of_the_store_begins_with_a_handshake_even_where_http_is_allowed() {
    for more in [&[][..], &[("AWS_ALLOW_HTTP", "true")]] {
        let tap = Wiretap::start(b"", |_| None).await.unwrap();
        // It tries again and again.
        let heard = tokio::select! {
            heard = tap.heard() => heard,
            said = fetch(s3(tap.port(), "https", more)) => panic!("{said}"),
        };
        assert_eq!(heard[..2], [0x16, 0x03], "no ClientHello: {heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_of_the_store_needs_both_to_be_said() {
    let tap = Wiretap::start(b"", |_| Some(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_vec()));
    let tap = tap.await.unwrap();
    fetch(s3(tap.port(), "http", &[])).await;
    assert!(tap.so_far().is_empty(), "asked in plain text although nobody allowed that");
    fetch(s3(tap.port(), "http", &[("AWS_ALLOW_HTTP", "true")])).await;
    assert!(tap.heard().await.starts_with(b"GET /bucket/prefix/file"));
}
