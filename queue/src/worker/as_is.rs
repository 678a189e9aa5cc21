//! Lets apalis take any service of ours as it is.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use apalis_core::task::Task;
use tower::Service;

use crate::job::Job;

/// A handler that gets the job itself: apalis takes functions whose arguments it
/// can decode, and services of its own kind; this makes one of any service.
#[derive(Clone, Debug)]
pub struct AsIs<S>(pub S);

impl<S: Service<Task<Arc<Job>>>> Service<Task<Arc<Job>>> for AsIs<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Arc<Job>>) -> S::Future {
        self.0.call(task)
    }
}
