//! Adds in one place what all operations share: the forms of parameters, optional bodies, and the
//! problems that any request may meet.

use utoipa::openapi::{
    Content, ObjectBuilder, OneOf, OpenApi, Ref, RefOr, Required, ResponseBuilder, Schema, Type,
    path::{Operation, Parameter, ParameterIn, PathItem},
};

use crate::problem::MEDIA_TYPE;

/// The form of a job's id.
const JOB_ID: &str = "^[a-z2-7]{26}$";
/// The form of a queue's name.
const QUEUE: &str = "^[a-z0-9_-]{1,48}$";
/// A name: no control characters. The server counts bytes, at most 512.
const NAME: &str = r"^[^\x00-\x1f\x7f-\x9f]{1,512}$";

/// Completes a document that was generated from the handlers.
pub fn complete(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    form(parameter);
                }
            }
            optional_body(operation);
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

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

/// Gives a parameter the form that the server asks for.
fn form(parameter: &mut Parameter) {
    let pattern = match (parameter.name.as_str(), &parameter.parameter_in) {
        ("id", ParameterIn::Path) => JOB_ID,
        ("queue", _) => QUEUE,
        ("name", ParameterIn::Path)
        | ("kind" | "tenant" | "subject" | "source" | "type" | "id", ParameterIn::Query) => NAME,
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
