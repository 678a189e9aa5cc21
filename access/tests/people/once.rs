//! Values that are taken once, and the one-time administrator token.

use redis::AsyncCommands;
use upshot_access::{FirstToken, Secret, once::Kind};

use crate::Stage;

#[tokio::test]
async fn a_value_is_taken_once() {
    let stage = Stage::new().await;
    let once = stage.once();
    let secret = once.put(Kind::Ticket, &"/v1/jobs", 30_000).await.unwrap();
    let key = stage.keys("once:*").await.pop().unwrap();
    assert!(!key.contains(secret.expose()));
    assert!((1..=30_000).contains(&stage.conn.clone().pttl::<_, i64>(&key).await.unwrap()));
    assert_eq!(once.take::<String>(Kind::Login, &secret).await.unwrap(), None, "another kind");
    assert_eq!(once.take::<String>(Kind::Ticket, &Secret::new()).await.unwrap(), None);
    assert_eq!(once.take::<String>(Kind::Ticket, &secret).await.unwrap().as_deref(), Some("/v1/jobs"));
    assert_eq!(once.take::<String>(Kind::Ticket, &secret).await.unwrap(), None);
    stage.redis.finish().await;
}

#[tokio::test]
async fn processes_agree_on_one_administrator_token() {
    let stage = Stage::new().await;
    let (one, two) = (stage.once(), stage.once());
    let made = the_only(one.make_first(60_000).await.unwrap(), two.make_first(60_000).await.unwrap());
    let token = FirstToken::parse(&made.expose()).unwrap();
    assert!(!format!("{token:?}").contains(&token.expose()[4..]));
    assert!(two.take_first(&token).await.unwrap());
    assert!(!one.take_first(&token).await.unwrap(), "it was taken");
    assert!(FirstToken::parse("upb_abc").is_none() && FirstToken::parse("upk_abc").is_none());
    stage.redis.finish().await;
}

/// The one that was made.
fn the_only(one: Option<FirstToken>, two: Option<FirstToken>) -> FirstToken {
    assert!(one.is_some() != two.is_some());
    one.or(two).unwrap()
}
