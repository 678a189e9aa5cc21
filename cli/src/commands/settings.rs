//! `upshot settings`: prints the annotated defaults, or the settings in force.

use upshot_runtime::{
    Settings,
    settings::{DEFAULTS, Program},
};

use crate::{arguments::SettingsCommand, output::Output};

/// Prints settings as TOML, or as JSON. Secrets mask themselves.
pub fn run(
    program: &Program,
    load: impl Fn() -> anyhow::Result<Settings>,
    command: &SettingsCommand,
    out: &mut Output,
) -> anyhow::Result<()> {
    if command.effective {
        let settings = load()?;
        out.document(&settings, &toml::to_string_pretty(&settings)?)?;
    } else {
        let text = match program.defaults {
            "" => DEFAULTS.to_owned(),
            own => format!(
                "{DEFAULTS}\n# What {} brings.\n\n{own}",
                if program.name.is_empty() { "the program" } else { program.name }
            ),
        };
        out.document(&Settings::of(program)?, &text)?;
    }
    Ok(())
}
