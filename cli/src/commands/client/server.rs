//! The API that a command talks to, and the profile that goes with it.

use anyhow::Context;
use upshot_runtime::{Settings, secret::masked};
use url::{Host, Url};

use crate::{
    arguments::ApiAddress,
    exit::Exit,
    profiles::{DEFAULT, Name, Profile, Profiles},
    running::Running,
};

/// The API that a command talks to.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its address, without a `/` at the end.
    pub base: Url,
    /// The profile of this address, with its name.
    pub profile: Option<(Name, Profile)>,
}

impl Server {
    /// The first of these: the address of `--api`, of the named profile, of a running `upshot up`, of
    /// the default profile, and of the settings.
    pub fn of(settings: &Settings, given: &ApiAddress, profiles: &Profiles) -> anyhow::Result<Self> {
        let running = || Running::read(settings).map(|running| running.api);
        Self::choose(given, profiles, running, &settings.api.listen)
    }

    fn choose(
        given: &ApiAddress,
        profiles: &Profiles,
        running: impl Fn() -> Option<String>,
        listen: &str,
    ) -> anyhow::Result<Self> {
        let with = |name: Name, profile: &Profile| (name, profile.clone());
        let named = match &given.profile {
            Some(name) => Some(with(name.clone(), profiles.find(name)?)),
            None => None,
        };
        let usual = profiles.get(DEFAULT).map(|profile| with(Name::default(), profile));
        let (key, text) = if let Some(api) = &given.api {
            ("--api", api.clone())
        } else if let Some((_, profile)) = &named {
            ("the API of the profile", profile.api.expose().to_owned())
        } else if let Some(running) = running() {
            ("the API of `upshot up`", running)
        } else if let Some((_, profile)) = &usual {
            ("the API of the default profile", profile.api.expose().to_owned())
        } else {
            ("api.listen", listen.to_owned())
        };
        let base = address(key, &text)?;
        if let Some((name, profile)) = &named {
            let own = address("the API of the profile", profile.api.expose())?;
            if own != base {
                return Err(Exit::Usage.because(format!(
                    "the profile `{name}` is for {}, and --api or UPSHOT_API_URL names {}: leave one of the two \
                     out",
                    masked(own.as_str()),
                    masked(base.as_str())
                )));
            }
        }
        // A token goes to the server that it is for, and to no other.
        let is_for =
            |(_, profile): &(Name, Profile)| parse(profile.api.expose()).is_some_and(|own| own == base);
        Ok(Self { profile: named.or(usual).filter(is_for), base })
    }

    /// Whether other machines see the requests that go there.
    pub fn is_readable_on_the_way(&self) -> bool {
        self.base.scheme() != "https" && !self.is_loopback()
    }

    /// Whether the server is on this machine.
    pub fn is_loopback(&self) -> bool {
        match self.base.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            None => false,
        }
    }

    /// Whether the address has a login of its own.
    pub fn has_login(&self) -> bool {
        !self.base.username().is_empty() || self.base.password().is_some()
    }
}

/// Reads the address of an API.
pub fn address(key: &str, text: &str) -> anyhow::Result<Url> {
    parse(text)
        .ok_or_else(|| {
            let shown = masked(text);
            Exit::Usage.because(format!("write it like http://127.0.0.1:8080, or host:8080: it is `{shown}`"))
        })
        .with_context(|| format!("{key} cannot be used"))
}

/// The address of an API: a URL, or `host:port`. For an address that listens on every interface,
/// the loopback address.
fn parse(text: &str) -> Option<Url> {
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    match url.host()? {
        Host::Ipv4(address) if address.is_unspecified() => url.set_host(Some("127.0.0.1")).ok()?,
        Host::Ipv6(address) if address.is_unspecified() => url.set_host(Some("[::1]")).ok()?,
        _ => {}
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::tests::profiles;

    fn given(api: Option<&str>, profile: Option<&str>) -> ApiAddress {
        ApiAddress {
            api: api.map(str::to_owned),
            profile: profile.map(|name| name.parse().unwrap()),
            token_file: None,
            token_over_http: false,
        }
    }

    fn chosen(api: Option<&str>, profile: Option<&str>, kept: &Profiles, running: Option<&str>) -> Server {
        Server::choose(&given(api, profile), kept, || running.map(str::to_owned), "0.0.0.0:8080").unwrap()
    }

    #[test]
    fn an_address_may_lack_its_scheme() {
        for (text, expected) in [
            ("localhost:8080", "http://localhost:8080/"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080/"),
            ("[::]:8080", "http://[::1]:8080/"),
            ("upshot.example", "http://upshot.example/"),
            ("https://upshot.example/a", "https://upshot.example/a"),
            ("https://upshot.example:443/a/?b#c", "https://upshot.example/a"),
        ] {
            assert_eq!(parse(text).unwrap().as_str(), expected);
        }
        for text in ["", "http://", "ftp://h", "h:x", "h:99999"] {
            assert_eq!(Exit::of(&address("--api", text).unwrap_err()), Exit::Usage, "{text}");
        }
    }

    #[test]
    fn this_machine_is_recognised() {
        for (text, is_here) in [
            ("localhost:1", true),
            ("api.localhost", true),
            ("127.9.9.9", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]", true),
            ("10.0.0.1", false),
            ("localhost.example", false),
        ] {
            let server = Server { base: parse(text).unwrap(), profile: None };
            assert_eq!(server.is_loopback(), is_here, "{text}");
            assert_eq!(server.is_readable_on_the_way(), !is_here, "{text}");
        }
    }

    #[test]
    fn the_nearest_address_counts() {
        let kept = profiles(&[("default", "https://d.example", None), ("prod", "https://p.example", None)]);
        let none = profiles(&[]);
        let up = Some("http://127.0.0.1:9000");
        for (api, profile, kept, running, expected) in [
            (Some("h:1"), None, &kept, up, "http://h:1/"),
            (None, Some("prod"), &kept, up, "https://p.example/"),
            (None, None, &kept, up, "http://127.0.0.1:9000/"),
            (None, None, &kept, None, "https://d.example/"),
            (None, None, &none, None, "http://127.0.0.1:8080/"),
        ] {
            assert_eq!(chosen(api, profile, kept, running).base.as_str(), expected);
        }
    }

    #[test]
    fn a_profile_goes_with_its_own_address_only() {
        let kept = profiles(&[
            ("default", "https://d.example/", Some("a")),
            ("prod", "https://p.example/upshot", Some("b")),
        ]);
        let profile = |api, profile, running| {
            chosen(api, profile, &kept, running).profile.map(|(name, _)| name.to_string())
        };
        assert_eq!(profile(Some("https://d.example"), None, None).as_deref(), Some("default"));
        assert_eq!(profile(Some("https://p.example/upshot/"), Some("prod"), None).as_deref(), Some("prod"));
        assert_eq!(profile(None, None, None).as_deref(), Some("default"));
        // Another server, another scheme, another port, another path.
        for api in ["https://e.example", "http://d.example", "https://d.example:8443", "https://d.example/a"]
        {
            assert_eq!(profile(Some(api), None, None), None, "{api}");
            let refused = Server::choose(&given(Some(api), Some("prod")), &kept, || None, "h:1").unwrap_err();
            assert_eq!(Exit::of(&refused), Exit::Usage, "{refused}");
        }
        assert_eq!(profile(None, None, Some("http://127.0.0.1:9000")), None);
        let missing = Server::choose(&given(None, Some("test")), &kept, || None, "h:1").unwrap_err();
        assert_eq!(Exit::of(&missing), Exit::NotFound, "{missing}");
    }
}
