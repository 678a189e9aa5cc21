//! `GET /v1/jobs/{id}/files/{name}`: a file that a job's outcome names.
//!
//! The address names a job and a file of its outcome, never a key. So a client cannot reach
//! anything else in the store.

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use upshot_queue::JobId;

use crate::{
    access::Caller,
    evidence::{self, StoredFile},
    files::{ReadError, Reading},
    problem::{Code, Details, Problem},
    state::{Shared, job_id},
    view::Binary,
};

/// What a browser may do with a file, should it show one all the same: nothing.
const POLICY: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

/// Reads a file of a job's outcome.
///
/// The API checks the hash while it sends the file. A file that was altered in the store breaks off
/// before its end. A browser is told to save the file, and not to show it: it comes from a handler.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/files/{name}",
    operation_id = "read_file",
    extensions(("x-right" = json!("see-own"))),
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da"),
        ("name" = String, Path, description = "The last segment of the evidence's `key`", example = "1042.pdf"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of a copy that is there already"),
    ),
    responses(
        (status = 200, description = "The file", body = inline(Binary), content_type = "*/*",
            headers(("ETag" = String, description = "Its SHA-256"))),
        (status = 304, description = "The copy is still right"),
        (status = 400, description = "This cannot be a job's id", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No such job, or its outcome names no such file", body = Details, content_type = "application/problem+json"),
        (status = 410, description = "The outcome names it, and the store does not have it any more", body = Details, content_type = "application/problem+json"),
        (status = 501, description = "The program is built without a store", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis or the store does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn file(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = job_id(&id)?;
    let known = state.find(&caller, &id).await?;
    let files = evidence::files(&known.job);
    let file = files.into_iter().find(|file| file.name == name).ok_or_else(|| {
        let detail = format!(
            "the outcome of job {id} names no file `{name}`; its address is under `links.files` of the job"
        );
        Problem::new(Code::UnknownFile, detail)
    })?;
    let etag = file.sha256.as_ref().map(|hash| format!("\"{hash}\""));
    let mut response = if is_copied(&headers, etag.as_deref()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let reading = state.files.read(&file.key, file.sha256.clone()).await;
        content(&file, reading.map_err(|why| unreadable(&id, &file, &why))?)
    };
    if let Some(etag) = etag.and_then(|etag| etag.parse().ok()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

fn content(file: &StoredFile, reading: Reading) -> Response {
    let media = file.content_type.as_deref().unwrap_or("application/octet-stream");
    // RFC 6266 and 8187: names that are not ASCII.
    let name = utf8_percent_encode(&file.name, NON_ALPHANUMERIC);
    let headers = [
        (header::CONTENT_TYPE, media.to_owned()),
        (header::CONTENT_LENGTH, reading.bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename*=UTF-8''{name}")),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    (headers, Body::from_stream(reading.content)).into_response()
}

fn is_copied(headers: &HeaderMap, etag: Option<&str>) -> bool {
    let copies =
        headers.get(header::IF_NONE_MATCH).and_then(|copies| copies.to_str().ok()).unwrap_or_default();
    etag.is_some_and(|etag| copies.split(',').any(|copy| copy.trim().trim_start_matches("W/") == etag))
}

fn unreadable(id: &JobId, file: &StoredFile, why: &ReadError) -> Problem {
    match why {
        ReadError::Gone => {
            let detail = format!("job {id} stored `{}`, and the store does not have it any more", file.name);
            Problem::new(Code::FileGone, detail)
        }
        ReadError::NotBuilt => {
            let detail = "this program has no store: build it with the feature `files` of the crate `upshot`";
            Problem::new(Code::NotBuilt, detail)
        }
        ReadError::Unavailable(_) => {
            tracing::warn!(job = %id, %why, "a file cannot be read");
            Problem::new(Code::StoreUnavailable, "the file is there as far as is known; ask again later")
        }
    }
}
