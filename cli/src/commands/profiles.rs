//! `upshot profiles` and `upshot logout`: the servers that a person has logged in to.

use serde_json::{Value, json};

use crate::{
    arguments::Logout,
    output::{Output, Table, note},
    profiles::{Profile, Profiles},
};

/// Lists the profiles, without their tokens.
pub fn list(out: &mut Output) -> anyhow::Result<()> {
    let profiles = Profiles::read()?;
    profiles.warning().iter().for_each(note);
    let shown: Vec<Value> = profiles.iter().map(|(name, profile)| document(name, profile)).collect();
    if shown.is_empty() {
        note("there are no profiles: `upshot login` makes one");
    }
    out.items(&shown, |page| {
        let row = |(name, profile): (&str, &Profile)| {
            [name.to_owned(), profile.api.to_string(), token_id(profile).unwrap_or("-").to_owned()]
        };
        let rows: Vec<_> = profiles.iter().map(row).collect();
        page.table(Table::new(["PROFILE", "API", "TOKEN"]).wrapping(&[1]), &rows);
    })?;
    Ok(())
}

/// Forgets a profile and its token. The server still takes the token.
pub fn logout(logout: &Logout, out: &mut Output) -> anyhow::Result<()> {
    let name = logout.profile.clone().unwrap_or_default();
    let profile = Profiles::read()?.forget(&name)?;
    let said = document(name.as_str(), &profile);
    out.answer(&said, |page| page.text(format!("the profile `{name}` of {} is forgotten", profile.api)))?;
    if let Some(id) = token_id(&profile) {
        note(format_args!(
            "the API still takes its token: an administrator ends it with `upshot token revoke {id}`"
        ));
    }
    Ok(())
}

/// A profile without its token.
pub(super) fn document(name: &str, profile: &Profile) -> Value {
    json!({"name": name, "api": profile.api, "token_id": token_id(profile)})
}

/// The public part of a profile's token.
fn token_id(profile: &Profile) -> Option<&str> {
    profile.token.as_ref()?.expose().strip_prefix("upk_")?.split_once('_').map(|(id, _)| id)
}
