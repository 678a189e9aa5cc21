//! Follows jobs, a subject and the figures, and makes one row of events of them.

use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use axum::response::sse::Event;
use futures::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use serde::Serialize;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior},
};
use upshot_queue::{Error, JobId, QueueName};

use super::{MOST, told::Told};
use crate::{
    access::Caller,
    known::Known,
    links::Links,
    live::{Seen, Watch},
    state::Shared,
    tally::Counted,
    view::Snapshot,
};

/// How long a client waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(1);
/// How often the jobs about a subject are looked for.
const LOOK: Duration = Duration::from_secs(2);
/// Ids about a subject that a look reads at most, of each queue: other tenants may use the same subject.
const LOOKED: usize = 1_000;

/// What one stream follows. It makes an event only when the client takes one, so a slow client holds
/// up no other, and skips to the newest state.
pub(super) struct Follower {
    state: Shared,
    caller: Caller,
    links: Links,
    told: Told,
    watches: SelectAll<BoxStream<'static, (JobId, Seen)>>,
    /// Jobs that are followed, or were looked at and are not to be.
    known: HashSet<JobId>,
    /// Followed jobs that have not ended.
    open: HashSet<JobId>,
    subject: Option<Subject>,
    counts: Option<watch::Receiver<Option<Arc<Counted>>>>,
    /// Events to send.
    next: VecDeque<Event>,
    is_first: bool,
    is_over: bool,
}

struct Subject {
    name: String,
    ticks: Interval,
    is_cut: bool,
}

impl Follower {
    pub(super) fn new(state: Shared, caller: Caller, links: Links, told: Told) -> Self {
        Self {
            state,
            caller,
            links,
            told,
            watches: SelectAll::new(),
            known: HashSet::new(),
            open: HashSet::new(),
            subject: None,
            counts: None,
            next: VecDeque::new(),
            is_first: true,
            is_over: false,
        }
    }

    /// Follows a job that was asked for; what stands for it, if it is a duplicate.
    pub(super) fn begin(&mut self, id: &JobId, known: Option<&Known>) {
        match known {
            Some(known) => self.watch(&known.job.queue, &known.job.id),
            None => self.gone(id),
        }
    }

    /// Follows the jobs about a subject that the caller sees.
    pub(super) fn follow_subject(&mut self, name: String) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.subject = Some(Subject { name, ticks, is_cut: false });
    }

    /// Follows how all routes stand.
    pub(super) fn follow_counts(&mut self) {
        self.counts = Some(self.state.tally.listen());
    }

    /// The next event.
    pub(super) async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.next.pop_front() {
                let event = if self.is_first { event.retry(RECONNECT) } else { event };
                self.is_first = false;
                return Some((Ok(event), self));
            }
            if self.is_over {
                return None;
            }
            if self.subject.is_none() && self.counts.is_none() && self.open.is_empty() {
                self.is_over = true;
                self.next.push_back(Event::default().event("end").data("{}"));
                continue;
            }
            let Self { watches, subject, counts, .. } = &mut self;
            tokio::select! {
                Some((id, seen)) = watches.next() => self.take(&id, seen),
                Some(()) = tick(subject) => self.look().await,
                Some(counted) = newest(counts) => self.count(&counted),
                else => return None,
            }
        }
    }

    fn watch(&mut self, queue: &QueueName, id: &JobId) {
        if self.known.insert(id.clone()) {
            self.open.insert(id.clone());
            self.watches.push(readings(self.state.live.watch(queue, id), id.clone()));
        }
    }

    fn gone(&mut self, id: &JobId) {
        self.open.remove(id);
        self.told.forget(id);
        self.say("gone", &json!({"id": id.as_str()}));
    }

    fn take(&mut self, id: &JobId, seen: Seen) {
        let known = match seen {
            Seen::Job(known) => known,
            Seen::Gone => return self.gone(id),
            Seen::Nothing => return,
        };
        // A dead job may be retried, so it is watched on.
        if known.job.state.is_final() {
            self.open.remove(id);
        } else {
            self.open.insert(id.clone());
        }
        if let Some(name) = self.told.tell(&known.job) {
            let snapshot = Snapshot::new(&known, &self.links, &self.state.shown);
            // Strings, numbers and JSON values always serialise.
            let data = serde_json::to_string(&snapshot).unwrap_or_default();
            self.next.push_back(Event::default().event(name).id(self.told.id()).data(data));
        }
    }

    fn count(&mut self, counted: &Counted) {
        if self.caller.scope().is_everything() {
            self.next.push_back(Event::default().event("counts").data(&counted.text));
        } else {
            self.say("counts", &counted.overview.seen_by(&self.caller));
        }
    }

    fn say(&mut self, name: &str, data: &impl Serialize) {
        // Strings, numbers and JSON values always serialise.
        let data = serde_json::to_string(data).unwrap_or_default();
        self.next.push_back(Event::default().event(name).data(data));
    }

    /// Looks for jobs about the subject that are not followed yet.
    async fn look(&mut self) {
        let Some(subject) = &mut self.subject else { return };
        let mut is_cut = false;
        let queues: Vec<_> = self.state.queues_of(&self.caller).into_iter().cloned().collect();
        let mut found = Vec::new();
        for queue in &queues {
            let mut ids = match queue.ids_of_subject(&subject.name, None, LOOKED + 1).await {
                Ok(ids) => ids,
                Err(error) => return tracing::debug!(%error, "the jobs of a subject are not read yet"),
            };
            is_cut |= ids.len() > LOOKED;
            ids.truncate(LOOKED);
            ids.retain(|id| !self.known.contains(id));
            for ids in ids.chunks(MOST) {
                match Known::read(queue, ids).await {
                    Ok(jobs) => found.extend(jobs.into_iter().filter(|known| self.caller.sees(&known.job))),
                    Err(Error::Unreadable(damaged)) => {
                        // The next look passes it over.
                        self.known.insert(damaged.id);
                        return;
                    }
                    Err(error) => return tracing::debug!(%error, "the jobs of a subject are not read yet"),
                }
            }
            // Forgotten jobs and those of others are not asked for again.
            let is_found = |id: &JobId| found.iter().any(|known: &Known| known.job.id == *id);
            self.known.extend(ids.into_iter().filter(|id| !is_found(id)));
        }
        let room = MOST.saturating_sub(self.watches.len());
        is_cut |= found.len() > room;
        let is_news = is_cut && !subject.is_cut;
        subject.is_cut |= is_news;
        for Known { job, .. } in found.into_iter().take(room) {
            self.watch(&job.queue, &job.id);
        }
        if is_news {
            self.say("cut", &json!({"followed": self.watches.len()}));
        }
    }
}

/// The readings of one job, until it is gone.
fn readings(watch: Watch, id: JobId) -> BoxStream<'static, (JobId, Seen)> {
    stream::unfold((Some(watch), id), |(watch, id)| async {
        let mut watch = watch?;
        let seen = watch.next().await;
        let rest = (!matches!(seen, Seen::Gone)).then_some(watch);
        Some(((id.clone(), seen), (rest, id)))
    })
    .boxed()
}

async fn tick(subject: &mut Option<Subject>) -> Option<()> {
    subject.as_mut()?.ticks.tick().await;
    Some(())
}

/// The newest count, once it changes.
async fn newest(counts: &mut Option<watch::Receiver<Option<Arc<Counted>>>>) -> Option<Arc<Counted>> {
    let counts = counts.as_mut()?;
    loop {
        // The sender lives as long as the state.
        counts.changed().await.ok()?;
        let newest = counts.borrow_and_update().clone();
        if newest.is_some() {
            return newest;
        }
    }
}
