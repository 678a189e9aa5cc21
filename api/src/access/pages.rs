//! The answer for a person whom a browser sent here, where a script would get a problem.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use crate::{dashboard::POLICY, problem::Problem};

const REFUSAL: &str = include_str!("pages/refusal.html");

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
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        let mut response = (status, headers, page).into_response();
        response.extensions_mut().insert(Written);
        response
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_page_is_inline_or_from_elsewhere() {
        for inline in ["<style", " style=", "javascript:", " onclick", " onload", "http://", "https://"] {
            assert!(!REFUSAL.contains(inline), "{inline}");
        }
        let scripts = REFUSAL.matches("<script").count();
        assert_eq!(scripts, REFUSAL.matches("<script src=").count());
    }

    #[test]
    fn a_refusal_is_text_and_no_markup() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
