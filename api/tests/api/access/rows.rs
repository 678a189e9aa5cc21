//! The table: of each operation a request about a job of the tenant `acme`.

use serde_json::{Value, json};
use upshot_access::Right;
use upshot_queue::JobId;

use super::principals::{OWN, OWN_SOURCE};
use crate::fixture::{Fixture, event, job};

/// What a principal of another tenant is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The same as everybody: the request concerns no tenant.
    Same,
    /// That the thing is not there.
    NotThere,
    /// An answer without a trace of it.
    NoTrace,
    /// That it belongs to others, because the request names the tenant itself.
    Refused,
}

/// A request about the target.
pub struct Row {
    pub operation: &'static str,
    pub query: &'static str,
    pub body: fn() -> Value,
    /// A right that this request needs besides.
    pub also: Option<Right>,
    /// Answers to a principal that may do it.
    pub done: &'static [u16],
    pub foreign: Foreign,
    /// Traces of the target that the request itself names, so that an answer may repeat them.
    pub echoes: &'static [&'static str],
}

const fn row(operation: &'static str, done: &'static [u16], foreign: Foreign) -> Row {
    Row { operation, query: "", body: || Value::Null, also: None, done, foreign, echoes: &["job"] }
}

const fn said(mut row: Row, body: fn() -> Value) -> Row {
    row.body = body;
    row
}

