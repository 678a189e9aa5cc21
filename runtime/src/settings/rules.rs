//! Checks routes, confirmations, expectations and schedules against each other.

use std::time::{SystemTime, UNIX_EPOCH};

use upshot_queue::MAX_SCHEDULES;
use upshot_shared::{Schedule, confirmation::Rule, expectation};

use super::{Error, Settings};

/// Refuses what contradicts itself.
pub(super) fn validate(settings: &Settings) -> Result<(), Error> {
    routes(settings)?;
    expectations(settings)?;
    schedules(settings)?;
    confirmations(settings)
}

fn impossible(key: &str, value: impl Into<String>, remedy: impl Into<String>) -> Result<(), Error> {
    Err(Error::Impossible { key: key.to_owned(), value: value.into(), remedy: remedy.into() })
}

fn routes(settings: &Settings) -> Result<(), Error> {
    let Settings { routes, expectations, schedules, .. } = settings;
    if routes.is_empty() && expectations.is_empty() && schedules.is_empty() {
        let remedy = "name at least one [[routes]] or [[expectations]]: every event would go to quarantine";
        return impossible("routes", "empty", remedy);
    }
    for (place, route) in routes.iter().enumerate() {
        let key = format!("routes[{place}]");
        let same = |other: &&upshot_shared::Route| {
            other.event == route.event && other.queue == route.queue && other.job == route.job
        };
        if routes.iter().filter(same).count() > 1 {
            let value = format!("`{}` to `{}` in `{}`, twice", route.event, route.job, route.queue);
            return impossible(&key, value, "remove one: both would be the same job");
        }
        if route.job == expectation::KIND {
            let value = format!("`{}` to `{}`", route.event, route.job);
            let remedy = "this kind is Upshot's own: write an [[expectations]], or name another `job`";
            return impossible(&key, value, remedy);
        }
    }
    for (place, route) in routes.iter().enumerate() {
        if routes[..place].iter().any(|before| before.name == route.name) {
            let remedy = "give one of the routes a `name` of its own";
            return impossible(&format!("routes[{place}]"), format!("named `{}`, twice", route.name), remedy);
        }
    }
    Ok(())
}

fn expectations(settings: &Settings) -> Result<(), Error> {
    let Settings { routes, expectations, .. } = settings;
    for (place, expectation) in expectations.iter().enumerate() {
        let name = &expectation.name;
        let is_taken = routes.iter().any(|route| route.name == *name)
            || expectations[..place].iter().any(|before| before.name == *name);
        if is_taken {
            let remedy =
                "give the expectation a `name` of its own, which no route and no other expectation has";
            return impossible(&format!("expectations[{place}]"), format!("named `{name}`, twice"), remedy);
        }
    }
    Ok(())
}

fn schedules(settings: &Settings) -> Result<(), Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    for (place, schedule) in settings.schedules.iter().enumerate() {
        let (key, name) = (format!("schedules[{place}]"), &schedule.name);
        if let Err(error) = schedule.check(now) {
            return impossible(&key, format!("named `{}`", error.name), error.why.to_string());
        }
        let same = |other: &Schedule| other.name == *name && other.queue == schedule.queue;
        if settings.schedules[..place].iter().any(same) {
            let value = format!("named `{name}` in the queue `{}`, twice", schedule.queue);
            return impossible(&key, value, "give one of them another `name`");
        }
    }
    for queue in settings.queues.keys() {
        let count = settings.schedules.iter().filter(|schedule| schedule.queue == *queue).count();
        if count > MAX_SCHEDULES {
            let remedy = format!("a queue has at most {MAX_SCHEDULES}: use several queues");
            return impossible("schedules", format!("{count} of the queue `{queue}`"), remedy);
        }
    }
    Ok(())
}

