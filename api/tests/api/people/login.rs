//! Logins with OpenID Connect, and what a provider may get wrong.

use std::collections::BTreeMap;

use reqwest::{Method, header};
use serde_json::{Value, json};
use upshot_access::{Rights, Role, Scope};
use upshot_runtime::settings::{AuthMode, GroupRole, OidcSettings, Settings};
use upshot_testkit::{TestRabbit, shared_redis};

use super::{
    Browser, kind,
    provider::{CLIENT, Person, Provider, SECRET},
};
use crate::{access::principals::token, fixture::Fixture};

pub fn with_provider(settings: &mut Settings, issuer: &str) {
    settings.api.auth = AuthMode::Required;
    settings.api.oidc = Some(OidcSettings {
        issuer: issuer.to_owned(),
        client_id: CLIENT.to_owned(),
        client_secret: Some(SECRET.into()),
        tenants_claim: Some("tenants".to_owned()),
        roles: BTreeMap::from([
            ("staff".to_owned(), GroupRole::Viewer),
            ("ops".to_owned(), GroupRole::Operator),
            ("leads".to_owned(), GroupRole::Administrator),
        ]),
        ..OidcSettings::default()
    });
}

pub async fn fixture(provider: &Provider) -> Fixture {
    let (_, amqp) = TestRabbit::get().await.vhost();
    let issuer = provider.issuer.clone();
    Fixture::with(&shared_redis().await.url(), &amqp, |settings| with_provider(settings, &issuer)).await
}

