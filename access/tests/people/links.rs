//! Capability links: made, checked, revoked one by one and all at once.

use redis::AsyncCommands;
use upshot_access::{
    Error, Facts, LinkText, Login, Only, Refusal, Right, Scope, Target,
    links::{LONGEST_MS, LinkId},
};

use crate::{HOUR, LENGTHS, Stage, refused};

fn scope() -> Scope {
    let target = Some(Target::Subject("order-1042".to_owned()));
    Scope { tenants: Only::of(["acme"]), target, ..Scope::everything() }
}

#[tokio::test]
async fn a_link_shows_its_target_alone() {
    let stage = Stage::new().await;
    let made = stage.links().make(scope(), HOUR).await.unwrap();
    let (principal, _) = stage.links().identify(&LinkText::parse(made.text.expose()).unwrap()).await.unwrap();
    assert_eq!(principal.rights.iter().collect::<Vec<_>>(), [Right::SeeOwn]);
    assert_eq!((principal.until, principal.role), (Some(made.until), None));
    let facts = Facts { tenant: Some("acme"), subject: Some("order-1042"), ..Facts::default() };
    assert!(principal.scope.sees(&facts));
    assert!(!principal.scope.sees(&Facts { tenant: Some("globex"), ..facts }));
    assert!(!principal.scope.sees(&Facts { subject: Some("order-1043"), ..facts }));
    let everything = stage.links().make(Scope::everything(), HOUR).await;
    assert!(matches!(everything, Err(Error::NoTarget)));
    stage.redis.finish().await;
}

#[tokio::test]
async fn a_link_is_signed_by_its_own_installation() {
    let (stage, other) = (Stage::new().await, Stage::new().await);
    let made = stage.links().make(scope(), HOUR).await.unwrap();
    assert_eq!(refused(other.links().identify(&made.text).await), Refusal::Unknown);
    other.links().make(scope(), HOUR).await.unwrap();
    assert_eq!(refused(other.links().identify(&made.text).await), Refusal::Unknown);
    assert!(stage.links().identify(&made.text).await.is_ok());
    stage.redis.finish().await;
    other.redis.finish().await;
}

#[tokio::test]
async fn an_expired_link_and_its_session_are_refused() {
    let stage = Stage::new().await;
    let made = stage.links().make(scope(), 0).await.unwrap();
    assert_eq!(refused(stage.links().identify(&made.text).await), Refusal::Expired);
    let made = stage.links().make(scope(), HOUR).await.unwrap();
    let (principal, key) = stage.links().identify(&made.text).await.unwrap();
    let (id, session) = stage.sessions(LENGTHS).begin(Login::Link(principal, key)).await.unwrap();
    assert_eq!(session.until, made.until);
    assert!(stage.sessions(LENGTHS).identify(&id).await.is_ok());
    stage.redis.finish().await;
}

#[tokio::test]
async fn a_revoked_link_ends_with_its_sessions_and_is_forgotten_after_its_expiry() {
    let stage = Stage::new().await;
    let (links, sessions) = (stage.links(), stage.sessions(LENGTHS));
    let (made, other) = (links.make(scope(), HOUR).await.unwrap(), links.make(scope(), HOUR).await.unwrap());
    let (principal, key) = links.identify(&made.text).await.unwrap();
    let (id, _) = sessions.begin(Login::Link(principal, key)).await.unwrap();
    assert!(sessions.identify(&id).await.is_ok());
    let written: LinkId = made.id.to_string().parse().unwrap();
    assert!(links.revoke(&written).await.unwrap());
    assert!(links.revoke(&written).await.unwrap(), "once more changes nothing");
    assert_eq!(refused(links.identify(&made.text).await), Refusal::Unknown);
    assert_eq!(refused(sessions.identify(&id).await), Refusal::Ended);
    assert!(links.identify(&other.text).await.is_ok());
    // An expired link needs no revocation; the next one forgets those that have expired.
    let key = stage.keys("revoked").await.pop().unwrap();
    let () = stage.conn.clone().zadd(&key, "0000000000000000-1", 1).await.unwrap();
    assert!(!links.revoke(&"0123456789abcdef-1".parse().unwrap()).await.unwrap());
    assert_eq!(stage.conn.clone().zcard::<_, usize>(&key).await.unwrap(), 1);
    let late: LinkId = format!("0123456789abcdef-{}", made.until + 2 * LONGEST_MS).parse().unwrap();
    assert_eq!(refused(links.revoke(&late).await), Refusal::Form);
    stage.redis.finish().await;
}

#[tokio::test]
async fn another_key_ends_all_links_and_their_sessions() {
    let stage = Stage::new().await;
    let (links, sessions) = (stage.links(), stage.sessions(LENGTHS));
    let made = links.make(scope(), HOUR).await.unwrap();
    let (principal, key) = links.identify(&made.text).await.unwrap();
    let (id, _) = sessions.begin(Login::Link(principal, key)).await.unwrap();
    links.revoke_all().await.unwrap();
    assert_eq!(refused(links.identify(&made.text).await), Refusal::Unknown);
    assert_eq!(refused(sessions.identify(&id).await), Refusal::Ended);
    let made = links.make(scope(), HOUR).await.unwrap();
    assert!(links.identify(&made.text).await.is_ok());
    stage.redis.finish().await;
}
