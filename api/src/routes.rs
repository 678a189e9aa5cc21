//! The addresses, one concern a file.

mod access;
mod alarms;
mod audit;
mod cancel;
mod capabilities;
mod configuration;
mod confirmations;
mod dead;
mod device;
mod erase;
mod events;
mod files;
mod health;
mod index;
mod jobs;
mod limits;
mod list;
mod login;
mod me;
mod metrics;
mod objectives;
mod operations;
mod outbox;
mod outcomes;
pub mod overview;
mod pause;
mod people;
mod priority;
mod problems;
mod progress;
mod quarantine;
mod queues;
mod reschedule;
mod retry;
mod schedules;
mod session;
mod signals;
mod stream;
mod subjects;
mod tenants;
mod tickets;
mod tokens;
mod unpark;
mod why;

use axum::{Router, middleware, routing::get};
use bytes::Bytes;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    access::{
        Gate,
        acts::{self, Recorder},
        browser, check,
        table::Table,
    },
    asyncapi, dashboard, hosts, layers, openapi,
    state::Shared,
};

pub use health::{probes, probes_above_bound, probes_of_api};

/// The addresses that the OpenAPI document describes.
pub fn described() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(events::accept))
        .routes(routes!(list::jobs))
        .routes(routes!(jobs::job))
        .routes(routes!(why::why))
        .routes(routes!(retry::retry))
        .routes(routes!(cancel::cancel))
        .routes(routes!(reschedule::reschedule))
        .routes(routes!(priority::prioritise))
        .routes(routes!(progress::progress))
        .routes(routes!(stream::stream))
        .routes(routes!(files::file))
        .routes(routes!(queues::queues))
        .routes(routes!(pause::pause))
        .routes(routes!(pause::resume))
        .routes(routes!(unpark::unpark))
        .routes(routes!(signals::send, signals::list, signals::withdraw))
        .routes(routes!(confirmations::confirm))
        .routes(routes!(limits::set))
        .routes(routes!(configuration::show, configuration::apply))
        .routes(routes!(outbox::end))
        .routes(routes!(schedules::list, schedules::create))
        .routes(routes!(schedules::apply))
        .routes(routes!(schedules::show, schedules::replace, schedules::remove))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(schedules::run))
        .routes(routes!(dead::groups))
        .routes(routes!(dead::group))
        .routes(routes!(quarantine::list))
        .routes(routes!(quarantine::message))
        .routes(routes!(operations::create, operations::list))
        .routes(routes!(operations::show))
        .routes(routes!(operations::refusals))
        .routes(routes!(operations::start))
        .routes(routes!(operations::pause))
        .routes(routes!(operations::resume))
        .routes(routes!(operations::abort))
        .routes(routes!(outcomes::list))
        .routes(routes!(outcomes::summary))
        .routes(routes!(tenants::list))
        .routes(routes!(tenants::show))
        .routes(routes!(outcomes::of_job))
        .routes(routes!(outcomes::waive))
        .routes(routes!(outcomes::note))
        .routes(routes!(outcomes::own))
        .routes(routes!(objectives::objectives))
        .routes(routes!(alarms::alarms))
        .routes(routes!(overview::overview))
        .routes(routes!(subjects::story, erase::erase))
        .routes(routes!(me::me))
        .routes(routes!(tokens::create, tokens::list))
        .routes(routes!(tokens::rotate))
        .routes(routes!(tokens::revoke))
        .routes(routes!(access::show))
        .routes(routes!(session::begin, session::end))
        .routes(routes!(login::begin))
        .routes(routes!(login::finish))
        .routes(routes!(device::begin, device::show))
        .routes(routes!(device::poll))
        .routes(routes!(device::decide))
        .routes(routes!(people::end_all))
        .routes(routes!(tickets::make))
        .routes(routes!(capabilities::make, capabilities::revoke_all))
        .routes(routes!(capabilities::revoke))
        .routes(routes!(audit::list))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
}

/// All addresses, with the layers around them.
pub fn router(state: Shared) -> Router {
    let (router, described) = openapi::document(described());
    let document = Bytes::from(openapi::text(&described));
    let events = Bytes::from(asyncapi::text(&state.intake));
    let router = router
        .merge(dashboard::routes())
        .route("/v1", get(index::index))
        .route("/problems/{code}", get(problems::show))
        .route("/openapi.json", get(move || std::future::ready(openapi::answer(document.clone()))))
        .route("/asyncapi.json", get(move || std::future::ready(openapi::answer(events.clone()))))
        .fallback(layers::unknown_address);
    let recorder = Recorder::new(state.clone(), &described);
    // The record reads bodies, so it stands inside their limit.
    let router = router
        .layer(middleware::from_fn_with_state(recorder.clone(), acts::record))
        .layer(events::limit(&state));
    let people = state.people.clone();
    let cookies = people.cookies.clone();
    let gate = Gate::new(state.mode, Table::of(&described), state.tokens.clone(), people);
    let router = router.layer(middleware::from_fn_with_state(gate, check));
    let router = router.layer(middleware::from_fn_with_state(cookies, browser::refuse_forged));
    let router = router.layer(middleware::from_fn_with_state(state.hosts.clone(), hosts::refuse_foreign));
    let router = router.layer(middleware::from_fn_with_state(recorder, acts::refusals));
    let router = match browser::cors(&state.cors_origins) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    let router = router.layer(middleware::from_fn(browser::bound));
    layers::around(router).with_state(state)
}
