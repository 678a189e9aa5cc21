//! The audit log: what principals do is on record, without secrets.

use std::collections::BTreeMap;

use redis::AsyncCommands;
use reqwest::Method;
use serde_json::{Value, json};
use upshot_access::{Rights, Role, Scope, keys::Keys};
use upshot_queue::State;
use upshot_testkit::within;

use super::{
    Operation, operations,
    principals::{self, Tenants, token},
    row, rows,
};
use crate::{
    fixture::{Fixture, job},
    people::Browser,
};

/// What no entry may have.
const MARKER: &str = "zq7-marker";

/// All acts that a query finds.
async fn acts(fixture: &Fixture, query: &str) -> Vec<Value> {
    let (mut found, mut path) = (Vec::new(), format!("/v1/audit?limit=20{query}"));
    loop {
        let page =
            fixture.client.get(fixture.url(&path)).bearer_auth(reader(fixture).await).send().await.unwrap();
        let page: Value = page.json().await.unwrap();
        found.extend(page["acts"].as_array().unwrap_or_else(|| panic!("{page}")).iter().cloned());
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => return found,
        }
    }
}

/// A token that may read the log.
async fn reader(fixture: &Fixture) -> String {
    token(fixture, Role::Administrator, Scope::everything(), Rights::default()).await
}

/// Everything that Redis holds of the log.
async fn stored(fixture: &Fixture) -> String {
    let keys = Keys::new(fixture.connector.prefix());
    let mut conn = fixture.connector.connect().unwrap();
    let mut all = String::new();
    for key in [keys.acts(), keys.refusals()] {
        let entries: Vec<(String, Vec<String>)> = conn.xrange_all(&key).await.map(readable).unwrap();
        all.push_str(&format!("{entries:?}\n"));
    }
    all
}

fn readable(entries: redis::streams::StreamRangeReply) -> Vec<(String, Vec<String>)> {
    let text = |value: redis::Value| redis::from_redis_value::<String>(value).unwrap_or_default();
    let fields = |entry: redis::streams::StreamId| {
        (entry.id, entry.map.into_iter().map(|(name, value)| format!("{name} {}", text(value))).collect())
    };
    entries.ids.into_iter().map(fields).collect()
}

/// A body with secrets in it, as an operation takes it and as it does not.
fn bodies(operation: &str, said: &Value) -> Vec<Value> {
    let mut bodies = vec![said.clone()];
    match operation {
        "retry_job" => bodies.push(json!({"args": {"name": MARKER}, "repeat_steps": ["render"]})),
        "send_signal" => bodies.push(json!({"key": "k", "tenant": "acme", "payload": {"by": MARKER}})),
        "confirm" => {
            let mut body = said.clone();
            body["evidence"] = json!({"by": MARKER});
            bodies.push(body);
        }
        _ => {}
    }
    for name in ["args", "payload", "token", "secret", "password", "code", "credential", MARKER] {
        let mut body = if said.is_object() { said.clone() } else { json!({}) };
        body[name] = json!({ "value": MARKER });
        bodies.push(body);
    }
    bodies
}

