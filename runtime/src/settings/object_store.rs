//! Reads the `AWS_*` variables for a store on S3.

use std::ffi::OsString;

/// The options of an object store from variables, by their names in lower case.
///
/// `AWS_ALLOW_HTTP` counts only beside an endpoint that says `http://` itself:
/// the client would otherwise also follow a server behind `https` to `http`.
pub fn object_options(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<(String, String)> {
    let text = |(name, value): (OsString, OsString)| {
        let name = name.into_string().ok().filter(|name| name.starts_with("AWS_"))?;
        Some((name.to_ascii_lowercase(), value.into_string().ok()?))
    };
    let mut options: Vec<(String, String)> = variables.into_iter().filter_map(text).collect();
    let endpoint = |name: &str| matches!(name, "aws_endpoint_url_s3" | "aws_endpoint_url" | "aws_endpoint");
    let mut endpoints = options.iter().filter(|(name, _)| endpoint(name)).map(|(_, url)| url).peekable();
    let is_plain = endpoints.peek().is_some()
        && endpoints.all(|url| url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://")));
    if !is_plain {
        options.retain(|(name, _)| name != "aws_allow_http");
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        object_options(variables).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn plain_http_is_allowed_only_towards_an_endpoint_that_asks_for_it() {
        let allow = ("AWS_ALLOW_HTTP", "true");
        let with = |endpoint| options(&[("HOME", "/"), endpoint, allow]);
        assert_eq!(with(("AWS_ENDPOINT_URL", "http://localhost:1")), ["aws_endpoint_url", "aws_allow_http"]);
        assert_eq!(with(("AWS_ENDPOINT_URL", "https://localhost:1")), ["aws_endpoint_url"]);
        assert_eq!(with(("AWS_REGION", "eu-central-1")), ["aws_region"]);
        let both = [("AWS_ENDPOINT_URL", "http://h"), ("AWS_ENDPOINT_URL_S3", "https://h"), allow];
        assert!(!options(&both).contains(&"aws_allow_http".to_owned()));
    }
}
