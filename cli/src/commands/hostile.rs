//! No page shows any field of the API's answers raw, or grows a line because of one.

use proptest::prelude::*;
use serde_json::{Value, json};
use upshot_shared::visible::is_shown;

use super::{
    alarms, audit_log, dead, follow, job_page, jobs, me, objectives, operation, outcomes, overview,
    quarantine, queues, schedules, story, tenants, timeline, token, why,
};
use crate::output::{Page, Table, tests::written};

/// A job with every field that a page shows.
fn job(text: &str) -> Value {
    json!({
        "id": text, "state": text, "kind": text, "version": 1, "queue": text, "priority": text, "subject": text,
        "tenant": text, "event": {"type": text, "id": text, "source": text}, "limit_keys": [text],
        "enqueued_at": text, "since": text, "expected_by": text, "deadline": text, "cancel_asked_at": text,
        "waiting_for": {"reason": text, "class": text, "retry_at": text}, "parked": {"condition": text, "why": text},
        "awaiting": {"key": text, "since": text, "until": text, "on_silence": text},
        "progress": {"percent": 60, "step": text, "message": text}, "attempts": 3, "failures": {text: 2},
        "worker": text, "duplicates": 1, "successor": text,
        "clock": {"whole_ms": 90, "run_ms": 60, "queue_ms": 30, "is_skewed": true},
        "steps": [{"name": text, "completed_at": text, "result": {text: text}}],
        "begun_effects": [{"name": text, "began_at": text}],
        "history": [{"attempt": 1, "at": text, "class": text, "message": text}],
        "outcome": {"summary": text, "evidence": [{"kind": text, "href": text, text: text}],
            "parts": [{"name": text, "weight": 1, "reason": text}]},
        "links": {"self": text, "outcome": text, "files": [text]},
    })
}

fn group(text: &str) -> Value {
    json!({"fingerprint": text, "queue": text, "class": text, "kind": text, "message": text, "first_seen": text,
        "last_seen": text, "again_since": text, "count": 1, "dead": 1, "retrying": 1, "sample": text,
        "hours": [{"at": text, "count": 1}], "tenants": [{"tenant": text, "count": 1}], "other_tenants": 1,
        "acts": [{"at": text, "by": text, "retried": 1, "succeeded": 1}]})
}

fn tenant(text: &str) -> Value {
    let figures = json!({"achieved_in_time": 1, "missed": 1, "share_in_time": 0.5});
    json!({"tenant": text, "as_of": text, "open": 2, "overdue": 1, "days": figures, "today": figures, "by_day": [{"day": text, "missed": 1}],
        "causes": [{"group": text, "count": 1, "class": text, "kind": text, "message": text}]})
}

fn queues(text: &str) -> Value {
    let limit = json!({"key": text, "concurrency": 1, "rate": 1.5, "burst": 1, "weight": 1.0, "running": 1});
    let queue = json!({"name": text, "paused": true, "paused_kinds": [text],
        "workers": {"count": 1, "slots": 16, "kinds_without_worker": [text]}, "limits": [limit],
        "outbox": {"entries": 1, "groups": [{"name": text, "needs_since": text}]},
        "conditions": [{"condition": text, "jobs": 1}]});
    let depth = json!({"queue": text, "messages": 1, "consumers": 0});
    json!({"queues": [queue], "rabbitmq": {"intake": depth, "confirmations": depth, "quarantine": depth}})
}

fn quarantined(text: &str) -> Value {
    json!({"id": text, "reason": text, "place": text, "detail": text, "type": text, "source": text,
        "event_id": text, "subject": text, "routing_key": text, "size": 1, "times": 1, "first_seen": text,
        "last_seen": text})
}

fn summary(text: &str) -> Value {
    json!({"listed": 1, "copies": 1, "in_rabbitmq": 1, "unlisted": 1, "missing": 1, "oldest": text,
        "reasons": {text: {"listed": 1, "received": 1}}})
}

