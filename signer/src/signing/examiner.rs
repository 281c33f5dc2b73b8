//! The one thread that looks for weak keys.
//!
//! The arithmetic takes milliseconds, and with many masters some tens of them, so it may not run
//! where requests are answered. One thread is enough, because a key is examined once: when it is
//! shown first, or before the first signature over it after a start. Whoever sends ever new keys
//! waits for that thread with others who do the same, and nobody else does.

use std::fmt;
use std::io;
use std::sync::Arc;

use minion::verify::{KeyHash, PublicKey};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use tokio::sync::{mpsc, oneshot};

use crate::key_policy::{self, Refusal};

/// Looks for weak keys and remembers what it found. Clones share the thread, which ends with the
/// last of them.
#[derive(Clone)]
pub struct Examiner {
    verdicts: Arc<Verdicts>,
    queue: mpsc::Sender<Question>,
}

type Verdicts = Cache<KeyHash, Result<(), Refusal>>;

impl Examiner {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Fails if the system gives no more threads.
    pub fn start() -> io::Result<Self> {
        let (queue, questions) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("key-examiner".to_owned())
            .spawn(move || work(questions))?;
        Ok(Self {
            verdicts: Arc::new(verdicts()),
            queue,
        })
    }

    /// Looks for a weakness of the key by itself, and for a prime that it shares with one of the
    /// `known` keys.
    pub(super) async fn examine(
        &self,
        key: &Arc<PublicKey>,
        known: impl FnOnce() -> Vec<Arc<PublicKey>>,
    ) -> Result<(), Unexamined> {
        let hash = key.hash();
        let verdict = self.verdicts.get_or_insert_async(&hash, async {
            let (answer, verdict) = oneshot::channel();
            let question = Question {
                key: Arc::clone(key),
                known: known(),
                answer,
            };
            let queued = self.queue.try_send(question);
            queued.map_err(|_| Unexamined::Busy)?;
            verdict.await.map_err(|_| Unexamined::Busy)
        });
        verdict.await?.map_err(Unexamined::Refused)
    }
}

fn verdicts() -> Verdicts {
    Cache::with(
        EXPECTED,
        VERDICTS,
        UnitWeighter,
        Default::default(),
        DefaultLifecycle::default(),
    )
}

impl fmt::Debug for Examiner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Examiner").finish_non_exhaustive()
    }
}

/// Why a key is not known to be sound.
#[derive(Clone, Debug)]
pub(super) enum Unexamined {
    /// As many keys wait as may wait.
    Busy,
    /// It is weak.
    Refused(Refusal),
}

struct Question {
    key: Arc<PublicKey>,
    known: Vec<Arc<PublicKey>>,
    answer: oneshot::Sender<Result<(), Refusal>>,
}

fn work(mut questions: mpsc::Receiver<Question>) {
    while let Some(question) = questions.blocking_recv() {
        let Question { key, known, answer } = question;
        // Nobody waits any more if the caller left; the next one asks again.
        if !answer.is_closed() {
            drop(answer.send(judge(&key, &known)));
        }
    }
}

fn judge(key: &PublicKey, known: &[Arc<PublicKey>]) -> Result<(), Refusal> {
    // The quick rules as well: after a start, keys come from the store without having passed them.
    let rules = key_policy::check(key, []).and_then(|()| key_policy::examine(key));
    let verdict = rules.and_then(|()| {
        match key_policy::shared_factor(key, known) {
            Some(other) => {
                // The caller is not told which: it has the prime, and would have the other key.
                tracing::error!(
                    key = %key.hash(),
                    %other,
                    "two keys have a prime in common, so both private keys can be computed: \
                     revoke them and find out which system made them"
                );
                Err(Refusal::SharedFactor)
            }
            None => Ok(()),
        }
    });
    if let Err(refusal) = &verdict {
        metrics::counter!(WEAK, "reason" => refusal.code()).increment(1);
    }
    verdict
}

/// Some seconds of work, where a request waits for ten.
const QUEUE: usize = 64;
/// A verdict is a hundred bytes, and one that was pushed out is found again.
const VERDICTS: u64 = 16_384;
/// What is made room for at start.
const EXPECTED: usize = 64;
/// Counts keys that were found weak.
const WEAK: &str = "mastersign_weak_keys_total";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::testing::MasterKey;
    use crate::key_policy::testing::{pair, primes};

    #[tokio::test]
    async fn a_key_is_examined_once() {
        let examiner = Examiner::start().unwrap();
        let key = MasterKey::generate().public;
        examiner.examine(&key, Vec::new).await.unwrap();
        let again = examiner.examine(&key, || unreachable!("it was examined"));
        again.await.unwrap();
    }

    #[tokio::test]
    async fn a_shared_prime_is_refused_and_the_other_key_not_named() {
        let [p, q, r] = primes(1024);
        let (known, key) = (pair(&p, &q).public, pair(&p, &r).public);
        let examiner = Examiner::start().unwrap();
        let verdict = examiner.examine(&key, || vec![Arc::clone(&known)]).await;
        let Err(Unexamined::Refused(refusal)) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(refusal, Refusal::SharedFactor);
        assert!(!refusal.to_string().contains(&known.hash().to_string()));
    }

    #[tokio::test]
    async fn who_does_not_fit_into_the_queue_is_told_so_and_may_ask_again() {
        // Nobody works on this queue, and it has one place.
        let (queue, mut questions) = mpsc::channel(1);
        let examiner = Examiner {
            verdicts: Arc::new(verdicts()),
            queue,
        };
        let [one, two] = std::array::from_fn(|_| MasterKey::generate().public);
        let first = tokio::spawn({
            let (examiner, one) = (examiner.clone(), Arc::clone(&one));
            async move { examiner.examine(&one, Vec::new).await }
        });
        let question = questions.recv().await.unwrap();
        let (answer, _waits) = oneshot::channel();
        examiner
            .queue
            .try_send(Question {
                key: Arc::clone(&one),
                known: Vec::new(),
                answer,
            })
            .unwrap();
        let full = examiner.examine(&two, Vec::new).await;
        assert!(matches!(full, Err(Unexamined::Busy)));
        question.answer.send(Ok(())).unwrap();
        first.await.unwrap().unwrap();
        questions.recv().await.unwrap();
        let second = tokio::spawn(async move { examiner.examine(&two, Vec::new).await });
        questions.recv().await.unwrap().answer.send(Ok(())).unwrap();
        second.await.unwrap().unwrap();
    }
}
