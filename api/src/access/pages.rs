//! `/access`: the page where people log in, devices are approved, and end users see their job.
//!
//! The page is a file, a script and a style sheet. It has no inline script, and asks this API alone.

use axum::{
    Router,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{problem::Problem, state::Shared};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";
const PAGE: &str = include_str!("pages/access.html");
const SCRIPT: &str = include_str!("pages/access.js");
const STYLE: &str = include_str!("pages/access.css");
const REFUSAL: &str = include_str!("pages/refusal.html");

/// The addresses of the page.
pub fn routes() -> Router<Shared> {
    let page =
        |content: &'static str, media: &'static str| get(move || async move { answer(content, media) });
    Router::new()
        .route("/access", page(PAGE, "text/html; charset=utf-8"))
        .route("/access.js", page(SCRIPT, "text/javascript; charset=utf-8"))
        .route("/access.css", page(STYLE, "text/css; charset=utf-8"))
}

/// An answer for a person whom a browser sent here, and not a script.
pub struct Refusal {
    /// What went wrong.
    pub problem: Problem,
    /// Where the API is, for the links of the page.
    pub base: String,
}

/// Marks an answer that says itself what went wrong.
#[derive(Clone, Copy, Debug)]
pub struct Written;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, title, detail) = self.problem.for_people();
        let page = REFUSAL.replace("{base}", &escaped(&self.base));
        let page = page.replace("{title}", &escaped(title)).replace("{detail}", &escaped(detail));
        let mut response = (status, headers("text/html; charset=utf-8"), page).into_response();
        response.extensions_mut().insert(Written);
        response
    }
}

fn answer(content: &'static str, media: &'static str) -> Response {
    (StatusCode::OK, headers(media), content).into_response()
}

const fn headers(media: &'static str) -> [(HeaderName, &'static str); 3] {
    [
        (header::CONTENT_TYPE, media),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
    ]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_pages_is_inline_or_from_elsewhere() {
        for page in [PAGE, REFUSAL] {
            for inline in ["<style", " style=", "javascript:", " onclick", " onload", "http://", "https://"] {
                assert!(!page.contains(inline), "{inline}");
            }
            let scripts = page.matches("<script").count();
            assert_eq!(scripts, page.matches("<script src=").count());
        }
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval("));
    }

    #[test]
    fn a_refusal_is_text_and_no_markup() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
