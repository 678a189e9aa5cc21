//! Mail to servers that say what they should not: what a job makes of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "smtp/server.rs"]
mod server;
#[path = "support/tls.rs"]
mod tls;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use proptest::{prelude::*, test_runner::TestRunner};
use serde::Deserialize;
use server::{Act, Server, Told, kind};
use tokio_util::sync::CancellationToken;
use upshot_executor::{Context, Job, Jobs};
use upshot_mail::{Accepted, Mail, Mailer, Recipient};
use upshot_queue::{FailureClass, JobId, NewJob, State, Stop};
use upshot_runtime::{
    Health,
    secret::SecretUrl,
    settings::{SmtpSettings, SmtpTimeouts},
};
use upshot_servers::Authority;
use upshot_shared::{Evidence, Outcome};
use upshot_testkit::{TestRedis, within};

fn settings(url: &str) -> SmtpSettings {
    SmtpSettings {
        url: url.into(),
        timeouts: SmtpTimeouts::all(Duration::from_secs(20)),
        ..SmtpSettings::default()
    }
}

async fn send(mailer: &Mailer, to: &str) -> Result<Accepted, Stop> {
    let to = Recipient::new("Ada", to).unwrap();
    let mail = Mail {
        id: "1",
        to: &to,
        subject: "Invoice".to_owned(),
        text: "Dear Ada,\n.\nthank you".to_owned(),
        attachment: ("a.pdf", "application/pdf", vec![7; 100_000]),
    };
    mailer.send(mail, None).await
}

/// Sends one mail to a server that answers by a script.
async fn sent_to(server: &Server) -> Result<Accepted, Stop> {
    send(&Mailer::new(&settings(&server.url())).unwrap(), "ada@example.org").await
}

fn class(stop: &Stop) -> FailureClass {
    match stop {
        Stop::Failed(failure) => failure.class,
        other => panic!("{other}"),
    }
}

fn at(told: &Told, command: &str) -> bool {
    matches!(told, Told::Command(line) if line.starts_with(command))
}

/// A server that means well, but for one answer.
async fn but_for(is_there: fn(&Told) -> bool, act: Act) -> Server {
    Server::start(move |told| if is_there(told) { act.clone() } else { kind(told) }).await
}

const MESSAGE: fn(&Told) -> bool = |told| *told == Told::Message;
const RCPT: fn(&Told) -> bool = |told| at(told, "RCPT");
const DATA: fn(&Told) -> bool = |told| at(told, "DATA");

