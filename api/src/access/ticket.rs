//! Tickets: a credential for one address, for a browser that can send neither a header nor a cookie.
//! A ticket stands in the address, so it lives for some seconds and counts once.

use axum::{extract::Request, http::Uri};
use serde::{Deserialize, Serialize};
use upshot_access::Proof;
use url::form_urlencoded;

/// The parameter of an address that has a ticket.
pub const PARAMETER: &str = "ticket";
/// How long a ticket lives, in seconds.
pub const SECONDS: u64 = 30;

/// What a ticket stands for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ticket {
    /// The path of the one address.
    pub path: String,
    /// What its principal was identified by.
    pub proof: Proof,
}

/// Takes the ticket from the address of a request.
pub fn take_from(request: &mut Request) -> Option<String> {
    let query = request.uri().query()?;
    let mut ticket = None;
    let mut rest = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name == PARAMETER {
            ticket = Some(value.into_owned());
        } else {
            rest.append_pair(&name, &value);
        }
    }
    let ticket = ticket?;
    let (path, rest) = (request.uri().path(), rest.finish());
    let left = if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") };
    *request.uri_mut() = left.parse::<Uri>().ok()?;
    Some(ticket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_taken_and_the_rest_stays() {
        for (address, ticket, left) in [
            ("/a?ticket=t", Some("t"), "/a"),
            ("/a?b=1&ticket=t&c=%20", Some("t"), "/a?b=1&c=+"),
            ("/a?b=1", None, "/a?b=1"),
            ("/a", None, "/a"),
        ] {
            let mut request = Request::builder().uri(address).body(axum::body::Body::empty()).unwrap();
            assert_eq!(take_from(&mut request).as_deref(), ticket, "{address}");
            assert_eq!(request.uri(), left);
        }
    }
}
