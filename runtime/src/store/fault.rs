//! Decides what an error of the store means for the job.

use std::{error::Error as StdError, io};

use upshot_queue::{Condition, Failure, Park, Stop, failure::with_causes};

/// The name for which jobs wait while the store refuses the settings.
pub(super) const CONDITION: &str = "store";

/// The remedy for an error that comes from the settings, where a retry changes nothing. `None` if
/// the store may just be away.
pub(super) fn remedy(error: &object_store::Error) -> Option<&'static str> {
    use object_store::Error as E;
    let text = with_causes(error);
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["NoSuchBucket"]) {
        return Some("there is no such bucket: create it, or name another in `store.url`");
    }
    if says(&["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"]) {
        return Some(
            "the store does not know these credentials: see to AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        );
    }
    if says(&["Received redirect without LOCATION", "PermanentRedirect", "AuthorizationHeaderMalformed"]) {
        return Some("the bucket is in another region: see to AWS_REGION and AWS_ENDPOINT_URL");
    }
    if certificate_is_bad(error) || says(&["invalid peer certificate"]) {
        return Some(
            "name the file of the authority that signed its certificate as `store.ca_file`, and the server by a \
             name that the certificate holds",
        );
    }
    if says(&["URL scheme is not allowed"]) {
        return Some(
            "the endpoint has plain HTTP: begin AWS_ENDPOINT_URL with https://, or set AWS_ALLOW_HTTP=true",
        );
    }
    match error {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            return Some(
                "the store refuses us: the user of AWS_ACCESS_KEY_ID must be allowed to list the bucket, and to \
                 read, write and delete its objects",
            );
        }
        E::UnknownConfigurationKey { .. } | E::NotImplemented { .. } | E::NotSupported { .. } => {
            return Some("the store cannot do what it is asked for: see to the AWS_* variables");
        }
        _ => {}
    }
    match io_kind(error)? {
        io::ErrorKind::PermissionDenied => {
            Some("let the user of this process read and write the folder of `store.url`")
        }
        io::ErrorKind::ReadOnlyFilesystem => Some("the folder of `store.url` is mounted read-only"),
        io::ErrorKind::NotADirectory => Some("a part of the path of `store.url` is a file"),
        _ => None,
    }
}

/// How the attempt that needed the file ends.
pub(super) fn stop(key: &str, error: &object_store::Error) -> Stop {
    let said = format!("store, `{key}`: {}", with_causes(error));
    let Some(remedy) = remedy(error) else { return Failure::transient(said).into() };
    let why = format!("{said}: {remedy}");
    match CONDITION.parse::<Condition>() {
        Ok(condition) => Park { condition, within: None, why }.into(),
        Err(_) => Failure::transient(why).into(),
    }
}

fn sources(error: &object_store::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

fn io_kind(error: &object_store::Error) -> Option<io::ErrorKind> {
    let mut kinds = sources(error).filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    kinds.find(|kind| *kind != io::ErrorKind::Other)
}

fn certificate_is_bad(error: &object_store::Error) -> bool {
    sources(error).any(|cause| {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = cause.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
    })
}

#[cfg(test)]
mod tests {
    use object_store::Error as E;

    use super::*;

    fn generic(source: impl Into<Box<dyn StdError + Send + Sync>>) -> E {
        E::Generic { store: "S3", source: source.into() }
    }

    #[test]
    fn settings_that_cannot_work_are_told_from_a_store_that_is_away() {
        let path = || "a".to_owned();
        let wrong = [
            (E::NotFound { path: path(), source: "<Code>NoSuchBucket</Code>".into() }, "bucket"),
            (
                E::PermissionDenied { path: path(), source: "<Code>InvalidAccessKeyId</Code>".into() },
                "credentials",
            ),
            (E::PermissionDenied { path: path(), source: "<Code>AccessDenied</Code>".into() }, "allowed"),
            (E::Unauthenticated { path: path(), source: "401".into() }, "allowed"),
            (generic(io::Error::from(io::ErrorKind::PermissionDenied)), "store.url"),
            (generic(io::Error::from(io::ErrorKind::ReadOnlyFilesystem)), "read-only"),
            (
                generic(io::Error::other(rustls::Error::InvalidCertificate(
                    rustls::CertificateError::UnknownIssuer,
                ))),
                "store.ca_file",
            ),
        ];
        for (error, word) in wrong {
            assert!(remedy(&error).is_some_and(|remedy| remedy.contains(word)), "{error:?}");
            let stop = stop("k", &error);
            assert!(matches!(&stop, Stop::Parked(park) if park.condition.key() == CONDITION), "{stop:?}");
        }
        let away = [
            generic(io::Error::from(io::ErrorKind::ConnectionRefused)),
            generic(io::Error::from(io::ErrorKind::StorageFull)),
            generic("503 Slow Down"),
            E::NotFound { path: path(), source: "<Code>NoSuchKey</Code>".into() },
        ];
        for error in away {
            assert_eq!(remedy(&error), None, "{error:?}");
            assert!(matches!(stop("k", &error), Stop::Failed(_)));
        }
    }
}
