//! Files: a secure scheme never falls back to plain text.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use upshot_runtime::settings::object_options;
use upshot_servers::Wiretap;

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