#[tokio::test(flavor = "multi_thread")]
async fn the_three_digits_decide_whatever_the_text_is() {
    let ok = sent_to(&but_for(MESSAGE, Act::Say(b"250 Message accept\xe9 id=1\r\n".to_vec())).await).await;
    assert_eq!(ok.unwrap().reply, "250 Message accept\u{fffd} id=1");
    let ok =
        sent_to(&but_for(MESSAGE, Act::Say("250 ok \u{1b}[31m\u{202e}<script>\0\r\n".into())).await).await;
    assert!(!ok.unwrap().reply.contains(['\u{1b}', '\0']));
    let no = sent_to(&but_for(RCPT, Act::Say(b"550 Bo\xeete pleine\r\n".to_vec())).await).await.unwrap_err();
    assert_eq!(class(&no), FailureClass::Permanent);
    assert!(no.to_string().contains("RCPT TO: 550 Bo\u{fffd}te pleine"), "{no}");
    let later = sent_to(&but_for(RCPT, Act::say("450 4.2.0 greylisted")).await).await.unwrap_err();
    assert_eq!(class(&later), FailureClass::Transient);
    let later = sent_to(&but_for(MESSAGE, Act::say("452 full")).await).await.unwrap_err();
    assert_eq!(class(&later), FailureClass::Transient);
    let long = format!("550 {} \u{1b}[2J", "z".repeat(400));
    let no = sent_to(&but_for(MESSAGE, Act::say(&long)).await).await.unwrap_err();
    assert_eq!(class(&no), FailureClass::Permanent);
    assert!(no.to_string().len() < 700 && !no.to_string().contains('\u{1b}'), "{no}");
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_answers_are_read_so_far_and_no_further() {
    let line = vec![b'x'; 60_000];
    let endless = [b"220 ".to_vec(), line.clone()].concat();
    let lines = [b"220-".to_vec(), line, b"\r\n".to_vec()].concat();
    for flood in [endless, lines] {
        let server = but_for(|told| *told == Told::Connected, Act::Flood(flood)).await;
        let why = sent_to(&server).await.unwrap_err();
        assert_eq!(class(&why), FailureClass::Transient, "{why}");
        // What the kernel holds, and no more.
        assert!(server.flooded() < 64 << 20, "{} bytes", server.flooded());
    }
    // 2 MB of lines that end: the digits of the first decide.
    for (code, accepted) in [(250, true), (550, false)] {
        let lines = format!("{code}-{}\r\n", "y".repeat(500)).repeat(4200) + &format!("{code} done");
        let server = but_for(MESSAGE, Act::say(&lines)).await;
        let mailer = Mailer::new(&settings(&server.url())).unwrap();
        match send(&mailer, "ada@example.org").await {
            Ok(said) => assert!(accepted && said.reply.len() < 1000),
            Err(why) => assert_eq!((class(&why), accepted), (FailureClass::Permanent, false)),
        }
        // What is left of the reply is no answer to the next mail.
        let _ = send(&mailer, "ada@example.org").await;
        let connections = server.told().iter().filter(|told| **told == Told::Connected).count();
        assert_eq!(connections, 2, "the connection was used again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_to_the_final_dot_it_is_unclear() {
    for act in [
        Act::Nothing,
        Act::Close(Vec::new()),
        Act::Close(b"250-and then".to_vec()),
        Act::say("HTTP/1.1 200 OK"),
        Act::say("354 go ahead"),
    ] {
        let server = but_for(MESSAGE, act.clone()).await;
        let mut settings = settings(&server.url());
        settings.timeouts.accept = Duration::from_millis(300);
        let why = send(&Mailer::new(&settings).unwrap(), "ada@example.org").await.unwrap_err();
        assert_eq!(class(&why), FailureClass::Unclear, "{act:?}: {why}");
        let said = why.to_string();
        assert!(said.contains("the mail may have been accepted") && said.contains("the final dot"), "{said}");
        assert_eq!(said.matches("final dot").count(), 1, "{said}");
        assert_eq!(server.messages(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_final_dot_nothing_is_accepted_and_nothing_is_unclear() {
    type IsThis = fn(&Told) -> bool;
    let stages: [(IsThis, &str); 5] = [
        (|told| *told == Told::Connected, "the greeting"),
        (|told| at(told, "EHLO"), "EHLO"),
        (|told| at(told, "MAIL"), "MAIL FROM"),
        (RCPT, "RCPT TO"),
        (DATA, "DATA"),
    ];
    for (stage, name) in stages {
        for act in [Act::Nothing, Act::Close(Vec::new()), Act::say("999 what"), Act::say("354 go\r\n250 OK")]
        {
            let server = but_for(stage, act.clone()).await;
            let mut settings = settings(&server.url());
            settings.timeouts = SmtpTimeouts::all(Duration::from_millis(300));
            let why = send(&Mailer::new(&settings).unwrap(), "ada@example.org").await.unwrap_err();
            assert_eq!(class(&why), FailureClass::Transient, "{name}, {act:?}: {why}");
            assert_eq!(server.messages(), 0, "{name}, {act:?}: {why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_before_the_question_is_none() {
    // A 250 behind the 354 would answer the dot before it was sent.
    let server = but_for(DATA, Act::say("354 go ahead\r\n250 accepted")).await;
    let why = sent_to(&server).await.unwrap_err();
    assert_eq!((class(&why), server.messages()), (FailureClass::Transient, 0), "{why}");
    // 250 where 354 belongs: nothing is sent.
    let server = but_for(DATA, Act::say("250 OK")).await;
    assert_eq!(class(&sent_to(&server).await.unwrap_err()), FailureClass::Transient);
    // A refusal in the middle of a message is one.
    let server = but_for(DATA, Act::Close(b"354 go ahead\r\n552 too large\r\n".to_vec())).await;
    let why = sent_to(&server).await.unwrap_err();
    assert_eq!((class(&why), server.messages()), (FailureClass::Permanent, 0), "{why}");
}

/// A server that answers by the digits which a test draws.
#[test]
fn a_mail_is_accepted_when_and_only_when_a_250_follows_the_final_dot() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let bytes = prop_oneof![
        4 => (200u16..600, "[ -~]{0,20}").prop_map(|(code, text)| format!("{code} {text}\r\n").into_bytes()),
        1 => (2u16..6, "[ -~]{0,9}").prop_map(|(n, text)| format!("{n}50-{text}\r\n{n}50 x\r\n").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    let answers = prop::collection::vec(prop::option::weighted(0.25, bytes), 6);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(300));
    let run = runner.run(&answers, |answers| {
        let script = answers.clone();
        let (accepted, server) = runtime.block_on(async move {
            let server = Server::start(move |told| {
                let place = match told {
                    Told::Connected => 0,
                    Told::Message => 5,
                    Told::Command(line) => match line.get(..4) {
                        Some("EHLO") => 1,
                        Some("MAIL") => 2,
                        Some("RCPT") => 3,
                        Some("DATA") => 4,
                        _ => return kind(told),
                    },
                };
                // What is no line is followed by the end of the connection.
                match script.get(place).cloned().flatten() {
                    Some(said) if said.ends_with(b"\n") => Act::Say(said),
                    Some(said) => Act::Close(said),
                    None => kind(told),
                }
            })
            .await;
            let mut settings = settings(&server.url());
            settings.timeouts = SmtpTimeouts::all(Duration::from_secs(2));
            (send(&Mailer::new(&settings).unwrap(), "ada@example.org").await, server)
        });
        let last = answers.last().cloned().flatten();
        let code = last.as_deref().map_or(Some(250), |said| {
            let text = String::from_utf8_lossy(said).into_owned();
            let code = text.get(..3).filter(|code| code.bytes().all(|digit| digit.is_ascii_digit()));
            code.and_then(|code| code.parse::<u16>().ok())
        });
        let digits = code.map(|code| code / 100);
        match accepted {
            Ok(_) => prop_assert!(server.messages() == 1 && code == Some(250), "{:?}", last),
            Err(Stop::Parked(_)) => prop_assert_eq!(server.messages(), 0),
            Err(Stop::Failed(failure)) if server.messages() == 1 => match failure.class {
                FailureClass::Permanent => prop_assert_eq!(digits, Some(5)),
                FailureClass::Transient => prop_assert_eq!(digits, Some(4)),
                FailureClass::Unclear => prop_assert!(last.is_some()),
                class => prop_assert!(false, "{class}"),
            },
            Err(Stop::Failed(failure)) => prop_assert!(failure.class != FailureClass::Unclear, "{}", failure),
            Err(other) => prop_assert!(false, "{other}"),
        }
        Ok(())
    });
    run.unwrap();
}

fn secure(told: &Told) -> Act {
    match told {
        Told::Command(line) if line.starts_with("EHLO") => Act::say("250-mail.example\r\n250 STARTTLS"),
        Told::Command(line) if line == "STARTTLS" => Act::Tls(b"220 go ahead\r\n".to_vec()),
        told => kind(told),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "authority").unwrap();
    let server = Server::start_with(Some(tls::acceptor(&authority)), secure).await;
    let mut settings = settings(&format!("smtp+starttls://localhost:{}", server.port));
    let why = send(&Mailer::new(&settings).unwrap(), "ada@example.org").await.unwrap_err().to_string();
    assert!(why.contains("smtp.ca_file"), "{why}");
    settings.ca_file = Some(authority.file.clone());
    send(&Mailer::new(&settings).unwrap(), "ada@example.org").await.unwrap();
    // Under another name it is another server.
    settings.url = format!("smtp+starttls://127.0.0.1:{}", server.port).into();
    assert!(send(&Mailer::new(&settings).unwrap(), "ada@example.org").await.is_err());
    assert_eq!(server.messages(), 1);
    settings.ca_file = Some(dir.path().join("missing.pem"));
    let why = Mailer::new(&settings).unwrap_err().to_string();
    assert!(why.contains("smtp.ca_file") && why.contains("missing.pem"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_sent_before_tls_counts_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "authority").unwrap();
    // What would answer EHLO, MAIL, RCPT, DATA and the dot, though the real answer is a 550.
    let injected = b"220 go ahead\r\n250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n".to_vec();
    let server = Server::start_with(Some(tls::acceptor(&authority)), move |told| match told {
        Told::Command(line) if line == "STARTTLS" => Act::Tls(injected.clone()),
        told if RCPT(told) => Act::say("550 no"),
        told => secure(told),
    })
    .await;
    let mut settings = settings(&format!("smtp+starttls://me:s3cr3t@localhost:{}", server.port));
    settings.ca_file = Some(authority.file.clone());
    let why = send(&Mailer::new(&settings).unwrap(), "ada@example.org").await.unwrap_err();
    assert_eq!(class(&why), FailureClass::Transient, "{why}");
    assert!(why.to_string().contains("is ignored"), "{why}");
    assert!(!server.told().iter().any(|told| at(told, "AUTH") || at(told, "MAIL")), "{:?}", server.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_follow_what_the_server_offers_after_tls() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "authority").unwrap();
    for (offer, commands) in [
        ("AUTH LOGIN PLAIN", vec!["AUTH PLAIN AG1lAHMzY3IzdA=="]),
        ("AUTH=LOGIN", vec!["AUTH LOGIN", "bWU=", "czNjcjN0"]),
    ] {
        let said = format!("250-mail.example\r\n250-STARTTLS\r\n250 {offer}");
        let server = Server::start_with(Some(tls::acceptor(&authority)), move |told| match told {
            Told::Command(line) if line.starts_with("EHLO") => Act::say(&said),
            Told::Command(line) if line.starts_with("AUTH PLAIN") || line == "czNjcjN0" => {
                Act::say("235 yes")
            }
            Told::Command(line) if line == "AUTH LOGIN" || line == "bWU=" => Act::say("334 VXNlcm5hbWU6"),
            told => secure(told),
        })
        .await;
        let mut settings = settings(&format!("smtp+starttls://me:s3cr3t@localhost:{}", server.port));
        settings.ca_file = Some(authority.file.clone());
        let mailer = Mailer::new(&settings).unwrap();
        assert_eq!(mailer.probe().await.unwrap(), "mail.example");
        send(&mailer, "ada@example.org").await.unwrap();
        let told = server.told();
        for command in commands {
            assert!(told.contains(&Told::Command(command.to_owned())), "{offer}: {told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_logs_in_with_what_the_file_says_at_the_moment() {
    let server = Server::start(move |told| match told {
        Told::Command(line) if line.starts_with("EHLO") => Act::say("250-m\r\n250 AUTH PLAIN"),
        Told::Command(line) if line.starts_with("AUTH") => Act::say("235 yes"),
        told => kind(told),
    })
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(file.path(), text).unwrap();
    let address = |password: &str| format!("smtp://me:{password}@127.0.0.1:{}\n", server.port);
    write(&address("one"));
    let url = SecretUrl::from_file(file.path()).unwrap();
    let mailer = Mailer::new(&SmtpSettings { url, ..settings("") }).unwrap();
    mailer.probe().await.unwrap();
    write(&address("two"));
    send(&mailer, "ada@example.org").await.unwrap();
    // While the file is of no use, the login of the start is tried.
    write("");
    mailer.probe().await.unwrap();
    let logins: Vec<String> = server
        .told()
        .into_iter()
        .filter_map(|told| match told {
            Told::Command(line) => line.strip_prefix("AUTH PLAIN ").map(str::to_owned),
            _ => None,
        })
        .collect();
    let (one, two) = ("AG1lAG9uZQ==", "AG1lAHR3bw==");
    assert_eq!(logins, [one, two, one]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_us_parks_and_one_mail_at_a_time_finds_out_when_it_does_not() {
    for (stage, said) in [
        ("greeting", "554 5.7.1 your address is blocked"),
        ("AUTH", "535 5.7.8 wrong password"),
        ("MAIL", "550 5.7.1 sender may not send"),
    ] {
        let refusing = Arc::new(AtomicUsize::new(1));
        let refuses = Arc::clone(&refusing);
        let server = Server::start(move |told| {
            let is_there = if stage == "greeting" { *told == Told::Connected } else { at(told, stage) };
            match told {
                _ if is_there && refuses.load(Ordering::Relaxed) == 1 => Act::say(said),
                Told::Command(line) if line.starts_with("EHLO") => Act::say("250-m\r\n250 AUTH PLAIN"),
                Told::Command(line) if line.starts_with("AUTH") => Act::say("235 yes"),
                told => kind(told),
            }
        })
        .await;
        let url = format!("smtp://me:s3cr3t@127.0.0.1:{}", server.port);
        let mailer = Mailer::new(&settings(&url)).unwrap();
        let parked =
            |stop: &Stop| matches!(stop, Stop::Parked(park) if park.condition.key() == "breaker:smtp");
        for _ in 0..2 {
            let why = send(&mailer, "ada@example.org").await.unwrap_err();
            assert!(parked(&why) && why.to_string().contains(&said[..3]), "{stage}: {why}");
        }
        let connections = || server.told().iter().filter(|told| **told == Told::Connected).count();
        assert_eq!(connections(), 1, "{stage}: the second mail was not tried");
        refusing.store(0, Ordering::Relaxed);
        assert!(parked(&send(&mailer, "ada@example.org").await.unwrap_err()), "{stage}: nobody tried yet");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_refusal_for_many_is_the_servers_and_that_for_one_is_his() {
    let server = Server::start(|told| match told {
        Told::Command(line) if line.starts_with("RCPT") => {
            Act::say(&format!("550 5.7.1 <{}>: relay denied", line.trim_start_matches("RCPT TO:")))
        }
        told => kind(told),
    })
    .await;
    let mailer = Mailer::new(&settings(&server.url())).unwrap();
    for n in 0..4 {
        let why = send(&mailer, &format!("person-{n}@example.org")).await.unwrap_err();
        let Stop::Failed(failure) = &why else { panic!("{why}") };
        assert_eq!(failure.class, FailureClass::Permanent);
        assert_eq!(failure.retry_after, Some(Duration::from_secs(60)), "it is confirmed first");
    }
    // The same recipient again is not one more.
    assert!(matches!(send(&mailer, "person-0@example.org").await, Err(Stop::Failed(_))));
    assert!(matches!(send(&mailer, "person-4@example.org").await, Err(Stop::Parked(_))));
    // Those before are parked too when their refusal is confirmed.
    assert!(matches!(send(&mailer, "person-0@example.org").await, Err(Stop::Parked(_))));
}

/// Sends one mail.
#[derive(Deserialize)]
#[serde(transparent)]
struct SendMail(#[expect(dead_code, reason = "only the arguments differ")] u32);

impl Job for SendMail {
    const KIND: &'static str = "mail.send";
    type State = Arc<Mailer>;

    async fn run(self, cx: &Context<Self::State>) -> Result<Outcome, Stop> {
        let to = Recipient::new("Ada", "ada@example.org")?;
        let attachment = ("a.pdf", "application/pdf", vec![7]);
        let mail = Mail { id: "1", to: &to, subject: "a".to_owned(), text: "b".to_owned(), attachment };
        let reply = cx.state().send(mail, Some(cx.lease())).await?.reply;
        Ok(Outcome::achieved("mailed", Evidence::new("mail", [("reply", reply)])))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_wait_for_a_server_that_refuses_all_go_on_once_it_accepts() {
    let refusing = Arc::new(AtomicUsize::new(1));
    let refuses = Arc::clone(&refusing);
    let server = Server::start(move |told| match told {
        Told::Connected if refuses.load(Ordering::Relaxed) == 1 => Act::say("554 blocked"),
        told => kind(told),
    })
    .await;
    let redis = TestRedis::new("invoices").await;
    let queue = redis.queue.clone();
    let mailer = Arc::new(
        Mailer::new(&SmtpSettings { probe: Duration::from_millis(100), ..settings(&server.url()) }).unwrap(),
    );
    let mut handlers = Jobs::new();
    let state = handlers.state(Arc::clone(&mailer));
    handlers.job::<SendMail>(&state).unwrap();
    let (health, stop) = (Health::default(), CancellationToken::new());
    let worker = redis.worker(handlers).await;
    let jobs: Vec<NewJob> =
        (0..8).map(|n| NewJob::new(JobId::random(), "mail.send", n.to_string())).collect();
    queue.enqueue(&jobs).await.unwrap();
    for job in &jobs {
        redis.until(&job.id, State::Parked).await;
    }
    let keeper = tokio::spawn(mailer.keeper(vec![queue.clone()], health.clone()).run(stop.clone()));
    let warned = async {
        while !health.warnings().contains_key("smtp") {
            tokio::task::yield_now().await;
        }
    };
    within("readiness warns of the server", warned).await;
    refusing.store(0, Ordering::Relaxed);
    for job in &jobs {
        redis.until(&job.id, State::Succeeded).await;
    }
    assert_eq!(server.messages(), jobs.len());
    let first = queue.job(&jobs[0].id).await.unwrap().unwrap();
    assert_eq!(first.attempts, 1, "what was parked did not count");
    stop.cancel();
    keeper.await.unwrap();
    worker.stop().await;
    redis.finish().await;
}
