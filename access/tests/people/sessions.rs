//! Sessions: begun, idle, ended, and ended with what they began with.

use redis::AsyncCommands;
use upshot_access::{Credential, Lengths, Login, Principal, Refusal, Right, Role, Secret};

use crate::{HOUR, LENGTHS, Stage, new_token, person, refused};

#[tokio::test]
async fn a_session_is_found_by_its_id_until_it_ends() {
    let stage = Stage::new().await;
    let sessions = stage.sessions(LENGTHS);
    let ada = person("ada", Role::Operator, &["acme"]);
    let (id, begun) = sessions.begin(Login::Of(ada.clone())).await.unwrap();
    assert_eq!(begun.principal, ada);
    assert_eq!(begun.until - begun.created_at, 24 * HOUR);
    assert_eq!(sessions.identify(&id).await.unwrap(), begun);
    assert!(sessions.end(&id).await.unwrap());
    assert!(!sessions.end(&id).await.unwrap());
    assert_eq!(refused(sessions.identify(&id).await), Refusal::Ended);
    stage.redis.finish().await;
}

#[tokio::test]
async fn an_id_that_the_server_did_not_make_is_refused_and_not_stored() {
    let stage = Stage::new().await;
    let sessions = stage.sessions(LENGTHS);
    let foreign = Secret::new();
    assert_eq!(refused(sessions.identify(&foreign).await), Refusal::Ended);
    assert!(stage.keys("sessions:*").await.is_empty());
    let (id, _) = sessions.begin(Login::Of(Principal::local())).await.unwrap();
    assert!(id != foreign);
    let stored = stage.keys("sessions:*").await;
    assert!(stored.len() == 1 && !stored[0].contains(id.expose()), "{stored:?}");
    assert!(stored[0].ends_with(id.hash().as_str()));
    stage.redis.finish().await;
}

#[tokio::test]
async fn use_renews_the_idle_time_and_not_the_absolute_end() {
    let stage = Stage::new().await;
    let sessions = stage.sessions(LENGTHS);
    let (id, _) = sessions.begin(Login::Of(Principal::local())).await.unwrap();
    let key = stage.keys("sessions:*").await.pop().unwrap();
    let mut conn = stage.conn.clone();
    let now = sessions.identify(&id).await.unwrap().created_at;
    // As if half an hour went by.
    let () = conn.hset(&key, "expires", now + HOUR / 2).await.unwrap();
    let () = conn.pexpire(&key, HOUR / 2).await.unwrap();
    sessions.identify(&id).await.unwrap();
    assert!(conn.pttl::<_, i64>(&key).await.unwrap() > HOUR - 60_000);
    assert!(conn.hget::<_, _, i64>(&key, "expires").await.unwrap() >= now + HOUR);
    // A session that nearly has its idle time is not written again.
    let () = conn.pexpire(&key, HOUR - 30_000).await.unwrap();
    sessions.identify(&id).await.unwrap();
    assert!(conn.pttl::<_, i64>(&key).await.unwrap() <= HOUR - 30_000);
    let short = stage.sessions(Lengths { idle_ms: HOUR, absolute_ms: 1_000 });
    let (_, session) = short.begin(Login::Of(Principal::local())).await.unwrap();
    assert_eq!(session.until - session.created_at, 1_000);
    stage.redis.finish().await;
}

#[tokio::test]
async fn a_session_of_a_token_ends_with_the_token() {
    let stage = Stage::new().await;
    let (sessions, tokens) = (stage.sessions(LENGTHS), stage.tokens());
    let login = async |credential: &Credential| {
        let principal = tokens.identify(credential).await.unwrap();
        sessions.begin(Login::Token(credential.clone(), principal)).await.unwrap().0
    };
    let (credential, token) = tokens.create(new_token(Role::Viewer, Some(HOUR))).await.unwrap();
    let first = login(&credential).await;
    let session = sessions.identify(&first).await.unwrap();
    assert_eq!(Some(session.until), token.expires_at);
    assert!(session.principal.may(Right::See));
    let (renewed, _) = tokens.rotate(&token.id, HOUR).await.unwrap();
    let second = login(&renewed).await;
    assert!(sessions.identify(&first).await.is_ok(), "the old secret is taken for an hour");
    tokens.rotate(&token.id, 0).await.unwrap();
    for id in [&first, &second] {
        assert_eq!(refused(sessions.identify(id).await), Refusal::Ended);
    }
    let (credential, token) = tokens.create(new_token(Role::Viewer, None)).await.unwrap();
    let third = login(&credential).await;
    tokens.revoke(&token.id).await.unwrap();
    assert_eq!(refused(sessions.identify(&third).await), Refusal::Ended);
    stage.redis.finish().await;
}

