//! Who may do what: every operation of the OpenAPI document, as every principal.

mod acts;
pub mod principals;
mod rows;
mod scope;
mod tokens;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use upshot_access::{Right, Role};

use self::{
    principals::{Asker, OWN, Tenants},
    rows::{Foreign, ROWS, Row},
};
use crate::fixture::Fixture;

/// The operations of the document, with what they state.
struct Operation {
    id: String,
    method: String,
    path: String,
    right: String,
    span: Option<String>,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&upshot_api::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| {
        let operation = |(method, said): (&String, &Value)| Operation {
            id: said["operationId"].as_str().unwrap().to_owned(),
            method: method.to_uppercase(),
            path: path.clone(),
            right: said["x-right"].as_str().unwrap_or("nothing is stated").to_owned(),
            span: said["x-scope"].as_str().map(str::to_owned),
        };
        item.as_object().unwrap().iter().map(operation).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

fn row(operation: &Operation) -> &'static Row {
    let row = ROWS.iter().find(|row| row.operation == operation.id);
    row.unwrap_or_else(|| panic!("`{}` has no row in the table", operation.id))
}

/// What the answer to a request must be.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// The request has no credential.
    Unauthenticated,
    /// The principal lacks this right.
    MissingRight(String),
    /// It belongs to others, and that may be said.
    OutOfScope,
    /// As if it were not there.
    NotThere,
    /// An answer without a trace of the other tenant.
    NoTrace,
    /// The operation is done, or refused for the state of the thing.
    Done,
}

fn due(operation: &Operation, row: &Row, asker: &Asker) -> Due {
    if operation.right == "none" {
        return Due::Done;
    }
    let Some(principal) = &asker.principal else { return Due::Unauthenticated };
    let rights = principal.role.rights();
    if operation.right != "any" {
        let needed: Right = operation.right.parse().unwrap();
        if !rights.has(needed) {
            return Due::MissingRight(operation.right.clone());
        }
    }
    let also = row.also.filter(|right| !rights.has(*right));
    if let Some(right) = also {
        return Due::MissingRight(right.to_string());
    }
    if operation.span.is_some() && principal.tenants != Tenants::All {
        return Due::OutOfScope;
    }
    match (principal.tenants, row.foreign) {
        (Tenants::Foreign, Foreign::NotThere) => Due::NotThere,
        (Tenants::Foreign, Foreign::NoTrace) => Due::NoTrace,
        (Tenants::Foreign, Foreign::Refused) => Due::OutOfScope,
        _ => Due::Done,
    }
}

/// The table: all operations × roles × all, the own or another tenant.
#[tokio::test]
async fn every_principal_may_do_what_its_role_says_and_nothing_else() {
    let fixture = Fixture::guarded().await;
    let askers = principals::all(&fixture).await;
    let mut faults = Vec::new();
    let mut checked = BTreeSet::new();
    for operation in operations() {
        let row = row(&operation);
        checked.insert(row.operation);
        for asker in &askers {
            let target = rows::target(&fixture).await;
            let due = due(&operation, row, asker);
            let path = target.fill(&operation.path, row.query);
            let said = target.fill_body((row.body)());
            let answer = asker.ask(&fixture, &operation.method, &path, &said).await;
            if let Some(fault) = answer.fault(&due, row, &target) {
                faults.push(format!("{} as {}: {due:?} was due, {fault}", operation.id, asker.name));
            }
        }
    }
    let unused: Vec<&str> =
        ROWS.iter().map(|row| row.operation).filter(|row| !checked.contains(row)).collect();
    assert!(unused.is_empty(), "rows of no operation: {unused:?}");
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    fixture.finish().await;
}

#[tokio::test]
async fn without_authentication_every_request_may_do_everything() {
    let fixture = Fixture::new().await;
    let me = fixture.json("/v1/me", 200).await;
    assert_eq!((&me["kind"], &me["role"]), (&json!("local"), &json!("administrator")));
    assert_eq!(me["rights"].as_array().unwrap().len(), Role::Administrator.rights().iter().count());
    fixture.finish().await;
}

#[tokio::test]
async fn a_refusal_says_what_is_missing_and_how_to_authenticate() {
    let fixture = Fixture::guarded().await;
    let refused = fixture.get("/v1/jobs").await;
    assert_eq!(refused.headers()["www-authenticate"], "Bearer");
    let refused = crate::fixture::body(refused, 401).await;
    assert!(refused["detail"].as_str().unwrap().contains("Authorization: Bearer"), "{refused}");
    let viewer = principals::asker(&fixture, Role::Viewer, Tenants::Own).await;
    let target = rows::target(&fixture).await;
    let answer = viewer.ask(&fixture, "POST", &format!("/v1/jobs/{}/cancel", target.id), &json!({})).await;
    assert_eq!(answer.body["right"], "cancel", "{}", answer.body);
    let said = answer.body["detail"].as_str().unwrap();
    for word in ["`cancel`", "viewer", "see-own", "administrator"] {
        assert!(said.contains(word), "{said}");
    }
    for wrong in ["Basic YTpi", "Bearer", "Bearer upk_x", "Bearer upk_000000000000_", "bearer  "] {
        let request = fixture.client.get(fixture.url("/v1/me")).header("authorization", wrong);
        assert_eq!(request.send().await.unwrap().status(), 401, "{wrong}");
    }
    let me = viewer.ask(&fixture, "GET", "/v1/me", &Value::Null).await;
    assert_eq!(me.body["scope"]["tenants"], json!([OWN]));
    fixture.finish().await;
}
