//! What every queue must do, against a real Redis.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "conformance/bounds.rs"]
mod bounds;
#[path = "conformance/by_hand.rs"]
mod by_hand;
#[path = "conformance/clock.rs"]
mod clock;
#[path = "conformance/configuration.rs"]
mod configuration;
#[path = "conformance/confirmations.rs"]
mod confirmations;
#[path = "conformance/control.rs"]
mod control;
#[path = "conformance/damage.rs"]
mod damage;
#[path = "conformance/enqueue.rs"]
mod enqueue;
#[path = "conformance/failover.rs"]
mod failover;
#[path = "conformance/failures.rs"]
mod failures;
#[path = "conformance/fairness.rs"]
mod fairness;
#[path = "conformance/faults.rs"]
mod faults;
#[path = "conformance/fencing.rs"]
mod fencing;
#[path = "conformance/fixture.rs"]
mod fixture;
#[path = "conformance/groups.rs"]
mod groups;
#[path = "shared/handles.rs"]
mod handles;
#[path = "conformance/identity.rs"]
mod identity;
#[path = "conformance/kinds.rs"]
mod kinds;
#[path = "conformance/ledger.rs"]
mod ledger;
#[path = "conformance/limits.rs"]
mod limits;
#[path = "conformance/lists.rs"]
mod lists;
#[path = "conformance/lost_replies.rs"]
mod lost_replies;
#[path = "conformance/operations.rs"]
mod operations;
#[path = "conformance/outbox.rs"]
mod outbox;
#[path = "conformance/parking.rs"]
mod parking;
#[path = "conformance/presence.rs"]
mod presence;
#[path = "conformance/restart.rs"]
mod restart;
#[path = "conformance/rights.rs"]
mod rights;
#[path = "conformance/schedules.rs"]
mod schedules;
#[path = "conformance/scrub.rs"]
mod scrub;
#[path = "conformance/signals.rs"]
mod signals;
#[path = "conformance/stages.rs"]
mod stages;
#[path = "conformance/standing.rs"]
mod standing;
#[path = "conformance/steps.rs"]
mod steps;
#[path = "conformance/stop.rs"]
mod stop;
#[path = "conformance/two_keys.rs"]
mod two_keys;
#[path = "conformance/unique.rs"]
mod unique;
#[path = "conformance/work.rs"]
mod work;
