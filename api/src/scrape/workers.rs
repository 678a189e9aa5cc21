//! The workers of queues, and of the routes that lead there.

use upshot_queue::Workers;
use upshot_shared::Route;

use super::{escaped, family};

/// Writes the figures of all queues.
pub(super) fn render(text: &mut String, queues: &[(&str, &[Route], Workers)]) {
    let workers = queues.iter().map(|(queue, _, workers)| (format!("queue=\"{queue}\""), workers.count));
    let help = "Workers of a queue that told of themselves lately.";
    family(text, "upshot_workers", "gauge", help, workers);
    let of_routes = queues.iter().flat_map(|(queue, routes, workers)| {
        routes.iter().map(move |route| {
            let (name, kind) = (escaped(&route.name), escaped(&route.job));
            let labels = format!("queue=\"{queue}\",route=\"{name}\",kind=\"{kind}\"");
            (labels, u64::from(workers.run(&route.job, route.version)))
        })
    });
    let help = "Whether there is a worker for the kind and version of a route.";
    family(text, "upshot_route_has_worker", "gauge", help, of_routes);
}