fn confirmations(settings: &Settings) -> Result<(), Error> {
    let Settings { confirmations, queues, .. } = settings;
    for (place, rule) in confirmations.iter().enumerate() {
        let key = format!("confirmations[{place}]");
        if !queues.contains_key(&rule.queue) {
            let value = format!("for queue `{}`, and no route leads to it", rule.queue);
            let known = queues.keys().map(|queue| format!("`{queue}`")).collect::<Vec<_>>().join(", ");
            let remedy = format!("name the queue of the jobs that wait for `{}`: {known}", rule.event);
            return impossible(&key, value, remedy);
        }
        let same =
            |other: &Rule| other.event == rule.event && other.queue == rule.queue && other.key == rule.key;
        if confirmations[..place].iter().any(same) {
            let value = format!("`{}` for `{}` in `{}`, twice", rule.event, rule.key, rule.queue);
            return impossible(&key, value, "remove one: both would be the same confirmation");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Program, Settings};

    const ROUTE: &str = "[[routes]]\nevent = 'a.v1'\njob = 'b'\nqueue = 'a'\nwithin = '1m'\n";
    const RULE: &str = "[[confirmations]]\nevent = 'paid.v1'\nkey = '{subject}'\nqueue = 'a'\n";
    const EXPECTATION: &str = "[[expectations]]\nevent = 'order.v1'\nwithin = '5d'\n\
                               achieved_by = { event = 'parcel.v1', match = '{subject}' }\n";

    fn load(text: &str) -> Result<Settings, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Settings::load(&Program::default(), Some(file.path()), []).map_err(|error| error.to_string())
    }

    #[test]
    fn an_expectation_brings_its_queue_its_route_and_its_rules() {
        let settings = load(EXPECTATION).unwrap();
        let queues: Vec<String> = settings.queues.keys().map(ToString::to_string).collect();
        assert_eq!(queues, ["expectations"]);
        let rules = settings.intake();
        let names: Vec<&str> = rules.routes.iter().map(|route| route.name.as_str()).collect();
        assert_eq!(names, ["order.v1:parcel.v1"]);
        let rules: Vec<&str> = rules.confirmations.iter().map(|rule| rule.event.as_str()).collect();
        assert_eq!(rules, ["parcel.v1"]);
        // The printed settings in force can be read again.
        let printed = toml::to_string(&settings).unwrap();
        assert_eq!(load(&printed).unwrap().expectations, settings.expectations, "{printed}");
        let settings = load(&format!("{EXPECTATION}[queues.expectations]\nkeep_signals = '30d'")).unwrap();
        let queue = settings.queues.values().next().unwrap();
        assert_eq!(queue.keep_signals.as_secs(), 30 * 24 * 3600);
    }

    #[test]
    fn what_contradicts_itself_names_the_place_and_the_remedy() {
        let schedule = |text: &str| format!("[[schedules]]\nname = 'n'\nqueue = 'a'\njob = 'b'\n{text}\n");
        let daily = schedule("cron = '0 6 * * *'");
        let own = ROUTE.replace("'b'", "'expect'");
        let named = ROUTE.replace("queue", "name = 'order.v1:parcel.v1'\nqueue");
        let other = RULE.replace("'a'", "'c'");
        for (text, words) in [
            (String::new(), ["`routes` is empty", "[[expectations]]"]),
            (own, ["`routes[0]`", "[[expectations]]"]),
            (format!("{named}{EXPECTATION}"), ["`expectations[0]`", "`name` of its own"]),
            (format!("{EXPECTATION}{EXPECTATION}"), ["`expectations[1]`", "twice"]),
            (format!("{ROUTE}{other}"), ["queue `c`", "`a`"]),
            (schedule("cron = '0 25 * * *'"), ["`schedules[0]`", "0 25 * * *"]),
            (schedule("cron = '0 6 * * *'\nzone = 'Berlin'"), ["`schedules[0]`", "Europe/Berlin"]),
            (format!("{daily}{daily}"), ["`schedules[1]`", "another `name`"]),
            (schedule("evry = '1h'"), ["line", "evry"]),
            (format!("{ROUTE}{RULE}{RULE}"), ["`confirmations[1]`", "remove one"]),
            (format!("{ROUTE}{}", RULE.replace("{subject}", "{sub}")), ["line", "{sub}"]),
        ] {
            let said = load(&text).unwrap_err();
            for word in words {
                assert!(said.contains(word), "`{word}` is not in: {said}");
            }
        }
        load(&format!("{ROUTE}{RULE}{EXPECTATION}")).unwrap();
        let settings = load(&format!("{daily}arguments = {{ of = 'yesterday', days = [1, 2] }}")).unwrap();
        let queues: Vec<String> = settings.queues.keys().map(ToString::to_string).collect();
        assert_eq!(queues, ["a"], "a schedule brings its queue");
        let printed = toml::to_string(&settings).unwrap();
        assert_eq!(load(&printed).unwrap().schedules, settings.schedules, "{printed}");
    }
}
