//! Changes that are on their way, so that the committer can wait for company.
//!
//! A commit costs the same for one change as for several: pages are written, the disk is asked, and
//! the audit chain gets its head. While signatures are being made one after the other, each would
//! be committed alone; so a commit that others are about to join waits for them, until a little
//! while after the one before. A change that nobody follows waits for nothing. Databases do the
//! same (`commit_delay` and `commit_siblings` of `PostgreSQL`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// How many changes are announced and not committed. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Coming(Arc<AtomicUsize>);

impl Coming {
    pub(super) fn announce(&self) -> Announcement {
        self.0.fetch_add(1, Ordering::Relaxed);
        Announcement(self.clone())
    }

    /// Takes more out of the queue while more is announced than there is in the batch, at most so
    /// many, and waits for it until `end`.
    pub(super) async fn gather<T>(
        &self,
        batch: &mut Vec<T>,
        queue: &mut mpsc::Receiver<T>,
        most: usize,
        end: Instant,
    ) {
        while batch.len() < most.min(self.0.load(Ordering::Relaxed)) {
            let room = most.saturating_sub(batch.len());
            match timeout_at(end, queue.recv_many(batch, room)).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
    }
}

/// Says that a change will be asked for. It is held until that is committed, or given up.
#[derive(Debug)]
pub struct Announcement(Coming);

impl Drop for Announcement {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn whoever_is_announced_is_waited_for_and_nobody_else() {
        let coming = Coming::default();
        let (sender, mut queue) = mpsc::channel(8);
        let (now, never) = (Instant::now(), Instant::now() + Duration::from_secs(10_000));
        let mut batch = vec![1];
        coming.gather(&mut batch, &mut queue, 64, never).await;
        let own = coming.announce();
        coming.gather(&mut batch, &mut queue, 64, never).await;
        assert_eq!(batch, [1]);

        let others = [coming.announce(), coming.announce()];
        let come = async {
            for number in [2, 3] {
                tokio::task::yield_now().await;
                sender.send(number).await.unwrap();
            }
        };
        tokio::join!(coming.gather(&mut batch, &mut queue, 64, never), come);
        assert_eq!(batch, [1, 2, 3]);

        let late = coming.announce();
        coming.gather(&mut batch, &mut queue, 64, now).await;
        coming.gather(&mut batch, &mut queue, 3, never).await;
        assert_eq!(batch, [1, 2, 3]);
        drop((own, others, late));
        let mut batch = vec![4];
        coming.gather(&mut batch, &mut queue, 64, never).await;
        let _again = [coming.announce(), coming.announce()];
        drop(sender);
        coming.gather(&mut batch, &mut queue, 64, never).await;
        assert_eq!(batch, [4]);
    }
}
