//! Signatures ready to be sent, and one flight per missing one.
//!
//! Many masters' processes ask at the same moment, typically after a restart, and the HSM is the
//! slowest part of the path. Whoever asks first starts the work, everybody else waits for it. The
//! work is a task of its own: a caller that goes away gives up the wait, not the work, since the
//! next caller would only start it again. A failure is told to all who waited for that flight and
//! then forgotten.
//!
//! The cache decides nothing about who may have an entry: callers authorize before they ask, each
//! time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Counter;
use minion::verify::{Algorithm, KeyHash};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache as Entries, DefaultLifecycle};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// What names a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The key that signs.
    pub signing_key: KeyHash,
    /// How it signs.
    pub algorithm: Algorithm,
    /// The key that is signed.
    pub key: KeyHash,
}

/// The cache of `V`, whose work fails with `E`.
pub struct Cache<V, E> {
    shared: Arc<Shared<V, E>>,
    tasks: TaskTracker,
    hits: Counter,
    misses: Counter,
}

/// What the work's task needs too.
struct Shared<V, E> {
    entries: Entries<Key, V>,
    flights: Mutex<HashMap<Key, Landing<V, E>>>,
}

/// Where callers are told what came of a flight.
type Landing<V, E> = watch::Sender<Option<Result<V, Arc<E>>>>;

impl<V, E> Cache<V, E>
where
    V: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// Makes an empty cache.
    #[must_use]
    pub fn new() -> Self {
        let entries = Entries::with(
            EXPECTED,
            ENTRIES,
            UnitWeighter,
            Default::default(),
            DefaultLifecycle::default(),
        );
        Self {
            shared: Arc::new(Shared {
                entries,
                flights: Mutex::default(),
            }),
            tasks: TaskTracker::new(),
            // Looking a counter up takes longer than looking an entry up.
            hits: metrics::counter!(LOOKUPS, "result" => "hit"),
            misses: metrics::counter!(LOOKUPS, "result" => "miss"),
        }
    }

    /// The entry, if there is one.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<V> {
        let found = self.hit(key);
        if found.is_none() {
            self.misses.increment(1);
        }
        found
    }

    /// As [`get`](Self::get), for a caller that asks again if there is none.
    #[must_use]
    pub fn hit(&self, key: &Key) -> Option<V> {
        let found = self.shared.entries.get(key);
        if found.is_some() {
            self.hits.increment(1);
        }
        found
    }

    /// Puts an entry that was made elsewhere.
    pub fn insert(&self, key: Key, value: V) {
        self.shared.entries.insert(key, value);
    }

    /// The entry; if there is none, what `work` makes of it, unless somebody's work for the same
    /// key is under way already.
    ///
    /// # Errors
    ///
    /// The error of the work that was waited for, which may be another caller's.
    pub async fn get_or_make<W>(&self, key: Key, work: W) -> Result<Found<V>, Failure<E>>
    where
        W: Future<Output = Result<V, E>> + Send + 'static,
    {
        if let Some(value) = self.get(&key) {
            return Ok(Found { value, made: false });
        }
        let (mut landed, made) = match self.shared.flights().entry(key) {
            Entry::Occupied(flight) => (flight.get().subscribe(), false),
            Entry::Vacant(place) => {
                // A flight may have landed since the look.
                if let Some(value) = self.shared.entries.get(&key) {
                    return Ok(Found { value, made: false });
                }
                let (landing, landed) = watch::channel(None);
                place.insert(landing);
                (landed, true)
            }
        };
        if made {
            let flight = Flight {
                shared: Arc::clone(&self.shared),
                key,
                outcome: None,
            };
            // Not under the lock: a runtime that is ending drops the flight here and now.
            self.tasks.spawn(flight.fly(work));
        }
        let outcome = landed.wait_for(Option::is_some).await;
        match outcome.ok().and_then(|outcome| outcome.clone()) {
            Some(Ok(value)) => Ok(Found { value, made }),
            Some(Err(error)) => Err(Failure::Work(error)),
            None => Err(Failure::Died),
        }
    }

    /// How many callers wait for an entry.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let flights = self.shared.flights();
        flights.values().map(watch::Sender::receiver_count).sum()
    }

    /// Waits until all work that was started has ended.
    pub async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl<V, E> Shared<V, E> {
    fn flights(&self) -> MutexGuard<'_, HashMap<Key, Landing<V, E>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work that is under way. However it ends, it lands once, and a later flight is another one.
struct Flight<V, E> {
    shared: Arc<Shared<V, E>>,
    key: Key,
    outcome: Option<Result<V, Arc<E>>>,
}

impl<V: Clone, E> Flight<V, E> {
    async fn fly(mut self, work: impl Future<Output = Result<V, E>>) {
        let outcome = work.await.map_err(Arc::new);
        if let Ok(value) = &outcome {
            // Before the landing, or a caller in between would start another flight.
            self.shared.entries.insert(self.key, value.clone());
        }
        self.outcome = Some(outcome);
    }
}

impl<V, E> Drop for Flight<V, E> {
    fn drop(&mut self) {
        let landing = self.shared.flights().remove(&self.key);
        // Without an outcome the work panicked, or the runtime is ending: callers see the sender go.
        if let (Some(landing), Some(outcome)) = (landing, self.outcome.take()) {
            landing.send_replace(Some(outcome));
        }
    }
}

impl<V, E> fmt::Debug for Cache<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("flights", &self.tasks.len())
            .finish_non_exhaustive()
    }
}

