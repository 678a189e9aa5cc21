//! A connection that opens at first use, and again after a loss.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use redis::RedisResult;

type Making<C> = Shared<BoxFuture<'static, RedisResult<C>>>;

/// Opens a connection on demand. Clones share the connection; callers during the opening wait for
/// the same connection.
pub(super) struct Lazy<C: Clone> {
    make: Arc<dyn Fn() -> BoxFuture<'static, RedisResult<C>> + Send + Sync>,
    current: Arc<Mutex<Option<Making<C>>>>,
}

/// A connection and its number.
pub(super) struct Made<C: Clone> {
    pub(super) conn: C,
    making: Making<C>,
}

impl<C: Clone + Send + Sync + 'static> Lazy<C> {
    /// Opens nothing yet.
    pub(super) fn new<F>(make: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = RedisResult<C>> + Send + 'static,
    {
        Self { make: Arc::new(move || make().boxed()), current: Arc::default() }
    }

    /// The connection. If it cannot be opened, the next call tries again.
    pub(super) async fn get(&self) -> RedisResult<Made<C>> {
        let making = self.current().get_or_insert_with(|| (self.make)().shared()).clone();
        match making.clone().await {
            Ok(conn) => Ok(Made { conn, making }),
            Err(error) => {
                self.forget(&making);
                Err(error)
            }
        }
    }

    /// Drops this connection, so that the next call opens another. Does nothing if another caller
    /// noticed the loss first.
    pub(super) fn lost(&self, made: &Made<C>) {
        self.forget(&made.making);
    }

    fn forget(&self, making: &Making<C>) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|current| current.ptr_eq(making)) {
            *current = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Making<C>>> {
        // Every statement leaves it consistent.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clone> Clone for Lazy<C> {
    fn clone(&self) -> Self {
        Self { make: Arc::clone(&self.make), current: Arc::clone(&self.current) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn counting(fails: u32) -> Lazy<u32> {
        let made = Arc::new(AtomicU32::new(0));
        Lazy::new(move || {
            let number = made.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                tokio::task::yield_now().await;
                if number <= fails { Err((redis::ErrorKind::Io, "away").into()) } else { Ok(number) }
            }
        })
    }

    #[tokio::test]
    async fn it_is_made_once_for_all_and_again_after_a_loss() {
        let lazy = counting(0);
        let (first, second) = tokio::join!(lazy.get(), lazy.get());
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!((first.conn, second.conn), (1, 1));
        lazy.lost(&first);
        assert_eq!(lazy.get().await.unwrap().conn, 2);
        lazy.lost(&second);
        assert_eq!(lazy.get().await.unwrap().conn, 2, "only what was lost is forgotten");
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let lazy = counting(1);
        assert!(lazy.get().await.is_err());
        assert_eq!(lazy.get().await.unwrap().conn, 2);
    }
}