const fn asked(mut row: Row, query: &'static str, echoes: &'static [&'static str]) -> Row {
    (row.query, row.echoes) = (query, echoes);
    row
}

use Foreign::{NoTrace, NotThere, Refused, Same};

/// The rows. An operation without a row fails the test.
pub const ROWS: &[Row] = &[
    said(row("publish_event", &[202], Refused), || {
        let mut event = event("TARGET");
        event["tenant"] = json!(OWN);
        event["source"] = json!(OWN_SOURCE);
        event
    }),
    row("list_jobs", &[200], NoTrace),
    row("show_job", &[200], NotThere),
    row("explain_job", &[200], NotThere),
    said(row("retry_job", &[409], NotThere), || json!({})),
    said(row("cancel_job", &[202], NotThere), || json!({})),
    said(row("reschedule_job", &[202], NotThere), || json!({"delay": "1h"})),
    said(row("prioritise_job", &[202], NotThere), || json!({"priority": "high"})),
    row("watch_job", &[200], NotThere),
    asked(row("watch_jobs", &[200], NotThere), "?job={id}", &["job"]),
    row("read_file", &[404], NotThere),
    row("list_queues", &[200], Same),
    said(row("pause_queue", &[200], Same), || json!({"kind": "nothing.of.it"})),
    said(row("resume_queue", &[200], Same), || json!({"kind": "nothing.of.it"})),
    said(row("unpark", &[200], Same), || json!({"condition": "breaker:nothing"})),
    said(row("send_signal", &[200], Refused), || json!({"key": "k", "tenant": OWN})),
    said(row("confirm", &[200], Refused), || json!({"queue": "emails", "key": "k", "tenant": OWN})),
    asked(row("list_signals", &[200], Refused), "?key=k&tenant=acme", &["tenant"]),
    asked(row("withdraw_signal", &[200], Refused), "?key=k&tenant=acme", &["tenant"]),
    said(row("set_limit", &[200], Same), || json!({"key": "key:nothing"})),
    row("get_configuration", &[200], Same),
    said(
        row("put_configuration", &[200, 400, 409], Same),
        || json!({"configuration": {}, "expect_version": 77}),
    ),
    said(row("end_outbox_group", &[200, 404], Same), || json!({"group": "nothing"})),
    row("list_schedules", &[200], NoTrace),
    said(
        row("create_schedule", &[201], Refused),
        || json!({"name": "nightly", "queue": "emails", "job": "order.confirm", "cron": "0 3 1 1 *", "tenant": OWN}),
    ),
    said(row("apply_schedules", &[409], Same), || json!({"schedules": [], "expect_version": 77})),
    // No schedule has the name of the address.
    row("show_schedule", &[404], Same),
    said(
        row("replace_schedule", &[404], Same),
        || json!({"name": "a.pdf", "queue": "emails", "job": "order.confirm", "every": "1h", "tenant": OWN}),
    ),
    said(row("pause_schedule", &[404], Same), || json!({})),
    said(row("resume_schedule", &[404], Same), || json!({})),
    said(row("run_schedule", &[404], Same), || json!({})),
    row("remove_schedule", &[404], Same),
    row("list_dead", &[200], Same),
    row("get_dead_group", &[404], Same),
    row("list_tenants", &[200], NoTrace),
    Row { echoes: &["job", "tenant"], ..row("show_tenant", &[200], Refused) },
    row("list_quarantine", &[200], Same),
    row("show_quarantined", &[404], Same),
    Row {
        also: Some(Right::Replay),
        ..said(
            row("create_operation", &[202, 409], Refused),
            || json!({"queue": "emails", "act": "retry", "filter": {"state": "dead", "tenant": OWN}}),
        )
    },
    row("list_operations", &[200], NoTrace),
    row("show_operation", &[404], Same),
    row("list_refusals", &[404], Same),
    said(row("start_operation", &[404], Same), || json!({})),
    said(row("pause_operation", &[404], Same), || json!({})),
    said(row("resume_operation", &[404], Same), || json!({})),
    said(row("abort_operation", &[404], Same), || json!({})),
    Row { also: Some(Right::See), ..row("list_outcomes", &[200], NoTrace) },
    asked(row("sum_up_outcomes", &[200], NoTrace), "?by=tenant", &[]),
    row("show_outcome", &[200], NotThere),
    said(row("waive_outcome", &[200], NotThere), || json!({"reason": "settled"})),
    said(row("note_outcome", &[200], NotThere), || json!({"note": "seen"})),
    said(row("own_outcome", &[200], NotThere), || json!({"owner": "billing"})),
    row("list_objectives", &[200], Same),
    row("list_alarms", &[200], Same),
    row("show_overview", &[200], Same),
    Row { echoes: &["job", "subject"], ..row("tell_story", &[200], NotThere) },
    row("erase_subject", &[200], Same),
    row("show_me", &[200], Same),
    said(
        row("create_token", &[201], Refused),
        || json!({"name": "n", "role": "viewer", "tenants": [OWN], "sources": ["*"]}),
    ),
    row("list_tokens", &[200], NoTrace),
    said(row("rotate_token", &[404], Same), || json!({})),
    row("revoke_token", &[404], Same),
    row("show_access", &[200], Same),
    // After ten failures of one client there are no more.
    said(row("begin_session", &[401, 429], Same), || json!({"token": "upk_x"})),
    row("end_session", &[204], Same),
    row("begin_login", &[404], Same),
    row("finish_login", &[404], Same),
    said(row("begin_device", &[404], Same), || json!({"name": "laptop"})),
    asked(row("show_device", &[404, 429], Same), "?user_code=BBBB-BBBB", &[]),
    said(row("poll_device", &[400, 429], Same), || json!({"device_code": "x"})),
    said(row("decide_device", &[403], Same), || json!({"user_code": "BBBB-BBBB", "approve": true})),
    asked(row("end_sessions", &[200], Same), "?issuer=a&subject=b", &[]),
    said(row("create_ticket", &[201], Same), || json!({"path": "/v1/jobs"})),
    said(row("create_link", &[201], Refused), || json!({"subject": "s", "tenant": OWN})),
    row("revoke_link", &[200], Same),
    row("revoke_links", &[204], Same),
    row("list_acts", &[200], Same),
    row("healthz", &[200], Same),
    row("readyz", &[200, 503], Same),
    row("metrics", &[200], Same),
];

/// A job of the tenant `acme`, about which each request is.
pub struct Target {
    pub id: JobId,
    name: String,
}

/// Enqueues a target.
pub async fn target(fixture: &Fixture) -> Target {
    let name = JobId::random().to_string();
    let id = fixture.enqueue("emails", job(&name, "order.confirm")).await;
    Target { id, name }
}

impl Target {
    /// The address of a request.
    pub fn fill(&self, path: &str, query: &str) -> String {
        let subject = format!("order-{}", self.name);
        let path =
            path.replace("{subject}", &subject).replace("{queue}", "emails").replace("{name}", "a.pdf");
        let path = path.replace("{group}", "0123456789abcdef").replace("{tenant}", OWN);
        let path = path.replace("{token}", "000000000000").replace("{id}", self.id.as_str());
        let path = path.replace("{link}", "0123456789abcdef-1");
        format!("{path}{}", query.replace("{id}", self.id.as_str()))
    }

    /// The body of a request. The event of the target has its id.
    pub fn fill_body(&self, mut body: Value) -> Value {
        if body["id"] == "TARGET" {
            body["id"] = json!(self.name);
        }
        body
    }

    /// What no principal of another tenant may be told, each with its name.
    pub fn traces(&self) -> [(&'static str, String); 3] {
        [
            ("subject", format!("order-{}", self.name)),
            ("job", self.id.to_string()),
            ("tenant", format!("\"{OWN}\"")),
        ]
    }
}