fn act(text: &str) -> Value {
    json!({"id": text, "at": text, "ended_at": text, "result": text, "principal": {"kind": text, "name": text},
        "address": text, "operation": text, "target": {text: text}, "reason": text, "problem": text})
}

fn suppressed(text: &str) -> Value {
    json!({"at": text, "result": text, "suppressed": {"refusals": 3, "addresses": {text: 3}}})
}

fn entry(text: &str) -> Value {
    json!({"at": text, "what": text, "did": text, "attempt": 1, "worker": text, "percent": 1, "step": text,
        "class": text, "message": text, "state": text})
}

fn outcome(text: &str) -> Value {
    let remark = json!({"at": text, "text": text, "by": text});
    json!({"job": text, "queue": text, "kind": text, "route": text, "tenant": text, "subject": text,
        "status": text, "at_risk": true, "expected_by": text, "attempts": 1, "summary": null,
        "reason": {"class": text, "message": text}, "waits_for": text, "waived": null, "owner": remark, "note": remark,
        "forgotten": true})
}

fn story(text: &str) -> Value {
    let entry = json!({"at": text, "until": text, "job": text, "text": text, "receipt": text});
    json!({"subject": text, "outcomes": [outcome(text), outcome(text)], "story": [entry]})
}

fn why(text: &str) -> Value {
    json!({"job": text, "reason": text, "text": text, "since": text, "also": [{"reason": text, "text": text}],
        "details": {"holders": [text], "builds": [text], "condition": text},
        "estimate": {"start": [text, text], "finish": [text, text]}})
}

fn overview(text: &str) -> Value {
    let outcomes = json!({"open": 1, "at_risk": 1, "overdue": 1, "oldest_due": text, "reopened": 1,
        "last_hour": {"received": 1, "missed": 1}});
    let infrastructure = json!({"ready": 1, "next_ready_since": text, "unread_events": 1, "bridges": 1});
    json!({"routes": [{"route": text, "queue": text, "kind": text, "outcomes": outcomes,
        "infrastructure": infrastructure, "flags": [{"flag": text, "words": text}]}]})
}

fn alarms(text: &str) -> Value {
    let alarm = |on_since: Option<&str>| {
        json!({"alarm": text, "severity": text, "labels": {text: text}, "summary": text, "remedy": text, "since": text,
            "seen_at": text, "on_since": on_since, "told_at": text})
    };
    let webhook = json!({"is_set": true, "is_gone": false, "waiting": 1, "last_failure": text});
    json!({"looked_at": text, "alarms": [alarm(Some(text)), alarm(None)], "webhook": webhook})
}

fn objectives(text: &str) -> Value {
    json!({"objectives": [{"route": text, "queue": text, "objective": 0.999, "not_in_time": 1, "budget_left": -0.5,
        "burn": [{"rate": 1.5}, {"rate": null}], "pace": text}]})
}

fn schedule(text: &str) -> Value {
    let due = |mark: &str, skipped: u64| json!({"at": text, "local": text, "starts_at": text, "mark": mark, "skipped": skipped});
    let definition = json!({"name": text, "queue": text, "job": text, "version": 1, "cron": text, "zone": text,
        "tenant": text, "subject": text, "within": text, "jitter": text, "catch_up": text, "catch_up_most": 100,
        "arguments": {text: text}});
    json!({"name": text, "queue": text, "version": 1, "origin": text, "by": text, "changed_at": text,
        "definition": definition, "words": text, "paused": {"at": text, "by": text},
        "next": [due("after_gap", 0), due(text, 2)], "runs": 3, "missed": 1,
        "last": {"due": text, "at": text, "job": text, "state": text, "outcome": text},
        "troubles": [{"trouble": text, "words": text}]})
}

fn figures(text: &str, by: &str) -> Value {
    let cause = json!({"group": text, "class": text, "kind": text, "message": text});
    let quantiles = json!({"p50_ms": 1, "p95_ms": 20, "p99_ms": 300});
    let times =
        json!({"whole": quantiles, "stages": {"run": quantiles}, "oldest_open": {"job": text, "age_ms": 1}});
    json!({"by": by, "from": text, "to": text, "times_from": text,
        "rows": [{"name": text, "cause": cause, "missed": 1, "times": times}]})
}

