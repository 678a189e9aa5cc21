//! Ends streams whose principal may no longer see what they show.

use upshot_access::{Error, Principal, Right};

use super::{Caller, identify_again};
use crate::state::Shared;

/// Waits until the caller has ended, or may no longer see what it saw. Never ends for an API without
/// authentication.
pub async fn ended(state: Shared, caller: Caller) {
    let Some(proof) = caller.proof() else { return std::future::pending().await };
    loop {
        tokio::time::sleep(state.people.recheck).await;
        match identify_again(&state.tokens, &state.people, proof).await {
            Ok(principal) if still_sees(&principal, caller.principal()) => {}
            Ok(_) | Err(Error::Refused(_)) => return,
            // Redis is away. The stream has nothing new to show meanwhile.
            Err(error) => tracing::debug!(%error, "the principal of a stream cannot be checked"),
        }
    }
}

fn still_sees(now: &Principal, before: &Principal) -> bool {
    now.may(Right::SeeOwn) && before.scope.is_within(&now.scope)
}
