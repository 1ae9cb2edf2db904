//! The engine's threads: a few that wait for parts of one job at a time.
//!
//! Rules: a job is split into as many parts as there are threads, and part `i` always runs on thread `i`;
//! the caller is thread 0 and comes back when all parts are done. Between jobs the others spin for some
//! microseconds, since in a step the next job comes soon, and then sleep.

use std::cell::{Cell, UnsafeCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use super::buffer::Arena;

/// Looks at the clock-free spin loop before sleeping: about 100 µs.
const SPINS: u32 = 4_000;

/// A part of a job, by its number.
type Job = dyn Fn(usize) + Sync;

/// Threads of one engine.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// It hands out one job at a time: it may move to another thread, not be shared.
    alone: Cell<()>,
    /// Memory for what they read.
    pub(super) arena: Arena,
}

struct Shared {
    /// Grows with every job.
    job_number: AtomicUsize,
    /// Valid from the growth of `job_number` until `left` is 0.
    job: UnsafeCell<Option<*const Job>>,
    /// Parts that are not done.
    left: AtomicUsize,
    failed: AtomicBool,
    stop: AtomicBool,
    asleep: Vec<AtomicBool>,
}

// SAFETY: `job` is written by the pool's owner while no worker reads it (`left` is 0), and read by
// workers between the release of `job_number` and their decrement of `left`.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` leads to something that is `Sync`.
unsafe impl Send for Shared {}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shared({} workers)", self.asleep.len())
    }
}

impl Pool {
    /// So many threads, the caller's among them. Where the system gives fewer, there are fewer.
    pub(crate) fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            job_number: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            left: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            asleep: (1..threads).map(|_| AtomicBool::new(false)).collect(),
        });
        let start = |part: usize| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("troupe-engine-{part}")).spawn(move || shared.work(part)).ok()
        };
        let workers = (1..threads).map_while(start).collect();
        Self { shared, workers, alone: Cell::new(()), arena: Arena::default() }
    }

    /// Parts of every job.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs all parts of a job and waits for them.
    pub(crate) fn run(&self, job: &(dyn Fn(usize) + Sync)) {
        self.alone.set(());
        if self.workers.is_empty() {
            return job(0);
        }
        let shared = &*self.shared;
        // SAFETY: only the lifetime is cast away. `Finish` below waits until no worker can use it.
        let job: *const Job = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const Job>(job) };
        // SAFETY: `left` is 0, so no worker reads it now; `Pool` is not `Sync`, so nobody else writes.
        unsafe { *shared.job.get() = Some(job) };
        shared.left.store(self.workers.len(), Ordering::Relaxed);
        // SeqCst pairs with the flag that a worker sets before it looks a last time and sleeps.
        shared.job_number.fetch_add(1, Ordering::SeqCst);
        for (asleep, worker) in shared.asleep.iter().zip(&self.workers) {
            if asleep.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        let finish = Finish(shared);
        // SAFETY: the reference it came from is still borrowed.
        unsafe { (*job)(0) };
        drop(finish);
        if shared.failed.swap(false, Ordering::Relaxed) {
            std::panic::resume_unwind(Box::new("a part of a kernel panicked on another thread"));
        }
    }

    /// Splits `0..count` evenly, in order, and runs each share on its thread.
    pub(crate) fn share(&self, count: usize, work: impl Fn(std::ops::Range<usize>) + Sync) {
        let threads = self.threads();
        self.run(&|part| {
            let range = part * count / threads..(part + 1) * count / threads;
            if !range.is_empty() {
                work(range);
            }
        });
    }
}

/// Waits for the workers, even when the caller's own part unwinds.
struct Finish<'a>(&'a Shared);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        let mut spins = 0u32;
        while self.0.left.load(Ordering::Acquire) > 0 {
            spins += 1;
            // A worker that lost its core needs this one's.
            if spins.is_multiple_of(1024) { thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
}

impl Shared {
    fn work(&self, part: usize) {
        let mut seen = 0;
        loop {
            self.wait(part, seen);
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            seen = self.job_number.load(Ordering::Acquire);
            // SAFETY: the number grew, so the job was written before, and stays until `left` is 0.
            if let Some(job) = unsafe { *self.job.get() } {
                // SAFETY: as above; the caller of `run` keeps what it leads to alive.
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| unsafe { (*job)(part) }));
                if outcome.is_err() {
                    self.failed.store(true, Ordering::Relaxed);
                }
            }
            self.left.fetch_sub(1, Ordering::Release);
        }
    }

    /// Until there is a newer job than `seen`, or the end.
    fn wait(&self, part: usize, seen: usize) {
        let due = || self.job_number.load(Ordering::SeqCst) != seen || self.stop.load(Ordering::SeqCst);
        for _ in 0..SPINS {
            if due() {
                return;
            }
            std::hint::spin_loop();
        }
        let Some(asleep) = self.asleep.get(part - 1) else { return };
        asleep.store(true, Ordering::SeqCst);
        while !due() {
            thread::park();
        }
        asleep.store(false, Ordering::SeqCst);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_runs_once_per_job() {
        for threads in [0, 1, 2, 3, 5] {
            let pool = Pool::new(threads);
            let counts: Vec<AtomicUsize> = (0..pool.threads()).map(|_| AtomicUsize::new(0)).collect();
            for _ in 0..300 {
                pool.run(&|part| {
                    counts[part].fetch_add(1, Ordering::Relaxed);
                });
            }
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 300), "{threads}: {counts:?}");
        }
    }

    #[test]
    fn shares_cover_everything_once() {
        let pool = Pool::new(3);
        for count in [0, 1, 2, 3, 10, 100] {
            let seen: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            pool.share(count, |range| {
                for place in range {
                    seen[place].fetch_add(1, Ordering::Relaxed);
                }
            });
            assert!(seen.iter().all(|seen| seen.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn a_panic_in_a_part_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(2);
        for guilty in [0, 1] {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pool.run(&|part| assert!(part != guilty, "made up"));
            }));
            assert!(outcome.is_err());
        }
        let done = AtomicUsize::new(0);
        pool.run(&|_| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 2);
    }

    #[test]
    fn sleepers_are_woken() {
        let pool = Pool::new(2);
        let done = AtomicUsize::new(0);
        for round in 0..20 {
            // Long enough for the worker to fall asleep in some rounds, whatever the machine.
            for _ in 0..round * 2_000 {
                std::hint::spin_loop();
            }
            pool.run(&|_| {
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(done.into_inner(), 40);
    }
}
