//! The chaos proxy, in front of an echo and of the mail catcher.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use upshot_servers::{MailServer, Proxy, proxy};

use crate::mail::Sender;

/// Long enough for anything on loopback to arrive, if it is going to.
const QUIET: Duration = Duration::from_millis(150);

async fn echo() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    port
}

async fn connect(proxy: &Proxy) -> std::io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await
}

async fn say(stream: &mut TcpStream, word: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(word).await?;
    let mut answer = vec![0; word.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn it_relays_and_closes_both_ends() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = connect(&proxy).await.unwrap();
    assert_eq!(say(&mut stream, b"hello").await.unwrap(), b"hello");
    assert_eq!(proxy.connections(), 1);
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_cut_closes_what_is_open_and_nothing_later() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut first = connect(&proxy).await.unwrap();
    say(&mut first, b"hello").await.unwrap();
    proxy.cut().await;
    assert_eq!(proxy.connections(), 0);
    assert!(say(&mut first, b"hello").await.is_err());
    let mut second = connect(&proxy).await.unwrap();
    assert_eq!(say(&mut second, b"again").await.unwrap(), b"again");
}

#[tokio::test]
async fn a_refusal_keeps_new_connections_out_until_healed() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut first = connect(&proxy).await.unwrap();
    say(&mut first, b"hello").await.unwrap();
    proxy.refuse().await;
    assert_eq!(connect(&proxy).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(say(&mut first, b"still").await.unwrap(), b"still");
    proxy.heal().await;
    let mut second = connect(&proxy).await.unwrap();
    assert_eq!(say(&mut second, b"again").await.unwrap(), b"again");
}

#[tokio::test]
async fn a_blackhole_is_silent_and_delivers_late() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut old = connect(&proxy).await.unwrap();
    say(&mut old, b"hello").await.unwrap();
    proxy.blackhole().await;
    let mut new = connect(&proxy).await.unwrap();
    for stream in [&mut old, &mut new] {
        assert!(timeout(QUIET, say(stream, b"lost?")).await.is_err());
    }
    proxy.heal().await;
    for stream in [&mut old, &mut new] {
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"lost?");
    }
}

#[tokio::test]
async fn a_reply_is_cut_where_the_rule_says() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    proxy.cut_replies(|request, reply| {
        assert_eq!(request, reply, "it is an echo");
        (request == b"cut me").then_some(3)
    });
    let mut stream = connect(&proxy).await.unwrap();
    for word in [&b"hello"[..], b"again"] {
        assert_eq!(say(&mut stream, word).await.unwrap(), word);
    }
    stream.write_all(b"cut me").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"cut");
    proxy.cut_no_replies();
    let mut stream = connect(&proxy).await.unwrap();
    assert_eq!(say(&mut stream, b"cut me").await.unwrap(), b"cut me");
}

#[tokio::test]
async fn dropping_it_closes_everything() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = connect(&proxy).await.unwrap();
    say(&mut stream, b"hello").await.unwrap();
    drop(proxy);
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn the_acceptance_of_a_mail_can_be_held() {
    let dir = tempfile::tempdir().unwrap();
    let server = MailServer::start(dir.path()).await.unwrap();
    let proxy = Proxy::start(server.port()).await.unwrap();
    let mut hold = proxy.hold_reply(proxy::smtp_acceptance());
    let port = proxy.port();
    let mut sending = tokio::spawn(async move { Sender::connect(port).await.send("held@test").await });
    hold.reached().await;
    assert_eq!(server.messages().unwrap().len(), 1, "the server has taken it over");
    assert!(timeout(QUIET, &mut sending).await.is_err(), "the sender does not know");
    hold.release();
    sending.await.unwrap();
    // The hold was for one reply only.
    Sender::connect(port).await.send("free@test").await;
    assert_eq!(server.messages().unwrap().len(), 2);
    server.stop().await.unwrap();
}
