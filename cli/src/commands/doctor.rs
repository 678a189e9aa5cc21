//! `upshot doctor`: checks everything that the settings name.

use anyhow::bail;
use serde_json::json;
use upshot_runtime::Settings;
use upshot_shared::said;

use crate::{
    doctor::{self, check::Checks, check::Outcome},
    output::{Output, Page, Table},
    running::Running,
};

/// Prints every check; an error if one failed.
pub async fn run(settings: anyhow::Result<Settings>, out: &mut Output) -> anyhow::Result<()> {
    let checks = match settings {
        Ok(mut settings) => {
            Running::fill(&mut settings);
            Box::pin(doctor::examine(&settings)).await
        }
        Err(error) => {
            let mut checks = Checks::default();
            let remedy = "correct it; `upshot settings` lists all keys";
            checks.of("settings").failed("settings", said::once(error.as_ref()), remedy);
            checks
        }
    };
    let (warnings, failed) = (checks.count(Outcome::Warning), checks.count(Outcome::Failed));
    let report = json!({ "checks": checks.all(), "warnings": warnings, "failed": failed });
    out.answer(&report, |page| print(page, &checks))?;
    if failed > 0 {
        bail!("{failed} of {} checks failed", checks.all().len());
    }
    Ok(())
}

fn print(page: &mut Page, checks: &Checks) {
    let rows: Vec<[String; 3]> = checks
        .all()
        .iter()
        .map(|check| {
            let outcome = match check.outcome {
                Outcome::Ok => "ok",
                Outcome::Warning => "warning",
                Outcome::Failed => "FAILED",
            };
            // One line for each check, whatever a server answered.
            let seen = check.seen.split_whitespace().collect::<Vec<_>>().join(" ");
            [outcome.to_owned(), format!("{}: {}", check.subject, check.check), seen]
        })
        .collect();
    page.table(Table::new(["", "CHECK", "SEEN"]).wrapping(&[2]), &rows);
    let advised = checks.all().iter().filter_map(|check| Some((check, check.remedy.as_ref()?)));
    for (number, (check, remedy)) in advised.enumerate() {
        if number == 0 {
            page.heading("What to do:");
        }
        page.text(format!("{}: {}: {remedy}", check.subject, check.check));
    }
}
