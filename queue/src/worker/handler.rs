//! Turns a plain async function into an apalis service.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use apalis_core::task::Task;
use futures::{FutureExt, future::BoxFuture};
use tower::Service;

use super::{Lease, Stop};
use crate::job::Job;

/// A handler for [`RedisBackend`](super::RedisBackend): an async function of the job and its
/// lease, whose error says what follows ([`Stop`]).
///
/// apalis boxes the error of a service before a backend's middleware sees it. So the service has
/// no error, and its response is the function's whole result.
pub fn handler<F, Fut, T, E>(run: F) -> Handler<F>
where
    F: Fn(Arc<Job>, Lease) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: Into<Stop>,
{
    Handler(run)
}

/// See [`handler`].
#[derive(Clone, Debug)]
pub struct Handler<F>(F);

impl<F, Fut, T, E> Service<Task<Arc<Job>>> for Handler<F>
where
    F: Fn(Arc<Job>, Lease) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send,
    E: Into<Stop>,
{
    type Response = Result<T, Stop>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Result<T, Stop>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Arc<Job>>) -> Self::Future {
        let run = self.0.clone();
        // The function is called when the future is polled, so that a panic in it is caught with
        // the attempt.
        async move {
            Ok(match task.data().get::<Lease>().cloned() {
                Some(lease) => run(task.args, lease).await.map_err(Into::into),
                None => Err(Stop::without_lease()),
            })
        }
        .boxed()
    }
}