fn scope(text: &str) -> Value {
    json!({"tenants": [text, text], "queues": [text], "sources": ["*"]})
}

fn principal(text: &str) -> Value {
    json!({"kind": text, "name": text, "role": text, "rights": [text, text], "scope": scope(text), "until": text})
}

fn api_token(text: &str) -> Value {
    json!({"id": text, "name": text, "role": text, "scope": scope(text), "used_at": text, "expires_at": text})
}

fn an_operation(text: &str) -> Value {
    let counted = json!({"jobs": 3, "refused": 1, "tenants": [{"tenant": text, "jobs": 3}], "other_tenants": 1,
        "causes": [{"group": text, "class": text, "kind": text, "message": text, "jobs": 3}], "other_causes": 1,
        "reasons": {text: 1}});
    json!({"id": text, "state": text, "act": text, "queue": text, "details": {text: text},
        "filter": {text: text, "ids": 3}, "reason": text, "by": text, "created_at": text, "started_at": text,
        "ended_at": text, "changed": 3, "refused": 1, "left": 2, "gone": 1, "rate": 1.5, "failed_again": 2,
        "stopped_by": {"group": text, "jobs": 2}, "why": text, "counted": counted})
}

/// Every page, one below the other.
fn pages(page: &mut Page, text: &str) {
    let now = "2026-03-14T09:30:00Z".parse().unwrap();
    job_page::print(page, &job(text), now);
    dead::print(page, &[group(text), group(text)], true, now);
    dead::print_history(page, &group(text), now);
    tenants::print(page, &tenant(text));
    page.table(&mut tenants::table(), &[tenants::row(&tenant(text))]);
    queues::print(page, &queues(text));
    page.table(Table::bare().wrapping(&[2]), &[timeline::row(&entry(text))]);
    page.text(follow::told(text, &job(text)));
    page.table(&mut jobs::table(), &[jobs::row(&job(text), now)]);
    quarantine::print(page, &quarantined(text), now);
    quarantine::counts(page, &summary(text), now);
    page.table(&mut quarantine::table(), &[quarantine::row(&quarantined(text), now)]);
    page.table(&mut outcomes::table(), &[outcomes::row(&outcome(text), now)]);
    page.table(&mut outcomes::overdue_table(), &[outcomes::overdue_row(&outcome(text), now)]);
    page.table(&mut audit_log::table(), &[audit_log::row(&act(text)), audit_log::row(&suppressed(text))]);
    story::print(page, &story(text), now);
    why::print(page, &why(text), now);
    overview::print(page, &overview(text), now);
    objectives::print(page, &objectives(text));
    alarms::print(page, &alarms(text), now);
    schedules::print(page, &schedule(text), now);
    schedules::print_list(page, &json!({"schedules": [schedule(text)]}), now);
    operation::print(page, &an_operation(text), now);
    page.table(&mut operation::table(), &[operation::row(&an_operation(text), now)]);
    me::print(page, text, &principal(text), now);
    page.table(&mut token::table(), &[token::row(&api_token(text), now)]);
    for by in ["route", "cause"] {
        outcomes::figures(page, &figures(text, by));
    }
}

proptest! {
    #[test]
    fn no_field_forges_a_line_or_is_written_raw(text in any::<String>(), width in prop::option::of(40_u16..200)) {
        // An empty value is left out of a page.
        let text = format!("x{text}");
        let shown = written(false, width, |out| out.answer(&(), |page| pages(page, &text)).unwrap());
        prop_assert!(shown.chars().all(|char| char == '\n' || is_shown(char)), "{shown:?}");
        let unwrapped = written(false, None, |out| out.answer(&(), |page| pages(page, &text)).unwrap());
        let plain = written(false, None, |out| out.answer(&(), |page| pages(page, "x")).unwrap());
        prop_assert_eq!(unwrapped.lines().count(), plain.lines().count(), "{:?}", unwrapped);
    }
}

