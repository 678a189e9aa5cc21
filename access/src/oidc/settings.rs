//! How people of a provider become principals.

use std::collections::BTreeMap;

#[cfg(feature = "oidc")]
use super::{Error, claims::Claims};
use crate::role::Role;
#[cfg(feature = "oidc")]
use crate::{
    principal::{Identity, Principal},
    scope::{Only, Scope},
};

/// The settings of a provider.
#[derive(Clone)]
pub struct Config {
    /// Its address. The provider must call itself by exactly this.
    pub issuer: String,
    /// The id of this API at the provider.
    pub client_id: String,
    /// Its secret; a public client has none.
    pub client_secret: Option<String>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim with the groups of a person.
    pub groups_claim: String,
    /// The claim with the tenants of a person, `*` for all. Without it each person sees all tenants.
    pub tenants_claim: Option<String>,
    /// The claim with the name of a person.
    pub name_claim: String,
    /// The role of each group. The highest role wins.
    pub roles: BTreeMap<String, Role>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[cfg(feature = "oidc")]
impl Config {
    /// Whether a claim that decides something is not there.
    pub(super) fn lacks(&self, claims: &Claims) -> bool {
        let tenants = self.tenants_claim.as_deref();
        [self.groups_claim.as_str()].into_iter().chain(tenants).any(|claim| !claims.has(claim))
    }

    /// What the login asks for beside `openid`.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid")
    }

    /// The principal of a person of whom these claims are true.
    pub(super) fn principal(&self, claims: &Claims, subject: String) -> Result<Principal, Error> {
        let names = [self.name_claim.as_str(), "preferred_username", "email"];
        let name = names.into_iter().flat_map(|claim| claims.texts(claim)).find(|name| !name.is_empty());
        let name = name.map_or_else(|| subject.clone(), str::to_owned);
        let groups = claims.texts(&self.groups_claim);
        let role = groups.iter().filter_map(|group| self.roles.get(*group)).max().copied();
        let Some(role) = role else {
            let claim = self.groups_claim.clone();
            return Err(Error::NoRole { name, claim, groups: shown(&groups) });
        };
        let tenants = match &self.tenants_claim {
            None => Only::All,
            Some(claim) => {
                let tenants = claims.texts(claim);
                if tenants.is_empty() {
                    return Err(Error::NoTenant { name, claim: claim.clone() });
                }
                Only::of(tenants)
            }
        };
        Ok(Principal {
            identity: Identity::Person { issuer: self.issuer.clone(), subject, name },
            role: Some(role),
            rights: role.rights(),
            scope: Scope { tenants, ..Scope::everything() },
            until: None,
        })
    }
}

/// The first groups, for an error.
#[cfg(feature = "oidc")]
fn shown(groups: &[&str]) -> String {
    if groups.is_empty() {
        return "there are none".to_owned();
    }
    groups.iter().take(10).copied().collect::<Vec<_>>().join(", ")
}
