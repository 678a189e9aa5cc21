//! `upshot settings`: the annotated defaults, or what is in force.

use upshot_shared::Settings;

use crate::arguments::SettingsCommand;

/// Prints settings as TOML.
pub fn run(load: impl Fn() -> anyhow::Result<Settings>, command: &SettingsCommand) -> anyhow::Result<()> {
    if command.effective {
        let mut settings = load()?;
        for url in [&mut settings.amqp.url, &mut settings.redis.url, &mut settings.smtp.url] {
            *url = without_password(url);
        }
        if let Some(password) = &mut settings.redis.sentinel_password {
            *password = "…".to_owned();
        }
        print!("{}", toml::to_string_pretty(&settings)?);
    } else {
        print!("{}", upshot_shared::settings::DEFAULTS);
    }
    Ok(())
}

/// The address with its password replaced.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let name = user.split(':').next().unwrap_or_default();
    format!("{scheme}://{name}:…@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("amqp://me:secret@h:5672/v"), "amqp://me:…@h:5672/v");
        assert_eq!(without_password("redis://h:6379"), "redis://h:6379");
    }
}