#[tokio::test]
async fn a_login_with_another_role_or_tenant_ends_the_others_of_the_same_person() {
    let stage = Stage::new().await;
    let (sessions, tokens) = (stage.sessions(LENGTHS), stage.tokens());
    let begin = async |principal: &Principal| sessions.begin(Login::Of(principal.clone())).await.unwrap();
    let (operator, viewer) =
        (person("ada", Role::Operator, &["acme"]), person("ada", Role::Viewer, &["acme"]));
    let (one, session) = begin(&operator).await;
    let (two, _) = begin(&operator).await;
    let (of_ben, _) = begin(&person("ben", Role::Operator, &["acme"])).await;
    let (credential, token) = tokens.create(new_token(Role::Operator, Some(HOUR))).await.unwrap();
    assert!(sessions.attach(&operator, &token.id, session.until).await.unwrap());
    assert!(sessions.identify(&one).await.is_ok() && sessions.identify(&two).await.is_ok());
    let (three, _) = begin(&viewer).await;
    for id in [&one, &two] {
        assert_eq!(refused(sessions.identify(id).await), Refusal::Ended);
    }
    let attached = sessions.attach(&operator, "0123", session.until).await.unwrap();
    assert!(!attached, "a device approved before gets nothing");
    assert!(tokens.identify(&credential).await.is_err(), "a device's token ends as well");
    let (four, _) = begin(&person("ada", Role::Viewer, &["acme", "globex"])).await;
    assert_eq!(refused(sessions.identify(&three).await), Refusal::Ended);
    assert!(sessions.identify(&four).await.is_ok() && sessions.identify(&of_ben).await.is_ok());
    stage.redis.finish().await;
}

#[tokio::test]
async fn all_sessions_of_a_person_are_ended_at_once() {
    let stage = Stage::new().await;
    let (sessions, tokens) = (stage.sessions(LENGTHS), stage.tokens());
    let ada = person("ada", Role::Operator, &["*"]);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(sessions.begin(Login::Of(ada.clone())).await.unwrap().0);
    }
    let (of_ben, _) = sessions.begin(Login::Of(person("ben", Role::Operator, &["*"]))).await.unwrap();
    let (credential, token) = tokens.create(new_token(Role::Operator, Some(HOUR))).await.unwrap();
    assert!(sessions.attach(&ada, &token.id, i64::from(i32::MAX) * 1_000).await.unwrap());
    assert!(sessions.end(&ids[0]).await.unwrap());
    assert_eq!(sessions.end_all_of("https://id.example", "ada").await.unwrap(), 3);
    for id in &ids {
        assert_eq!(refused(sessions.identify(id).await), Refusal::Ended);
    }
    assert!(tokens.identify(&credential).await.is_err());
    assert!(sessions.identify(&of_ben).await.is_ok());
    assert!(!sessions.attach(&ada, "token", 0).await.unwrap(), "nothing is left to end it with");
    assert_eq!(sessions.end_all_of("https://id.example", "ada").await.unwrap(), 0);
    stage.redis.finish().await;
}

#[tokio::test]
async fn a_person_has_a_bounded_number_of_sessions() {
    let stage = Stage::new().await;
    let sessions = stage.sessions(LENGTHS);
    for _ in 0..upshot_access::sessions::MOST + 5 {
        sessions.begin(Login::Of(person("ada", Role::Viewer, &["*"]))).await.unwrap();
    }
    assert_eq!(stage.keys("sessions:*").await.len(), upshot_access::sessions::MOST);
    stage.redis.finish().await;
}