/// Goes to the provider and back; the address of the callback.
async fn callback(browser: &mut Browser<'_>, to: &str) -> String {
    let begun = browser.send(Method::GET, to, None).await;
    assert_eq!(begun.status(), 303, "{:?}", begun.text().await);
    let address = begun.headers()[header::LOCATION].to_str().unwrap().to_owned();
    assert!(address.contains("code_challenge_method=S256"), "{address}");
    let back = browser.client.get(address).send().await.unwrap();
    assert!(back.status().is_redirection(), "{:?}", back.text().await);
    back.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

/// A whole login.
pub async fn log_in(browser: &mut Browser<'_>) -> (u16, Value) {
    let callback = callback(browser, "/v1/login").await;
    browser.get(&callback).await
}

#[tokio::test]
async fn a_person_logs_in_with_the_role_of_its_groups() {
    let provider = Provider::start().await;
    let fixture = fixture(&provider).await;
    assert_eq!(fixture.json("/v1/access", 200).await, json!({"authentication": true, "provider": true}));
    for in_token in [true, false] {
        provider.log_in(Person { in_token, ..Person::new("ada", &["staff", "ops", "other"], &["acme"]) });
        let mut browser = Browser::new(&fixture);
        let back = callback(&mut browser, "/v1/login?to=/access%3Fcode%3DWDJB-MJHT").await;
        let ended = browser.send(Method::GET, &back, None).await;
        assert_eq!(ended.status(), 303);
        let to = ended.headers()[header::LOCATION].to_str().unwrap();
        assert!(to.ends_with("/access?code=WDJB-MJHT"), "{to}");
        let (_, me) = browser.get("/v1/me").await;
        assert_eq!(
            (&me["kind"], &me["name"], &me["role"]),
            (&json!("person"), &json!("ada"), &json!("operator"))
        );
        assert_eq!(me["scope"]["tenants"], json!(["acme"]), "{me}");
        // The callback is not taken again, not even by the same browser.
        assert_eq!(browser.get(&back).await.0, 400);
        assert_eq!(browser.get("/v1/me").await.0, 200);
    }
    fixture.finish().await;
}

#[tokio::test]
async fn only_the_browser_that_began_a_login_ends_it() {
    let provider = Provider::start().await;
    let fixture = fixture(&provider).await;
    provider.log_in(Person::new("eve", &["staff"], &["acme"]));
    let mut attacker = Browser::new(&fixture);
    let back = callback(&mut attacker, "/v1/login").await;
    let mut victim = Browser::new(&fixture);
    let (status, refused) = victim.get(&back).await;
    assert_eq!((status, kind(&refused)), (400, "unknown-login"), "{refused}");
    callback(&mut victim, "/v1/login").await;
    assert_eq!(victim.get(&back).await.0, 400, "it has a login of its own under way");
    assert_eq!(victim.get("/v1/me").await.0, 401);
    assert_eq!(attacker.get(&back).await.0, 303);
    fixture.finish().await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_trusted_logs_nobody_in() {
    let provider = Provider::start().await;
    let fixture = fixture(&provider).await;
    let fine = || Person::new("ada", &["staff"], &["acme"]);
    let wrong = |wrong: Value| Person { wrong, ..fine() };
    for (person, status, words) in [
        (Person::new("ada", &["nobody"], &["acme"]), 403, "api.oidc.roles"),
        (Person::new("ada", &["staff"], &[]), 403, "no tenant"),
        (Person { error: Some("access_denied"), ..fine() }, 403, "access_denied"),
        (wrong(json!({"nonce": "another"})), 403, "another login"),
        (wrong(json!({"aud": "another"})), 403, "this client"),
        (wrong(json!({"iss": "https://another.example"})), 403, "issuer"),
        (wrong(json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"})), 403, "access token"),
        (Person { ahead: 90, ..fine() }, 403, "clocks"),
        (Person { ahead: -1_000, ..fine() }, 403, "clocks"),
        (Person { ahead: 45, ..fine() }, 303, ""),
        (Person { ahead: -300, ..fine() }, 303, ""),
    ] {
        provider.log_in(person);
        let mut browser = Browser::new(&fixture);
        let (found, said) = log_in(&mut browser).await;
        assert_eq!(found, status, "{said}");
        assert!(said.to_string().contains(words), "{words}: {said}");
        assert_eq!(browser.get("/v1/me").await.0, if status == 303 { 200 } else { 401 });
    }
    // The person reads a page, without markup of the provider's.
    provider.log_in(Person::new("<b>ada</b>", &["nobody"], &["acme"]));
    let mut browser = Browser::new(&fixture);
    let back = callback(&mut browser, "/v1/login").await;
    let request = browser
        .client
        .get(back)
        .header(header::ACCEPT, "text/html")
        .header(header::COOKIE, browser.cookies().unwrap());
    let page = request.send().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), page.headers()[header::CONTENT_TYPE].to_str().unwrap()),
        (403, "text/html; charset=utf-8")
    );
    let page = page.text().await.unwrap();
    assert!(
        page.contains("&lt;b&gt;ada") && page.contains("api.oidc.roles") && !page.contains("<b>ada"),
        "{page}"
    );
    fixture.finish().await;
}

#[tokio::test]
async fn keys_of_the_provider_may_change() {
    let provider = Provider::start().await;
    let fixture = fixture(&provider).await;
    provider.log_in(Person::new("ada", &["staff"], &["acme"]));
    assert_eq!(log_in(&mut Browser::new(&fixture)).await.0, 303);
    provider.change_key();
    assert_eq!(log_in(&mut Browser::new(&fixture)).await.0, 303);
    fixture.finish().await;
}

#[tokio::test]
async fn a_changed_role_ends_the_sessions_of_before() {
    let provider = Provider::start().await;
    let fixture = fixture(&provider).await;
    let (mut laptop, mut phone) = (Browser::new(&fixture), Browser::new(&fixture));
    provider.log_in(Person::new("ada", &["ops"], &["acme"]));
    assert_eq!(log_in(&mut laptop).await.0, 303);
    assert_eq!(log_in(&mut phone).await.0, 303);
    assert_eq!((laptop.get("/v1/me").await.0, phone.get("/v1/me").await.0), (200, 200));
    provider.log_in(Person::new("ada", &["staff"], &["acme"]));
    assert_eq!(log_in(&mut phone).await.0, 303);
    assert_eq!((laptop.get("/v1/me").await.0, phone.get("/v1/me").await.0), (401, 200));
    // An administrator ends the rest.
    let root = token(&fixture, Role::Administrator, Scope::everything(), Rights::default()).await;
    let path = format!("/v1/people/sessions?issuer={}&subject=ada", provider.issuer);
    let ended = fixture.client.delete(fixture.url(&path)).bearer_auth(root).send().await.unwrap();
    assert_eq!(crate::fixture::body(ended, 200).await, json!({"ended": 1}));
    assert_eq!(phone.get("/v1/me").await.0, 401);
    fixture.finish().await;
}

#[tokio::test]
async fn a_provider_that_is_away_stops_nothing_else() {
    let (_, amqp) = TestRabbit::get().await.vhost();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let fixture = Fixture::with(&shared_redis().await.url(), &amqp, |settings| {
        with_provider(settings, &format!("http://{address}"));
    })
    .await;
    let viewer = token(&fixture, Role::Viewer, Scope::everything(), Rights::default()).await;
    let mut browser = Browser::new(&fixture);
    let (status, away) = browser.get("/v1/login").await;
    assert_eq!((status, kind(&away)), (503, "provider-unavailable"), "{away}");
    assert_eq!(browser.post("/v1/session", json!({"token": viewer})).await.0, 200);
    fixture.finish().await;
}

#[tokio::test]
async fn a_login_leads_nowhere_else() {
    let provider = Provider::start().await;
    let fixture = fixture(&provider).await;
    let mut browser = Browser::new(&fixture);
    for to in ["//evil.example", "https://evil.example", "/%5Cevil.example"] {
        let (status, refused) = browser.get(&format!("/v1/login?to={to}")).await;
        assert_eq!((status, &refused["parameter"]), (400, &json!("to")), "{refused}");
    }
    fixture.finish().await;
}
