//! `upshot settings`: prints the annotated defaults, or the settings in force.

use upshot_runtime::{Settings, settings::DEFAULTS};

use crate::{arguments::SettingsCommand, output::Output};

/// Prints settings as TOML, or as JSON. Secrets mask themselves.
pub fn run(
    load: impl Fn() -> anyhow::Result<Settings>,
    command: &SettingsCommand,
    out: &mut Output,
) -> anyhow::Result<()> {
    if command.effective {
        let settings = load()?;
        out.document(&settings, &toml::to_string_pretty(&settings)?)?;
    } else {
        out.document(&Settings::default(), DEFAULTS)?;
    }
    Ok(())
}
