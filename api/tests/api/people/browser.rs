//! Requests of browsers: foreign pages, other hosts, headers.

use reqwest::{Method, header};
use serde_json::{Value, json};
use upshot_access::{Rights, Role, Scope};
use upshot_runtime::settings::AuthMode;
use upshot_testkit::{TestRabbit, shared_redis};

use super::{Browser, kind};
use crate::{access::principals::token, fixture::Fixture};

const SHOP: &str = "https://shop.example.org";

async fn fixture() -> Fixture {
    let (_, amqp) = TestRabbit::get().await.vhost();
    Fixture::with(&shared_redis().await.url(), &amqp, |settings| {
        settings.api.auth = AuthMode::Required;
        settings.api.cors_origins = vec![SHOP.to_owned()];
    })
    .await
}

async fn operator(fixture: &Fixture) -> String {
    token(fixture, Role::Operator, Scope::everything(), Rights::default()).await
}

const CHANGE: (&str, fn() -> Value) = ("/v1/queues/emails/pause", || json!({"kind": "nothing.of.it"}));

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing_with_a_session() {
    let fixture = fixture().await;
    let token = operator(&fixture).await;
    let mut browser = Browser::new(&fixture);
    assert_eq!(browser.post("/v1/session", json!({"token": token})).await.0, 200);
    let (path, body) = (CHANGE.0, CHANGE.1());
    for (origin, status) in [
        (Some("http://evil.example"), 403),
        (Some("null"), 403),
        (Some("http://127.0.0.1:1"), 403),
        // The browser does not say: a form of old, or a program with a stolen cookie.
        (None, 403),
        // Allowed to read with a token; its cookies are not taken.
        (Some(SHOP), 401),
        (Some(fixture.base.clone().as_str()), 200),
    ] {
        let response = browser.send_from(origin, Method::POST, path, Some(body.clone())).await;
        assert_eq!(response.status().as_u16(), status, "{origin:?}");
    }
    let own = fixture.client.post(fixture.url(path)).header(header::COOKIE, browser.cookies().unwrap());
    let own = own.header("sec-fetch-site", "same-origin").header(header::CONTENT_TYPE, "application/json");
    assert_eq!(own.body(body.to_string()).send().await.unwrap().status(), 200);
    // A token beside the cookie wins, and the check stays.
    let both = fixture.client.post(fixture.url(path)).header(header::COOKIE, browser.cookies().unwrap());
    let both = both.bearer_auth(&token).header(header::CONTENT_TYPE, "application/json");
    let refused = crate::fixture::body(both.body(body.to_string()).send().await.unwrap(), 403).await;
    assert_eq!(kind(&refused), "foreign-origin", "{refused}");
    // A token alone is exempt.
    let program = fixture.client.post(fixture.url(path)).bearer_auth(&token);
    let program = program.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
    assert_eq!(program.send().await.unwrap().status(), 200);
    // Nor does a foreign page log the browser out.
    assert_eq!(
        browser.send_from(Some("http://evil.example"), Method::DELETE, "/v1/session", None).await.status(),
        403
    );
    assert_eq!(browser.get("/v1/me").await.0, 200);
    fixture.finish().await;
}

#[tokio::test]
async fn a_name_that_is_made_to_lead_here_is_refused() {
    let fixture = fixture().await;
    let token = operator(&fixture).await;
    let mut browser = Browser::new(&fixture);
    browser.post("/v1/session", json!({"token": token})).await;
    for path in ["/v1/me", "/access", "/v1/login", "/v1/session"] {
        let request = fixture.client.get(fixture.url(path)).header(header::HOST, "evil.example");
        let response = request.header(header::COOKIE, browser.cookies().unwrap()).send().await.unwrap();
        assert_eq!(response.status(), 421, "{path}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn every_answer_bounds_what_a_browser_does_with_it() {
    let fixture = fixture().await;
    let token = operator(&fixture).await;
    for (path, authenticated) in [
        ("/v1/me", true),
        ("/v1/jobs", true),
        ("/v1/jobs/x", true),
        ("/nowhere", false),
        ("/access", false),
        ("/", false),
        ("/v1", false),
        ("/v1/me", false),
    ] {
        let request = fixture.client.get(fixture.url(path));
        let request = if authenticated { request.bearer_auth(&token) } else { request };
        let headers = request.send().await.unwrap().headers().clone();
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer", "{path}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path} {policy}"
        );
        assert!(!policy.contains("script-src 'unsafe-inline'"), "{path} {policy}");
        if authenticated {
            assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
        }
    }
    let page = fixture.get("/access").await;
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    for part in [
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    for path in ["/app.js", "/app.css", "/theme.js", "/icon.svg"] {
        assert_eq!(fixture.get(path).await.status(), 200, "{path}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn only_named_origins_read_answers_and_without_cookies() {
    let fixture = fixture().await;
    let token = operator(&fixture).await;
    let ask = async |origin: &str| {
        let request = fixture.client.get(fixture.url("/v1/me")).bearer_auth(&token);
        request.header(header::ORIGIN, origin).send().await.unwrap()
    };
    let allowed = ask(SHOP).await;
    assert_eq!(
        (allowed.status().as_u16(), &allowed.headers()["access-control-allow-origin"]),
        (200, &SHOP.parse().unwrap())
    );
    assert!(!allowed.headers().contains_key("access-control-allow-credentials"));
    let refused = ask("https://other.example.org").await;
    assert!(refused.status() == 403 && !refused.headers().contains_key("access-control-allow-origin"));
    let preflight =
        fixture.client.request(Method::OPTIONS, fixture.url("/v1/events")).header(header::ORIGIN, SHOP);
    let preflight = preflight
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    let preflight = preflight.send().await.unwrap();
    assert_eq!(preflight.status(), 200);
    assert!(preflight.headers()["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    let mut browser = Browser::new(&fixture);
    browser.post("/v1/session", json!({"token": token})).await;
    let request = fixture.client.get(fixture.url("/v1/me")).header(header::ORIGIN, SHOP);
    let with_cookie = request.header(header::COOKIE, browser.cookies().unwrap()).send().await.unwrap();
    assert_eq!(with_cookie.status(), 401);
    fixture.finish().await;
}