impl<V, E> Default for Cache<V, E>
where
    V: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

/// An entry, and where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<V> {
    /// The entry.
    pub value: V,
    /// Whether this caller's own work made it.
    pub made: bool,
}

/// Why there is no entry.
#[derive(Debug)]
pub enum Failure<E> {
    /// The task ended without an answer: it panicked, or the program is ending.
    Died,
    /// The work failed; everybody who waited for it sees the same error.
    Work(Arc<E>),
}

const LOOKUPS: &str = "mastersign_cache_lookups_total";
/// A signature with its prepared answers takes about 3 KiB; what is pushed out is read from the
/// store again.
const ENTRIES: u64 = 10_000;
/// What is made room for at start; most installations have a handful of masters.
const EXPECTED: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Notify, oneshot};

    use super::*;

    const KEY: Key = Key {
        signing_key: KeyHash::new([1; 32]),
        algorithm: Algorithm::Sha1,
        key: KeyHash::new([2; 32]),
    };

    #[tokio::test]
    async fn a_thousand_callers_share_one_flight() {
        let cache = Arc::new(Cache::new());
        let count = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Notify::new());
        let callers: Vec<_> = (0..1000)
            .map(|_| {
                let (cache, count, gate) =
                    (Arc::clone(&cache), Arc::clone(&count), Arc::clone(&gate));
                tokio::spawn(async move {
                    let work = async move {
                        count.fetch_add(1, Ordering::SeqCst);
                        gate.notified().await;
                        Ok::<_, ()>(7)
                    };
                    cache.get_or_make(KEY, work).await.unwrap()
                })
            })
            .collect();
        while cache.waiting() < 1000 {
            tokio::task::yield_now().await;
        }
        gate.notify_one();
        let mut made = 0;
        for caller in callers {
            let found = caller.await.unwrap();
            assert_eq!(found.value, 7);
            made += usize::from(found.made);
        }
        assert_eq!((count.load(Ordering::SeqCst), made), (1, 1));
    }

    #[tokio::test]
    async fn a_caller_that_leaves_does_not_end_the_work() {
        let cache = Arc::new(Cache::new());
        let (started, has_started) = oneshot::channel();
        let (finish, may_finish) = oneshot::channel();
        let work = async move {
            started.send(()).unwrap();
            may_finish.await.unwrap();
            Ok::<_, ()>(7)
        };
        let caller = tokio::spawn({
            let cache = Arc::clone(&cache);
            async move { cache.get_or_make(KEY, work).await.map(|found| found.value) }
        });
        has_started.await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        finish.send(()).unwrap();
        cache.close().await;
        assert_eq!(cache.get(&KEY), Some(7));
    }

    #[tokio::test]
    async fn a_failure_is_told_and_forgotten() {
        let cache = Cache::new();
        let failed = cache
            .get_or_make(KEY, async { Err::<i32, _>("no HSM") })
            .await;
        assert!(matches!(failed, Err(Failure::Work(error)) if *error == "no HSM"));
        assert_eq!(cache.get(&KEY), None);
        let found = cache.get_or_make(KEY, async { Ok(7) }).await.unwrap();
        assert_eq!(
            found,
            Found {
                value: 7,
                made: true
            }
        );
    }

    #[tokio::test]
    async fn work_that_panics_takes_nobody_with_it() {
        let cache = Cache::new();
        let died = cache
            .get_or_make(KEY, async { panic!("on purpose") as Result<i32, ()> })
            .await;
        assert!(matches!(died, Err(Failure::Died)));
        let found = cache
            .get_or_make(KEY, async { Ok::<_, ()>(7) })
            .await
            .unwrap();
        assert_eq!(found.value, 7);
    }
}
