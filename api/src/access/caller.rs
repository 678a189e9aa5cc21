//! The principal that sends a request, as handlers see it.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};
use upshot_access::{Facts, Identity, Principal, Proof, Right, Scope};
use upshot_queue::{Job, QueueName, VerdictRow};
use upshot_shared::intake::LABEL_SOURCE;

use crate::problem::{Code, Problem};

/// The principal that sends a request. Cheap to clone.
///
/// The gate puts it into each request. A handler sees jobs only through it, so a job outside the
/// principal's scope is not found.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Identified>);

/// A principal, and what it was identified by.
#[derive(Debug)]
struct Identified {
    principal: Principal,
    proof: Option<Proof>,
}

impl Caller {
    /// The caller that is this principal without proof, of an API without authentication.
    pub fn new(principal: Principal) -> Self {
        Self(Arc::new(Identified { principal, proof: None }))
    }

    /// The caller that was identified by this proof.
    pub fn identified(principal: Principal, proof: Proof) -> Self {
        Self(Arc::new(Identified { principal, proof: Some(proof) }))
    }

    /// The principal.
    pub fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// What it was identified by; `None` of an API without authentication.
    pub fn proof(&self) -> Option<&Proof> {
        self.0.proof.as_ref()
    }

    /// Whose jobs it sees.
    pub fn scope(&self) -> &Scope {
        &self.0.principal.scope
    }

    /// The author of a remark or a change. Without authentication it is whatever the caller says. A
    /// known principal is the author itself, whatever it says: the commands always name somebody, so
    /// another name is no error.
    pub fn author(&self, said: &str) -> String {
        match &self.0.principal.identity {
            Identity::Local => said.to_owned(),
            known => known.to_string().chars().filter(|char| *char != '\0').collect(),
        }
    }

    /// Checks that the principal has a right.
    ///
    /// # Errors
    /// A 403 that names the right.
    pub fn require(&self, right: Right) -> Result<(), Problem> {
        if self.0.principal.may(right) {
            return Ok(());
        }
        let rights: Vec<&str> = self.0.principal.rights.iter().map(Right::as_str).collect();
        let role = self.0.principal.role.map(|role| format!(", {role},")).unwrap_or_default();
        let detail = format!(
            "this needs the right `{right}`, and {}{role} has {}: ask an administrator for it",
            self.0.principal.identity,
            if rights.is_empty() { "none".to_owned() } else { rights.join(", ") }
        );
        Err(Problem::missing_right(right, detail))
    }

    /// Whether the principal sees every job of its queues.
    pub fn sees_everything(&self) -> bool {
        let Scope { tenants, sources, target, queues: _ } = &self.0.principal.scope;
        tenants.is_all() && sources.is_all() && target.is_none()
    }

    /// Checks that the principal sees every job of its queues. For answers and changes that concern all tenants.
    ///
    /// # Errors
    /// A 403 that says whose jobs it sees.
    pub fn require_everything(&self) -> Result<(), Problem> {
        if self.sees_everything() {
            return Ok(());
        }
        let tenants = &self.0.principal.scope.tenants;
        let names: Vec<&str> = tenants.names().collect();
        let detail = format!(
            "this concerns all tenants, and {} sees jobs of {} only: use an address that takes `tenant`, or ask \
             an administrator for a principal of all tenants",
            self.0.principal.identity,
            if tenants.is_all() { "some sources".to_owned() } else { names.join(", ") }
        );
        Err(Problem::new(Code::OutOfScope, detail))
    }

    /// Checks that the principal sees every job in every queue. For what belongs to no queue.
    ///
    /// # Errors
    /// A 403 that says what it sees.
    pub fn require_installation(&self) -> Result<(), Problem> {
        self.require_everything()?;
        let queues = &self.0.principal.scope.queues;
        if queues.is_all() {
            return Ok(());
        }
        let names: Vec<&str> = queues.names().collect();
        let detail = format!(
            "this belongs to no queue, and {} sees the queues {} only: ask an administrator for a principal of \
             all queues",
            self.0.principal.identity,
            names.join(", ")
        );
        Err(Problem::new(Code::OutOfScope, detail))
    }

