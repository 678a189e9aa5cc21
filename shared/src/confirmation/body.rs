//! Reads the body of a message, and names the place of what is wrong.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use upshot_queue::QueueName;

use super::{BadConfirmation, Confirmation, Proof, Proved, pointer};
use crate::rejection::{Reason, Rejection};

/// The members of a body.
const MEMBERS: [&str; 7] = ["queue", "tenant", "key", "id", "outcome", "reason", "evidence"];
/// Reads a body for one of these queues. `place` is the JSON pointer to it; `id` and `tenant` count
/// where the body has none.
pub(super) fn read(
    members: Map<String, Value>,
    place: &str,
    id: Option<String>,
    tenant: Option<String>,
    queues: &[QueueName],
) -> Result<Proof, Rejection> {
    let mut body = Body { members, place };
    if let Some(other) = body.members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        let detail = format!("a confirmation has no member `{other}`: use {}", MEMBERS.join(", "));
        return Err(body.wrong(&format!("/{}", pointer(other)), detail));
    }
    let queue: QueueName =
        body.required("queue")?.parse().map_err(|why| body.wrong("/queue", format!("{why}")))?;
    if !queues.contains(&queue) {
        let known = queues.iter().map(|queue| format!("`{queue}`")).collect::<Vec<_>>().join(", ");
        return Err(body.wrong("/queue", format!("no queue `{queue}` is in the settings: use {known}")));
    }
    let key = body.required("key")?;
    let own_tenant = body.text("tenant")?;
    if let (Some(own), Some(of_event)) = (&own_tenant, &tenant)
        && own != of_event
    {
        let detail = format!("the tenant is `{own}` here and `{of_event}` as an attribute: send it once");
        return Err(body.wrong("/tenant", detail));
    }
    let tenant = own_tenant.or(tenant);
    let id = body.text("id")?.or(id);
    let outcome = match body.text("outcome")?.as_deref() {
        None | Some("achieved") => Proved::Achieved,
        Some("missed") => Proved::Missed,
        Some(other) => {
            return Err(body.wrong("/outcome", format!("`{other}` is no outcome: use achieved or missed")));
        }
    };
    let reason = body.text("reason")?;
    let evidence = body.evidence()?;
    let confirmation = Confirmation { queue: queue.to_string(), key, tenant, id, outcome, reason, evidence };
    let (condition, payload) = confirmation.signal().map_err(|why| match why {
        BadConfirmation::Size(_) => Rejection::new(Reason::Oversize, place, why.to_string()),
        _ => body.wrong(&why.place(), why.to_string()),
    })?;
    Ok(Proof { queue, condition, payload })
}

struct Body<'a> {
    members: Map<String, Value>,
    place: &'a str,
}

impl Body<'_> {
    fn wrong(&self, member: &str, detail: impl Into<String>) -> Rejection {
        Rejection::new(Reason::ContractViolation, format!("{}{member}", self.place), detail)
    }

    /// Takes a text out of the body; null counts as left out.
    fn text(&mut self, name: &str) -> Result<Option<String>, Rejection> {
        match self.members.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(&format!("/{name}"), "a text is expected")),
        }
    }

    fn required(&mut self, name: &str) -> Result<String, Rejection> {
        let detail = || match name {
            "queue" => "`queue` is missing: name the queue of the jobs that wait for this confirmation",
            _ => "`key` is missing: name what the jobs wait for",
        };
        self.text(name)?.ok_or_else(|| self.wrong(&format!("/{name}"), detail()))
    }

    fn evidence(&mut self) -> Result<BTreeMap<String, String>, Rejection> {
        let facts = match self.members.remove("evidence") {
            None | Some(Value::Null) => return Ok(BTreeMap::new()),
            Some(Value::Object(facts)) => facts,
            Some(_) => return Err(self.wrong("/evidence", "an object of texts is expected")),
        };
        let fact = |(name, fact): (String, Value)| match fact {
            Value::String(fact) => Ok((name, fact)),
            _ => Err(self.wrong(&format!("/evidence/{}", pointer(&name)), "a text is expected")),
        };
        facts.into_iter().map(fact).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use upshot_queue::Condition;

    use super::*;

    fn read(body: Value) -> Result<Proof, Rejection> {
        let Value::Object(members) = body else { panic!("no object") };
        let queues = ["emails", "q"].map(|queue| queue.parse().unwrap());
        super::read(members, "/data", Some("/mail 7".into()), Some("acme".into()), &queues)
    }

    #[test]
    fn what_is_left_out_comes_from_the_message() {
        let plain = read(json!({"queue": "emails", "key": "delivered 7"})).unwrap();
        assert_eq!(plain.condition, Condition::of_tenant("acme", "delivered 7").unwrap());
        assert_eq!(plain.payload, json!({"id": "/mail 7"}));
        let full = json!({"queue": "emails", "tenant": "acme", "key": "delivered 7", "id": "own",
            "outcome": "missed", "reason": "mailbox unknown", "evidence": {"provider": "Post"}});
        let expected = json!({"id": "own", "outcome": "missed", "reason": "mailbox unknown",
            "evidence": {"provider": "Post"}});
        assert_eq!(read(full).unwrap().payload, expected);
    }

    #[test]
    fn what_cannot_be_used_names_the_place_and_the_remedy() {
        let long = "x".repeat(201);
        for (body, place, words) in [
            (json!({"key": "a"}), "/data/queue", "`queue` is missing"),
            (json!({"queue": "A B", "key": "a"}), "/data/queue", "queue name"),
            (json!({"queue": "other", "key": "a"}), "/data/queue", "use `emails`, `q`"),
            (json!({"queue": "q"}), "/data/key", "`key` is missing"),
            (json!({"queue": "q", "key": long}), "/data/key", "1 to 200"),
            (json!({"queue": "q", "key": 7}), "/data/key", "a text"),
            (json!({"queue": "q", "key": "kind a"}), "/data/key", "queue's own"),
            (json!({"queue": "q", "key": "a", "tenant": "zeta"}), "/data/tenant", "`acme`"),
            (json!({"queue": "q", "key": "a", "outcome": "lost"}), "/data/outcome", "achieved or missed"),
            (json!({"queue": "q", "key": "a", "reason": "lost"}), "/data/reason", "missed"),
            (json!({"queue": "q", "key": "a", "outcome": "missed"}), "/data/reason", "say why"),
            (json!({"queue": "q", "key": "a", "a/b": 1}), "/data/a~1b", "outcome"),
            (json!({"queue": "q", "key": "a", "evidence": {"n": 1}}), "/data/evidence/n", "text"),
            (json!({"queue": "q", "key": "a", "evidence": {"key": "x"}}), "/data/evidence/key", "none of"),
        ] {
            let rejection = read(body.clone()).unwrap_err();
            assert_eq!((rejection.reason, rejection.place.as_str()), (Reason::ContractViolation, place));
            assert!(rejection.detail.contains(words), "`{words}` is not in: {rejection} ({body})");
        }
    }

    #[test]
    fn a_payload_that_a_queue_does_not_keep_is_too_large() {
        let facts: Map<String, Value> =
            (0..32).map(|n| (n.to_string(), "\u{1}".repeat(2_000).into())).collect();
        let rejection = read(json!({"queue": "q", "key": "a", "evidence": facts})).unwrap_err();
        assert_eq!((rejection.reason, rejection.place.as_str()), (Reason::Oversize, "/data"));
    }
}
