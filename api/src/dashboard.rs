//! The dashboard: the page at `/` and at the address of each screen.
//!
//! Its source is `dashboard/`. What `make dashboard` builds from it is committed and embedded here, so
//! that building the API needs no npm. Each file has a name that stays, so a browser asks each time
//! whether its copy is still the newest.

mod built;

use std::sync::LazyLock;

use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use built::{FILES, File, PAGE};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::state::Shared;

/// What the page may do: it loads its own files and asks this API.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                          form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The addresses of the screens. The script finds out from the address which screen to show. Each is
/// one segment, so that the relative addresses in the page hold below any prefix of a proxy.
const SCREENS: [&str; 16] = [
    "/",
    "/find",
    "/story",
    "/job",
    "/jobs",
    "/outcomes",
    "/failures",
    "/tenants",
    "/queues",
    "/queue",
    "/schedules",
    "/quarantine",
    "/operations",
    "/operation",
    "/audit",
    "/access",
];

/// The tag of the build: any change of any file is another tag.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for file in &FILES {
        digest.update(file.plain);
        digest.update(file.brotli);
    }
    format!("W/\"{}\"", &HEXLOWER.encode(&digest.finalize())[..16])
});

/// The addresses of the screens and of the files that the page loads.
pub fn routes() -> Router<Shared> {
    let page = || get(async |headers: HeaderMap| answer(&PAGE, &headers));
    let screens = SCREENS.iter().fold(Router::new(), |router, screen| router.route(screen, page()));
    FILES.iter().filter(|file| file.name != PAGE.name).fold(screens, |router, file| {
        router.route(&format!("/{}", file.name), get(async |headers: HeaderMap| answer(file, &headers)))
    })
}

fn answer(file: &'static File, asked: &HeaderMap) -> Response {
    let tag = TAG.as_str();
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept-encoding"),
        (header::ETAG, tag),
    ];
    if knows(asked, tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let media = [(header::CONTENT_TYPE, file.media)];
    if takes_brotli(asked) {
        let encoding = [(header::CONTENT_ENCODING, "br")];
        return (headers, media, encoding, file.brotli).into_response();
    }
    (headers, media, file.plain).into_response()
}

/// Whether the browser has this build. A proxy may have made the tag a strong one, or weak again.
fn knows(asked: &HeaderMap, tag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    values(asked, &header::IF_NONE_MATCH).any(|value| bare(value) == bare(tag) || value.trim() == "*")
}

fn takes_brotli(asked: &HeaderMap) -> bool {
    values(asked, &header::ACCEPT_ENCODING).any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let is_brotli = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("br"));
        let is_refused = parts.any(|part| {
            part.strip_prefix("q=")
                .and_then(|weight| weight.parse::<f32>().ok())
                .is_some_and(|weight| weight <= 0.0)
        });
        is_brotli && !is_refused
    })
}

/// The values of a header that is a list.
fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let texts = headers.get_all(name).into_iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    texts.flat_map(|text| text.split(','))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn brotli_goes_to_those_that_take_it() {
        for (offer, takes) in [
            ("gzip, deflate, br", true),
            ("br;q=0.5", true),
            ("BR", true),
            ("br;q=0, gzip", false),
            ("br; q=0.0", false),
            ("gzip, broken", false),
            ("", false),
        ] {
            assert_eq!(takes_brotli(&asked(header::ACCEPT_ENCODING, offer)), takes, "{offer}");
        }
        assert!(!takes_brotli(&HeaderMap::new()));
    }

    #[test]
    fn a_copy_of_this_build_is_not_sent_again() {
        for (tags, knows_it) in [("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false)] {
            assert_eq!(knows(&asked(header::IF_NONE_MATCH, tags), "W/\"a\""), knows_it, "{tags}");
        }
    }

    #[test]
    fn nothing_in_the_page_is_inline_or_from_elsewhere() {
        let page = std::str::from_utf8(PAGE.plain).unwrap();
        for inline in ["<style", " style=", "javascript:", " onclick", " onload", "http://", "https://"] {
            assert!(!page.contains(inline), "{inline}");
        }
        let scripts = page.matches("<script").count();
        assert!(scripts > 0);
        assert_eq!(scripts, page.matches(" src=\"./").count());
        for file in FILES.iter().filter(|file| file.name.ends_with(".js")) {
            let script = std::str::from_utf8(file.plain).unwrap();
            assert!(!script.contains("eval(") && !script.contains("new Function"), "{}", file.name);
        }
    }
}
