//! Where computing happens: a rayon pool that async code hands closures to. The only rayon import.
//!
//! tokio waits, rayon computes. Nothing here blocks a tokio thread, and a closure never waits.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// A pool of threads for work that computes and never waits.
#[derive(Debug, Clone)]
pub struct CpuPool {
    pool: Arc<rayon::ThreadPool>,
}

impl CpuPool {
    /// Starts `thread_count` threads.
    ///
    /// # Errors
    /// The operating system refused a thread.
    pub fn new(thread_count: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(thread_count)
            .thread_name(|index| format!("etl-cpu-{index}"))
            .build()
            .map_err(|error| Error::failed("could not start the CPU threads").because(error))?;
        Ok(Self { pool: Arc::new(pool) })
    }

    /// Number of its threads.
    pub fn thread_count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Starts `work` on the pool; the future resolves to its result.
    ///
    /// Dropping the future before the work began skips the work; work that has begun is finished and
    /// its result dropped.
    ///
    /// # Errors
    /// `work` panicked; the panic's message is in the error.
    pub fn run<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + 'static
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.pool.spawn_fifo(move || {
            if sender.is_closed() {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panicked(panic.as_ref()));
            // Nobody waits any more: the result has no reader, which is what dropping it says.
            drop(sender.send(result));
        });
        async move {
            match receiver.await {
                Ok(result) => result,
                Err(_) => Err(Error::failed("the CPU pool stopped before the work was done")),
            }
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let message = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Error::failed(format!("a defect in etl stopped the computation: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn result_of_the_closure_comes_back() {
        let pool = CpuPool::new(1).unwrap();
        assert_eq!(pool.run(|| 6 * 7).await.unwrap(), 42);
    }

    #[tokio::test]
    async fn panic_becomes_an_error_and_the_pool_goes_on() {
        let pool = CpuPool::new(1).unwrap();
        let error = pool.run(|| panic!("index {}", 7)).await.unwrap_err();
        assert!(error.to_string().contains("index 7"), "{error}");
        assert_eq!(pool.run(|| 1).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_skipped() {
        let pool = CpuPool::new(1).unwrap();
        let (started, wait_started) = oneshot::channel();
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let busy = tokio::spawn({
            let pool = pool.clone();
            pool.run(move || {
                started.send(()).unwrap();
                blocked.recv().ok();
            })
        });
        wait_started.await.unwrap();
        let (ran, was_run) = std::sync::mpsc::channel();
        let mut skipped = Box::pin(pool.run(move || ran.send(()).unwrap()));
        let first_poll =
            std::future::poll_fn(|context| std::task::Poll::Ready(skipped.as_mut().poll(context))).await;
        assert!(first_poll.is_pending());
        drop(skipped);
        release.send(()).unwrap();
        busy.await.unwrap().unwrap();
        pool.run(|| ()).await.unwrap();
        assert!(was_run.try_recv().is_err());
    }
}
