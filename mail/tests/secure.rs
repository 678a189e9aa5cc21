//! Mail: a secure scheme never falls back to plain text.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use upshot_mail::{Mail, Mailer, Recipient};
use upshot_queue::Stop;
use upshot_runtime::settings::{SmtpSettings, SmtpTimeouts};
use upshot_servers::{MailServer, Wiretap};

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