#[test]
fn pages_of_ordinary_length_fit_80_columns() {
    let text = "order-1042 of 2026-03-14, which somebody described in a long sentence about what went wrong";
    let shown = written(false, Some(80), |out| {
        out.answer(&(), |page| {
            let now = "2026-03-14T09:30:00Z".parse().unwrap();
            let mut job = job(text);
            job["id"] = json!("mrtu2hq6wcbcvkoxmzkhxbs7da");
            for name in ["state", "priority"] {
                job[name] = json!("succeeded");
            }
            job["history"][0]["class"] = json!("transient");
            job["steps"][0]["name"] = json!("render");
            job["outcome"]["evidence"][0]["kind"] = json!("object");
            job["since"] = json!("2026-03-14T09:26:53.589Z");
            job["begun_effects"][0]["name"] = json!("charge");
            for (list, name) in [("steps", "completed_at"), ("begun_effects", "began_at"), ("history", "at")]
            {
                job[list][0][name] = json!("2026-03-14T09:26:53.589Z");
            }
            job["links"] = Value::Null;
            job_page::print(page, &job, now);
            page.table(&mut jobs::table(), &[jobs::row(&job, now)]);
            let mut queues = queues("invoices");
            queues["queues"][0]["conditions"][0]["condition"] = json!(text);
            queues::print(page, &queues);
            let mut quarantined = quarantined(text);
            quarantined["id"] = json!("mrtu2hq6wcbcvkoxmzkhxbs7da");
            quarantined["reason"] = json!("conflicting_duplicate");
            for name in ["first_seen", "last_seen"] {
                quarantined[name] = json!("2026-03-14T09:26:53.589Z");
            }
            quarantine::print(page, &quarantined, now);
            page.table(&mut quarantine::table(), &[quarantine::row(&quarantined, now)]);
            let mut summary = summary("contract_violation");
            summary["oldest"] = json!("2026-03-14T09:26:53.589Z");
            quarantine::counts(page, &summary, now);
            let mut outcome = outcome(text);
            outcome["job"] = json!("mrtu2hq6wcbcvkoxmzkhxbs7da");
            outcome["status"] = json!("achieved_in_time");
            outcome["expected_by"] = json!("2026-03-14T09:26:53.589Z");
            outcome["owner"]["text"] = json!("billing");
            page.table(&mut outcomes::table(), &[outcomes::row(&outcome, now)]);
            page.table(&mut outcomes::overdue_table(), &[outcomes::overdue_row(&outcome, now)]);
            let mut act = act(text);
            act["at"] = json!("2026-03-14T09:26:53.589Z");
            act["operation"] = json!("put_configuration");
            (act["result"], act["problem"]) = (json!("refused"), json!("right-missing"));
            page.table(&mut audit_log::table(), &[audit_log::row(&act)]);
            outcome["kind"] = json!("invoice.issue");
            let mut principal = principal("viewer");
            principal["rights"] =
                json!(["publish", "see-own", "see", "see-arguments", "see-metrics", "see-audit", text]);
            me::print(page, "https://upshot.example", &principal, now);
            let mut token = api_token("0f3a5b7c9d1e");
            token["name"] = json!(text);
            token["role"] = json!("administrator");
            for name in ["used_at", "expires_at"] {
                token[name] = json!("2026-03-14T09:26:53.589Z");
            }
            page.table(&mut token::table(), &[token::row(&token, now)]);
            let entry = json!({"at": "2026-03-14T09:26:53.589Z", "text": text});
            let told = json!({"subject": text, "outcomes": [outcome], "story": [entry]});
            story::print(page, &told, now);
        })
        .unwrap();
    });
    let wide = shown.lines().find(|line| line.chars().count() > 80);
    assert!(wide.is_none(), "{wide:?} in\n{shown}");
}
