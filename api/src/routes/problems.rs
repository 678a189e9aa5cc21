//! `/problems/{code}`: the page to which the `type` of a problem leads.

use axum::{
    extract::Path,
    http::header,
    response::{AppendHeaders, Html, IntoResponse},
};

use crate::problem::{Code, Problem, page};

/// The page loads nothing.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Shows the cause and the remedy of a problem.
pub async fn show(Path(name): Path<String>) -> Result<impl IntoResponse, Problem> {
    let Some(code) = Code::named(&name) else {
        let shown: String = name.chars().take(100).collect();
        let detail = format!("no problem has the code `{shown}`; `/openapi.json` lists the codes");
        return Err(Problem::new(Code::UnknownAddress, detail));
    };
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((AppendHeaders(headers), Html(page::html(code))))
}
