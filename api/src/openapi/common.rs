//! Adds in one place what all operations share: the forms of parameters, optional bodies, and the
//! problems that any request may meet.

use utoipa::openapi::{
    Content, ObjectBuilder, OneOf, OpenApi, Ref, RefOr, Required, ResponseBuilder, Schema, Type,
    path::{Operation, Parameter, ParameterIn, PathItem},
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use crate::problem::MEDIA_TYPE;

/// The form of a job's id.
const JOB_ID: &str = "^[a-z2-7]{26}$";
/// The form of a queue's name.
const QUEUE: &str = "^[a-z0-9_-]{1,48}$";
/// A name: no control characters. The server counts bytes, at most 512.
const NAME: &str = r"^[^\x00-\x1f\x7f-\x9f]{1,512}$";

/// The name of the security scheme of API tokens.
const TOKEN: &str = "token";

/// Completes a document that was generated from the handlers.
pub fn complete(document: &mut OpenApi) {
    schemes(document);
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    form(parameter);
                }
            }
            optional_body(operation);
            access(operation);
            let problem = ResponseBuilder::new()
                .description(
                    "Any other problem: a foreign host or origin (421, 403), too many connections (503), or a \
                     bug (500)",
                )
                .content(MEDIA_TYPE, Content::new(Some(Ref::from_schema_name("Problem"))));
            operation.responses.responses.insert("default".to_owned(), problem.build().into());
        }
    }
}

/// Gives an operation the credentials that it takes, and the answers of the gate.
fn access(operation: &mut Operation) {
    let stated = operation.extensions.as_ref().and_then(|stated| stated.get("x-right")?.as_str());
    let is_open = stated == Some("none");
    let needs_right = stated.is_some_and(|right| !["none", "any"].contains(&right));
    if is_open {
        operation.security = Some(Vec::new());
        return;
    }
    let none: [&str; 0] = [];
    operation.security = Some(vec![SecurityRequirement::new(TOKEN, none)]);
    let mut answer = |status: &str, description: &str| {
        let problem = ResponseBuilder::new()
            .description(description)
            .content(MEDIA_TYPE, Content::new(Some(Ref::from_schema_name("Problem"))));
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| problem.build().into());
    };
    answer("401", "The request has no credential, or one that is refused");
    if needs_right {
        answer("403", "The principal lacks the right of `x-right`, or what it asks for belongs to others");
    }
}

/// What requests may be authenticated with.
fn schemes(document: &mut OpenApi) {
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("upk_<id>_<secret>")
        .description(Some(
            "An API token. An API without authentication (on loopback, by default) needs none: every request \
             may do everything. `x-right` of an operation names the right that it needs, `any` for any \
             principal, `none` for everybody. `x-scope` says where a principal of some tenants (`all-tenants`) \
             or queues (`installation`) is refused.",
        ))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(token));
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

/// Gives a parameter the form that the server asks for.
fn form(parameter: &mut Parameter) {
    let pattern = match (parameter.name.as_str(), &parameter.parameter_in) {
        ("id", ParameterIn::Path) => JOB_ID,
        ("queue", _) => QUEUE,
        ("name", ParameterIn::Path)
        | (
            "kind" | "operation" | "principal" | "tenant" | "subject" | "source" | "target" | "type" | "id",
            ParameterIn::Query,
        ) => NAME,
        _ => return,
    };
    parameter.schema = Some(ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).into());
}

/// A handler's optional body may be empty, but `null` is not a body. The body is required all the
/// same, because its content type is.
fn optional_body(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        let Some(RefOr::T(Schema::OneOf(OneOf { items, .. }))) = &content.schema else { continue };
        let named = items.iter().find(|item| matches!(item, RefOr::Ref(_))).cloned();
        content.schema = named;
        body.required = Some(Required::True);
    }
}
