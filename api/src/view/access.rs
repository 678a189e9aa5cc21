//! The views of principals and API tokens.

use std::borrow::Cow;

use serde::Serialize;
use upshot_access::{Identity, Principal, Right, Rights, Role, Scope, Target, Token};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::words::words;
use crate::moment::Moment;

/// The schema of a right, from the type that knows the rights.
#[derive(Debug)]
pub enum RightName {}

impl PartialSchema for RightName {
    fn schema() -> RefOr<Schema> {
        words("What a principal may do.", Right::ALL.map(Right::as_str))
    }
}

impl ToSchema for RightName {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Right")
    }
}

/// The schema of a role, from the type that knows the roles.
#[derive(Debug)]
pub enum RoleName {}

impl PartialSchema for RoleName {
    fn schema() -> RefOr<Schema> {
        words("A named set of rights.", Role::ALL.map(Role::as_str))
    }
}

impl ToSchema for RoleName {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Role")
    }
}

/// Whose jobs a principal sees.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Scope)]
pub struct ScopeBody {
    /// Of these tenants; `*` for all, and for jobs without a tenant.
    #[schema(example = json!(["acme"]))]
    tenants: Vec<String>,
    /// In these queues; `*` for all.
    #[schema(example = json!(["*"]))]
    queues: Vec<String>,
    /// From events of these sources; `*` for all.
    #[schema(example = json!(["/shops/berlin"]))]
    sources: Vec<String>,
}

impl From<&Scope> for ScopeBody {
    fn from(scope: &Scope) -> Self {
        let names = |only: &upshot_access::Only| only.names().map(str::to_owned).collect();
        Self { tenants: names(&scope.tenants), queues: names(&scope.queues), sources: names(&scope.sources) }
    }
}

/// The principal that sends a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Me {
    /// What it is: `local` (the API asks for no authentication), `token`, `person`, `link` or
    /// `first_administrator`.
    #[schema(example = "token")]
    kind: &'static str,
    /// Its name, for people.
    #[schema(example = "token shop (0f3a5b7c9d1e)")]
    name: String,
    /// Its role; null for a capability link.
    #[schema(required, value_type = Option<RoleName>)]
    role: Option<Role>,
    /// The rights in force.
    #[schema(value_type = Vec<RightName>)]
    rights: Rights,
    /// Whose jobs it sees.
    scope: ScopeBody,
    /// The one thing that a capability link shows; null for others.
    #[schema(required)]
    target: Option<TargetBody>,
    /// When it ends; null for never.
    #[schema(required)]
    until: Option<Moment>,
}

/// The one thing that a capability link shows: a job or a subject.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Target)]
pub struct TargetBody {
    /// The job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    job: Option<String>,
    /// The subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "order-1042")]
    subject: Option<String>,
}

impl From<&Target> for TargetBody {
    fn from(target: &Target) -> Self {
        match target {
            Target::Job(id) => Self { job: Some(id.clone()), subject: None },
            Target::Subject(subject) => Self { job: None, subject: Some(subject.clone()) },
        }
    }
}

impl From<&Principal> for Me {
    fn from(principal: &Principal) -> Self {
        Self {
            kind: match principal.identity {
                Identity::Local => "local",
                Identity::Token { .. } => "token",
                Identity::Person { .. } => "person",
                Identity::Link { .. } => "link",
                Identity::FirstAdministrator => "first_administrator",
            },
            name: principal.identity.to_string(),
            role: principal.role,
            rights: principal.rights,
            scope: ScopeBody::from(&principal.scope),
            target: principal.scope.target.as_ref().map(TargetBody::from),
            until: principal.until.map(Moment),
        }
    }
}

/// An API token, without its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub struct TokenBody {
    /// Its id: the public part of the token.
    #[schema(example = "0f3a5b7c9d1e")]
    id: String,
    /// Its name, for people.
    #[schema(example = "shop")]
    name: String,
    /// Its role.
    #[schema(value_type = RoleName)]
    role: Role,
    /// The rights in force.
    #[schema(value_type = Vec<RightName>)]
    rights: Rights,
    /// Whose jobs it sees.
    scope: ScopeBody,
    /// When it was made.
    created_at: Moment,
    /// Who or what made it.
    #[schema(example = "local")]
    created_by: String,
    /// When it expires; null for never.
    #[schema(required)]
    expires_at: Option<Moment>,
    /// When it got another secret; null for never.
    #[schema(required)]
    rotated_at: Option<Moment>,
    /// Until when the secret before the last rotation is taken; null where it is not.
    #[schema(required)]
    previous_until: Option<Moment>,
    /// When it was last used, to the minute; null for never.
    #[schema(required)]
    used_at: Option<Moment>,
}

impl From<Token> for TokenBody {
    fn from(token: Token) -> Self {
        Self {
            rights: token.rights(),
            id: token.id,
            name: token.name,
            role: token.role,
            scope: ScopeBody::from(&token.scope),
            created_at: Moment(token.created_at),
            created_by: token.created_by,
            expires_at: token.expires_at.map(Moment),
            rotated_at: token.rotated_at.map(Moment),
            previous_until: token.previous_until.map(Moment),
            used_at: token.used_at.map(Moment),
        }
    }
}