#[tokio::test]
async fn every_change_is_on_record_without_secrets() {
    let fixture = Fixture::guarded().await;
    let administrator = principals::asker(&fixture, Role::Administrator, Tenants::All).await;
    let mut done: BTreeMap<String, (String, String, bool)> = BTreeMap::new();
    // What needs no right of its own is a login, or a credential for a stream.
    let is_change = |operation: &Operation| {
        operation.method != "GET" && !["none", "any"].contains(&operation.right.as_str())
    };
    for operation in operations().into_iter().filter(is_change) {
        let row = row(&operation);
        let target = rows::target(&fixture).await;
        let (path, said) = (target.fill(&operation.path, row.query), target.fill_body((row.body)()));
        if operation.id == "publish_event" {
            administrator.ask(&fixture, &operation.method, &path, &said).await;
            continue;
        }
        for body in bodies(&operation.id, &said) {
            let answer = administrator.ask(&fixture, &operation.method, &path, &body).await;
            let key = format!("{} {}", operation.id, target.id);
            let is_done = answer.status < 400;
            let entry = done.entry(key).or_insert((operation.id.clone(), operation.right.clone(), false));
            entry.2 |= is_done;
        }
        // A parameter that nothing knows, and a credential where an id belongs.
        let sly = format!("{path}{}token={MARKER}", if path.contains('?') { '&' } else { '?' });
        administrator.ask(&fixture, &operation.method, &sly, &said).await;
        let slip = path.replace("000000000000", &format!("upk_0f3a5b7c9d1e_{MARKER}"));
        administrator.ask(&fixture, &operation.method, &slip, &said).await;
    }
    let all = stored(&fixture).await;
    assert!(!all.contains(MARKER), "{}", all.lines().find(|line| line.contains(MARKER)).unwrap_or_default());
    assert!(!all.contains("publish_event"));
    for (operation, right, is_done) in done.into_values() {
        let acts = acts(&fixture, &format!("&operation={operation}")).await;
        assert!(acts.len() > 5, "{operation} has {} acts", acts.len());
        for act in &acts {
            assert_eq!((act["right"].as_str(), &act["principal"]["kind"]), (Some(&*right), &json!("token")));
            assert_eq!(act["address"], "127.0.0.1");
            assert!(act["status"].is_u64() && act["ended_at"].is_string(), "{act}");
            let ended = if act["status"].as_u64().unwrap() < 400 { "done" } else { "failed" };
            assert_eq!(act["result"], ended, "{act}");
            assert_eq!(act["problem"].is_null(), ended == "done", "{act}");
        }
        assert_eq!(acts.iter().any(|act| act["result"] == "done"), is_done, "{operation}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn logins_and_logouts_are_on_record_with_whom_they_made_known() {
    let fixture = Fixture::guarded().await;
    let viewer = token(&fixture, Role::Viewer, Scope::everything(), Rights::default()).await;
    let mut browser = Browser::new(&fixture);
    assert_eq!(browser.post("/v1/session", json!({"token": viewer})).await.0, 200);
    assert_eq!(browser.json(Method::DELETE, "/v1/session", None).await.0, 204);
    // Nobody logs out here, and nothing is to be told.
    assert_eq!(browser.json(Method::DELETE, "/v1/session", None).await.0, 204);
    for operation in ["begin_session", "end_session"] {
        // Logins are written behind their answer.
        let acts = within("the login is on record", async {
            loop {
                let acts = acts(&fixture, &format!("&operation={operation}")).await;
                if !acts.is_empty() {
                    return acts;
                }
            }
        });
        let acts = acts.await;
        assert_eq!(acts.len(), 1, "{acts:?}");
        assert_eq!((&acts[0]["result"], &acts[0]["principal"]["kind"]), (&json!("done"), &json!("token")));
    }
    let secret = viewer.rsplit('_').next().unwrap();
    assert!(!stored(&fixture).await.contains(secret));
    fixture.finish().await;
}

#[tokio::test]
async fn a_change_that_cannot_be_put_on_record_is_not_made() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let keys = Keys::new(fixture.connector.prefix());
    let mut conn = fixture.connector.connect().unwrap();
    // Redis refuses the entry, as it does while it is away or read-only.
    let () = conn.set(keys.acts(), "damaged").await.unwrap();
    let refused = fixture.change(&format!("/v1/jobs/{id}/cancel"), json!({}), 503).await;
    assert!(refused["detail"].as_str().unwrap().contains("nothing was changed"), "{refused}");
    let state = fixture.queue("emails").job(&id).await.unwrap().unwrap().state;
    assert_eq!(state, State::Ready);
    let () = conn.del(keys.acts()).await.unwrap();
    fixture.change(&format!("/v1/jobs/{id}/cancel"), json!({}), 202).await;
    fixture.finish().await;
}

#[tokio::test]
async fn an_entry_says_what_was_there_before_and_what_is_there_now() {
    let fixture = Fixture::guarded().await;
    let secret = reader(&fixture).await;
    let ask = async |method: &str, path: String, said: Value| {
        let request =
            fixture.client.request(method.parse().unwrap(), fixture.url(&path)).bearer_auth(&secret);
        let answer = request.header("x-request-id", "ticket-7").json(&said).send().await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.text().await.unwrap());
    };
    let mut of_ann = job("1", "order.confirm");
    of_ann.args = r#"{"customer":{"name":"ann"},"lines":[1,2]}"#.into();
    of_ann.labels.clear();
    let id = fixture.enqueue("emails", of_ann).await;
    ask("POST", format!("/v1/jobs/{id}/priority"), json!({"priority": "high"})).await;
    ask("POST", format!("/v1/outcomes/{id}/waive"), json!({"reason": "called", "by": "mallory"})).await;
    ask("POST", format!("/v1/jobs/{id}/cancel"), json!({})).await;
    ask("POST", "/v1/queues/emails/pause".to_owned(), json!({})).await;
    let find = async |operation: &str| {
        let found = acts(&fixture, &format!("&operation={operation}")).await;
        assert_eq!(found.len(), 1, "{operation}");
        found.into_iter().next().unwrap()
    };
    let act = find("prioritise_job").await;
    assert_eq!((&act["before"]["priority"], &act["after"]["priority"]), (&json!("normal"), &json!("high")));
    assert_eq!(
        act["target"],
        json!({"id": id.as_str(), "queue": "emails", "subject": "order-1", "tenant": "acme"})
    );
    assert_eq!((&act["request_id"], &act["asked"]), (&json!("ticket-7"), &json!({"priority": "high"})));
    let act = find("waive_outcome").await;
    assert_eq!((&act["reason"], &act["after"]["outcome"]), (&json!("called"), &json!("waiving")));
    let act = find("cancel_job").await;
    assert_eq!((&act["before"]["state"], &act["after"]["state"]), (&json!("ready"), &json!("cancelled")));
    let act = find("pause_queue").await;
    assert_eq!((&act["before"], &act["after"]), (&json!({"paused": false}), &json!({"paused": true})));
    // The author is the principal, whatever the request says.
    let waived = fixture.queue("emails").job(&id).await.unwrap().unwrap().waived.unwrap();
    assert!(waived.by.starts_with("token administrator ("), "{}", waived.by);
    for (query, most) in
        [("&target=order-1", 3), ("&right=pause", 1), ("&result=failed", 0), ("&principal=administrator", 4)]
    {
        assert_eq!(acts(&fixture, query).await.len(), most, "{query}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn other_arguments_are_told_by_their_digest_and_where_they_differ() {
    let fixture = Fixture::new().await;
    let mut dead = job("1", "unknown.kind");
    dead.args = r#"{"customer":{"name":"ann"},"n":1}"#.into();
    dead.labels.clear();
    let id = fixture.enqueue("emails", dead).await;
    let said = json!({"args": {"customer": {"name": "bob"}, "n": 1}});
    let answer = fixture.send("POST", &format!("/v1/jobs/{id}/retry"), &said).await;
    // The job waits: the act failed, and is on record with what was asked.
    assert_eq!(answer.status(), 409);
    let log = fixture.json("/v1/audit?operation=retry_job", 200).await;
    let act = &log["acts"][0];
    assert_eq!((&act["result"], &act["problem"]), (&json!("failed"), &json!("not-dead")));
    assert_eq!(act["after"]["arguments"]["changed"], json!(["/customer/name"]));
    assert_eq!(act["after"]["arguments"]["digest"], act["asked"]["args"]["digest"]);
    assert_ne!(act["before"]["arguments"], act["after"]["arguments"]["digest"]);
    assert!(!act.to_string().contains("bob") && !act.to_string().contains("ann"), "{act}");
    fixture.finish().await;
}

#[tokio::test]
async fn without_authentication_acts_are_on_record_and_the_named_author_stays() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    fixture.change(&format!("/v1/outcomes/{id}/note"), json!({"note": "seen", "by": "ada"}), 200).await;
    let log = fixture.json("/v1/audit?principal=local", 200).await;
    assert_eq!((&log["acts"][0]["operation"], &log["next"]), (&json!("note_outcome"), &Value::Null));
    assert_eq!(log["acts"][0]["principal"], json!({"kind": "local", "id": null, "name": "local"}));
    assert_eq!(fixture.queue("emails").job(&id).await.unwrap().unwrap().note.unwrap().by, "ada");
    for bad in ["right=root", "result=bad", "cursor=x", "principal=", "limit=0", "from=x", "who=ada"] {
        fixture.json(&format!("/v1/audit?{bad}"), 400).await;
    }
    fixture.finish().await;
}

#[tokio::test]
async fn refusals_and_failed_logins_are_on_record_and_bounded() {
    let fixture = Fixture::guarded().await;
    let viewer = principals::asker(&fixture, Role::Viewer, Tenants::Own).await;
    let target = rows::target(&fixture).await;
    let path = format!("/v1/jobs/{}/cancel", target.id);
    assert_eq!(viewer.ask(&fixture, "POST", &path, &json!({})).await.status, 403);
    let refused = async |least: usize| {
        let refused = async {
            loop {
                let found = acts(&fixture, "&result=refused").await;
                if found.len() >= least {
                    return found;
                }
            }
        };
        within("refusals are on record", refused).await
    };
    let [act] = &refused(1).await[..] else { panic!("one refusal") };
    assert_eq!((&act["operation"], &act["right"]), (&json!("cancel_job"), &json!("cancel")));
    assert_eq!((&act["problem"], &act["status"]), (&json!("missing-right"), &json!(403)));
    assert_eq!(
        (&act["principal"]["kind"], &act["target"]["id"]),
        (&json!("token"), &json!(target.id.as_str()))
    );
    // Somebody guesses tokens.
    for n in 0..100 {
        let guess = format!("upk_000000000000_{n:064}");
        let request = fixture.client.get(fixture.url("/v1/jobs")).bearer_auth(guess);
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
    // A page without a credential is no attempt.
    assert_eq!(fixture.get("/v1/jobs").await.status(), 401);
    let found = refused(10).await;
    assert_eq!(found.len(), 10, "one address has ten entries a minute");
    let unknown: Vec<&Value> = found.iter().filter(|act| act["problem"] == "unauthenticated").collect();
    assert!(unknown.len() == 9 && unknown.iter().all(|act| act["principal"].is_null()), "{unknown:?}");
    assert!(!stored(&fixture).await.contains(&"0".repeat(20)), "no credential is on record");
    fixture.finish().await;
}

#[tokio::test]
async fn a_look_at_what_is_redacted_is_an_act() {
    let fixture = Fixture::guarded().await;
    let target = rows::target(&fixture).await;
    let administrator = principals::asker(&fixture, Role::Administrator, Tenants::All).await;
    let viewer = principals::asker(&fixture, Role::Viewer, Tenants::Own).await;
    let path = format!("/v1/jobs/{}", target.id);
    for (asker, query, status) in [
        (&administrator, "?reveal=true", 200),
        (&administrator, "?reveal=false", 200),
        (&administrator, "", 200),
        (&viewer, "?reveal=true", 403),
    ] {
        let answer = asker.ask(&fixture, "GET", &format!("{path}{query}"), &Value::Null).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
    }
    let [act] = &acts(&fixture, "&right=see-arguments").await[..] else { panic!("one act") };
    assert_eq!((&act["operation"], &act["result"]), (&json!("show_job"), &json!("done")));
    assert_eq!(act["parameters"], json!({"reveal": "true"}));
    let refused = async {
        loop {
            if let Some(act) = acts(&fixture, "&result=refused").await.pop() {
                return act;
            }
        }
    };
    let act = within("the refusal is on record", refused).await;
    assert_eq!((&act["operation"], &act["problem"]), (&json!("show_job"), &json!("missing-right")));
    fixture.finish().await;
}

#[tokio::test]
async fn an_act_is_concluded_also_where_its_client_is_gone() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let path = format!("/v1/jobs/{id}/cancel");
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    let address = fixture.base.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let begun = async { while fixture.json("/v1/audit", 200).await["acts"] == json!([]) {} };
    within("the act begins", begun).await;
    drop(stream);
    let ended = async { while fixture.json("/v1/audit", 200).await["acts"][0]["result"] != "done" {} };
    within("the act ends", ended).await;
    fixture.finish().await;
}
