//! The dashboard's files: who gets them, and how often.

use reqwest::{Method, header};
use upshot_runtime::settings::AuthMode;

use crate::fixture::{Fixture, NOBODY};

async fn fixture() -> Fixture {
    let redis = upshot_testkit::shared_redis().await.url();
    Fixture::with(&redis, &format!("amqp://{NOBODY}"), |settings| settings.api.auth = AuthMode::Required)
        .await
}

#[tokio::test]
async fn everybody_gets_the_page_at_the_address_of_each_screen() {
    let fixture = fixture().await;
    for path in ["/", "/job?id=x", "/story?subject=order%2F1", "/outcomes", "/access"] {
        let answer = fixture.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"), "{path}");
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert!(answer.text().await.unwrap().contains("app.js"), "{path}");
    }
    // An address that is no screen is unknown, also to a browser.
    let unknown = fixture.client.get(fixture.url("/nowhere")).header(header::ACCEPT, "text/html");
    assert_eq!(unknown.send().await.unwrap().status(), 404);
    assert_eq!(fixture.client.post(fixture.url("/jobs")).send().await.unwrap().status(), 405);
    fixture.finish().await;
}

#[tokio::test]
async fn a_browser_loads_each_file_once_for_each_build() {
    let fixture = fixture().await;
    for path in ["/", "/app.js", "/app.css", "/theme.js", "/progress.js", "/icon.svg"] {
        let ask = async |method: Method, name: header::HeaderName, value: &str| {
            fixture.client.request(method, fixture.url(path)).header(name, value).send().await.unwrap()
        };
        let plain = ask(Method::GET, header::ACCEPT_ENCODING, "identity").await;
        let headers = plain.headers().clone();
        assert!(!headers.contains_key(header::CONTENT_ENCODING), "{path}");
        assert_eq!(
            (&headers[header::CACHE_CONTROL], &headers[header::VARY]),
            (&"no-cache".parse().unwrap(), &"accept-encoding".parse().unwrap())
        );
        let content = plain.bytes().await.unwrap();
        let small = ask(Method::GET, header::ACCEPT_ENCODING, "gzip, br").await;
        assert_eq!(small.headers()[header::CONTENT_ENCODING], "br", "{path}");
        assert_eq!(small.headers()[header::ETAG], headers[header::ETAG]);
        assert!(small.bytes().await.unwrap().len() < content.len(), "{path}");
        let again = ask(Method::GET, header::IF_NONE_MATCH, headers[header::ETAG].to_str().unwrap()).await;
        assert_eq!((again.status().as_u16(), &again.headers()[header::ETAG]), (304, &headers[header::ETAG]));
        assert!(again.bytes().await.unwrap().is_empty());
        let older = ask(Method::HEAD, header::IF_NONE_MATCH, "W/\"older\"").await;
        assert_eq!(older.status(), 200);
    }
    fixture.finish().await;
}
