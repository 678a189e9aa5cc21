//! The watchers of each job, and the jobs to read.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use upshot_queue::{JobId, QueueName};

use super::Seen;

/// The watched jobs by queue.
#[derive(Default)]
pub(super) struct Registry {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watched: HashMap<QueueName, HashMap<JobId, watch::Sender<Seen>>>,
    /// Watched since the last [`Registry::plan`]; to read once the channel of their queue is
    /// subscribed.
    fresh: HashSet<(QueueName, JobId)>,
    /// To read now.
    dirty: HashMap<QueueName, HashSet<JobId>>,
}

impl Registry {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the maps is complete before the lock is released.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a watcher.
    pub(super) fn add(&self, queue: &QueueName, id: &JobId) -> watch::Receiver<Seen> {
        let mut state = self.state();
        let jobs = state.watched.entry(queue.clone()).or_default();
        if let Some(sender) = jobs.get(id) {
            let mut receiver = sender.subscribe();
            let is_gone = matches!(*receiver.borrow(), Seen::Gone);
            if is_gone {
                // The job may have arrived since, and a watcher waits for it.
                receiver.mark_unchanged();
                state.fresh.insert((queue.clone(), id.clone()));
            } else {
                // The last reading is news for this watcher.
                receiver.mark_changed();
            }
            return receiver;
        }
        let (sender, receiver) = watch::channel(Seen::Nothing);
        jobs.insert(id.clone(), sender);
        state.fresh.insert((queue.clone(), id.clone()));
        receiver
    }

    /// Forgets a job without watchers. True when it was the last job of its queue.
    pub(super) fn forget_unwatched(&self, queue: &QueueName, id: &JobId) -> bool {
        let mut state = self.state();
        let Some(jobs) = state.watched.get_mut(queue) else { return false };
        if jobs.get(id).is_none_or(|sender| sender.receiver_count() > 0) {
            return false;
        }
        jobs.remove(id);
        let last = jobs.is_empty();
        if last {
            state.watched.remove(queue);
        }
        last
    }

    /// The number of watched jobs.
    pub(super) fn len(&self) -> usize {
        self.state().watched.values().map(HashMap::len).sum()
    }

    /// The queues to subscribe, and the jobs to read afterwards. One lock covers both, so no job is
    /// read before its queue is subscribed.
    pub(super) fn plan(&self) -> (BTreeSet<QueueName>, HashSet<(QueueName, JobId)>) {
        let mut state = self.state();
        let fresh = std::mem::take(&mut state.fresh);
        (state.watched.keys().cloned().collect(), fresh)
    }

    /// Marks all watched jobs as changed, because messages may be missing.
    pub(super) fn all_fresh(&self) {
        let mut state = self.state();
        let State { watched, fresh, .. } = &mut *state;
        for (queue, jobs) in watched {
            fresh.extend(jobs.keys().map(|id| (queue.clone(), id.clone())));
        }
    }

    /// Marks watched jobs as changed. True when there is something to read.
    pub(super) fn mark(&self, queue: &QueueName, ids: impl IntoIterator<Item = JobId>) -> bool {
        let mut state = self.state();
        let State { watched, dirty, .. } = &mut *state;
        let Some(jobs) = watched.get(queue) else { return false };
        let mut changed = ids.into_iter().filter(|id| jobs.contains_key(id)).peekable();
        if changed.peek().is_none() {
            return false;
        }
        dirty.entry(queue.clone()).or_default().extend(changed);
        true
    }

    /// Takes the jobs to read.
    pub(super) fn take_dirty(&self) -> HashMap<QueueName, HashSet<JobId>> {
        std::mem::take(&mut self.state().dirty)
    }

    /// Passes a reading on to the watchers of a job.
    pub(super) fn publish(&self, queue: &QueueName, id: &JobId, seen: Seen) {
        if let Some(sender) = self.state().watched.get(queue).and_then(|jobs| jobs.get(id)) {
            sender.send_replace(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (QueueName, JobId) {
        ("q".parse().unwrap(), JobId::derive(&["job"]))
    }

    #[test]
    fn a_job_is_read_only_after_its_queue_was_planned() {
        let (queue, id) = names();
        let registry = Registry::default();
        let _watcher = registry.add(&queue, &id);
        assert!(registry.take_dirty().is_empty());
        let (queues, fresh) = registry.plan();
        assert!(queues.contains(&queue) && fresh.contains(&(queue, id)));
        assert!(registry.plan().1.is_empty());
        registry.all_fresh();
        assert_eq!(registry.plan().1.len(), 1);
    }

    #[test]
    fn only_watched_jobs_are_marked() {
        let (queue, id) = names();
        let registry = Registry::default();
        assert!(!registry.mark(&queue, [id.clone()]));
        let watcher = registry.add(&queue, &id);
        assert!(!registry.mark(&queue, [JobId::derive(&["another"])]));
        assert!(registry.mark(&queue, [id.clone(), id.clone()]));
        assert_eq!(registry.take_dirty().get(&queue).map(HashSet::len), Some(1));
        drop(watcher);
        assert!(registry.forget_unwatched(&queue, &id));
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn a_second_watcher_gets_what_is_known() {
        let (queue, id) = names();
        let registry = Registry::default();
        let first = registry.add(&queue, &id);
        registry.publish(&queue, &id, Seen::Nothing);
        let second = registry.add(&queue, &id);
        assert!(second.has_changed().unwrap());
        drop(first);
        assert!(!registry.forget_unwatched(&queue, &id));
        drop(second);
        assert!(registry.forget_unwatched(&queue, &id));
    }
    #[test]
    fn a_job_that_was_not_there_is_read_again_for_a_second_watcher() {
        let (queue, id) = names();
        let registry = Registry::default();
        let _first = registry.add(&queue, &id);
        registry.plan();
        registry.publish(&queue, &id, Seen::Gone);
        let second = registry.add(&queue, &id);
        assert!(!second.has_changed().unwrap());
        assert!(registry.plan().1.contains(&(queue, id)));
    }
}
