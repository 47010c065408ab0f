// SPDX-License-Identifier: Apache-2.0
//! The thread pool: as many threads as the caller allows, rebuilt after a fork, left alone for small work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Work below this many nanoseconds runs on the calling thread: waking a pool costs several microseconds.
const INLINE_NANOSECONDS: usize = 30_000;

struct Pool {
    process: u32,
    threads: usize,
    workers: Arc<ThreadPool>,
}

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

/// Runs `parallel` in a pool of `threads` threads, or on the calling thread where one thread or little work makes that
/// faster. Inside, rayon's iterators see the pool; `parallel` receives the number of threads it may use.
pub fn run<R: Send>(threads: usize, nanoseconds: usize, parallel: impl FnOnce(usize) -> R + Send) -> R {
    if threads <= 1 || nanoseconds < INLINE_NANOSECONDS {
        return parallel(1);
    }
    match pool(threads) {
        Some(pool) => pool.install(|| parallel(threads)),
        None => parallel(1),
    }
}

/// Calls `body(i)` for each `i` below `count`, in parallel when `threads` is more than one.
pub fn for_each(threads: usize, count: usize, body: impl Fn(usize) + Send + Sync) {
    use rayon::prelude::*;
    if threads <= 1 {
        (0..count).for_each(body);
    } else {
        (0..count).into_par_iter().with_max_len(1).for_each(body);
    }
}

/// Cuts `values` into pieces of `size` elements and calls `body(i, piece)` for each, in parallel when `threads` is more
/// than one.
pub fn for_each_chunk<T: Send>(
    threads: usize,
    values: &mut [T],
    size: usize,
    body: impl Fn(usize, &mut [T]) + Send + Sync,
) {
    use rayon::prelude::*;
    let size = size.max(1);
    if threads <= 1 {
        values.chunks_mut(size).enumerate().for_each(|(i, piece)| body(i, piece));
    } else {
        values.par_chunks_mut(size).enumerate().with_max_len(1).for_each(|(i, piece)| body(i, piece));
    }
}

/// The pool, or `None` where the system gives no threads. A forked child has only the thread that forked: its copy of
/// the parent's pool would wait forever, so a pool of another process is forgotten, not joined.
fn pool(threads: usize) -> Option<Arc<ThreadPool>> {
    let process = std::process::id();
    let fits = |pool: &Pool| pool.process == process && pool.threads == threads;
    if let Some(pool) = lock().as_ref().filter(|pool| fits(pool)) {
        return Some(Arc::clone(&pool.workers));
    }
    // Threads are started without the lock: a fork meanwhile must not leave it taken in the child.
    let built = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("patina3d-{i}")).build().ok()?;
    let built = Arc::new(built);
    let old = lock().replace(Pool { process, threads, workers: Arc::clone(&built) });
    if let Some(old) = old
        && old.process != process
    {
        std::mem::forget(old);
    }
    Some(built)
}

fn lock() -> MutexGuard<'static, Option<Pool>> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_work_stays_on_the_calling_thread() {
        let here = std::thread::current().id();
        assert_eq!(run(4, 100, |_| std::thread::current().id()), here);
        assert_ne!(run(4, 1_000_000, |_| std::thread::current().id()), here);
    }

    #[test]
    fn follows_the_number_of_threads_asked_for() {
        for threads in [2, 3, 2] {
            assert_eq!(run(threads, 1_000_000, |_| rayon::current_num_threads()), threads);
        }
    }
}