    /// The tenant by which a list is filtered: the one that is asked for, or the only one of the
    /// principal.
    ///
    /// # Errors
    /// A 403 when it is not the principal's. A 400 when the principal has several, and none is asked
    /// for.
    pub fn tenant(&self, asked: Option<String>) -> Result<Option<String>, Problem> {
        let Scope { tenants, sources, target, .. } = &self.0.principal.scope;
        if !sources.is_all() || target.is_some() {
            return self.require_everything().map(|()| asked);
        }
        if tenants.is_all() {
            return Ok(asked);
        }
        let names: Vec<&str> = tenants.names().collect();
        match (asked, names.as_slice()) {
            (Some(asked), _) if tenants.has(Some(&asked)) => Ok(Some(asked)),
            (Some(asked), names) => {
                let shown: String = asked.chars().take(100).collect();
                let remedy = format!("{} sees jobs of {} only", self.0.principal.identity, names.join(", "));
                Err(Problem::new(Code::OutOfScope, format!("`tenant` is `{shown}`: {remedy}")))
            }
            (None, [only]) => Ok(Some((*only).to_owned())),
            (None, names) => {
                let remedy = format!(
                    "{} sees several tenants: give one of {}",
                    self.0.principal.identity,
                    names.join(", ")
                );
                Err(Problem::parameter("tenant", "", remedy))
            }
        }
    }

    /// Checks that what belongs to a tenant, or to none, is the principal's.
    ///
    /// # Errors
    /// A 403 when it is not.
    pub fn require_tenant(&self, tenant: Option<&str>) -> Result<(), Problem> {
        match tenant {
            Some(tenant) => self.tenant(Some(tenant.to_owned())).map(|_| ()),
            None => self.require_everything(),
        }
    }

    /// Whether a queue is in the scope.
    pub fn has_queue(&self, queue: &QueueName) -> bool {
        self.0.principal.scope.queues.has(Some(queue.as_str()))
    }

    /// Whether a job is in the scope.
    pub fn sees(&self, job: &Job) -> bool {
        self.0.principal.scope.sees(&Facts {
            id: job.id.as_str(),
            queue: job.queue.as_str(),
            tenant: job.tenant.as_deref(),
            source: job.labels.get(LABEL_SOURCE).map(String::as_str),
            subject: job.subject.as_deref(),
        })
    }

    /// Whether what is left of a forgotten job is in the scope.
    pub fn sees_row(&self, queue: &QueueName, row: &VerdictRow) -> bool {
        self.0.principal.scope.sees(&Facts {
            id: row.id.as_str(),
            queue: queue.as_str(),
            tenant: row.tenant.as_deref(),
            source: row.source.as_deref(),
            subject: row.subject.as_deref(),
        })
    }

    /// Whether an event of this source and tenant may be published.
    ///
    /// # Errors
    /// A 403 that says which of the two is not the principal's.
    pub fn publishes(&self, source: &str, tenant: Option<&str>) -> Result<(), Problem> {
        let Scope { sources, tenants, .. } = &self.0.principal.scope;
        let refuse = |what: &str, value: String, allowed: Vec<&str>| {
            let value: String = value.chars().take(100).collect();
            let detail = format!(
                "the event's `{what}` is {value}, and {} publishes for {} only: the event was not published",
                self.0.principal.identity,
                allowed.join(", ")
            );
            Err(Problem::new(Code::OutOfScope, detail))
        };
        if !sources.has(Some(source)) {
            return refuse("source", format!("`{source}`"), sources.names().collect());
        }
        if !tenants.has(tenant) {
            let value = tenant.map_or_else(|| "missing".to_owned(), |tenant| format!("`{tenant}`"));
            return refuse("tenant", value, tenants.names().collect());
        }
        Ok(())
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::internal("the gate let a request pass without a principal"))
    }
}
