//! One page's search: takes parts of the indexes of all queues, in one order, and picks what the
//! filter admits.

use std::collections::HashMap;

use futures::future;
use upshot_queue::{Account, Client, Error, Job, JobId, QueueName, State, VerdictDay, VerdictRow};

use super::{Filter, Found, cursor::Place};
use crate::risk::{RunTimesCache, Work};

/// Ids that are looked at together, at least and at most.
const PART: (usize, usize) = (16, 200);
/// Entries of one index that are read together, at least.
const LEAST: usize = 8;
/// Packs of ids that are read together.
const PACKS: usize = 4;
/// Milliseconds by which the time of a pack may be later than the due times of its ids, with room.
const TICK: i64 = 1_000;
/// Sorts after every id.
const AFTER_IDS: &str = "~";
const DAY_MS: i64 = 86_400_000;

/// A search for a page.
pub(super) struct Search<'a> {
    queues: &'a [&'a Client],
    /// Of each queue, the numbers of the routes that are wanted.
    routes: Vec<Vec<u32>>,
    filter: &'a Filter,
    now: i64,
    times: &'a RunTimesCache,
    picked: Vec<(Account, Item)>,
    examined: usize,
}

/// Something to look at: of the queue at a place, a job or a row.
enum Item {
    Job(usize, JobId),
    Row(usize, Box<VerdictRow>),
}

/// A part of a list: entries with the positions after them, and where the list continues.
struct Part {
    items: Vec<(Item, Place)>,
    next: Option<Place>,
}

impl<'a> Search<'a> {
    pub(super) async fn begin(
        queues: &'a [&'a Client],
        filter: &'a Filter,
        now: i64,
        times: &'a RunTimesCache,
    ) -> Result<Self, Error> {
        let wanted = |name: &String| filter.route.as_ref().is_none_or(|route| route == name);
        let known = future::try_join_all(queues.iter().map(|queue| queue.routes())).await?;
        let numbers = known.into_iter().map(|routes| {
            routes.into_iter().filter(|(n, name)| *n != upshot_queue::NO_ROUTE && wanted(name))
        });
        let routes = numbers.map(|numbers| numbers.map(|(n, _)| n).collect()).collect();
        Ok(Self { queues, routes, filter, now, times, picked: Vec::new(), examined: 0 })
    }

    pub(super) fn picked(&self) -> usize {
        self.picked.len()
    }

    pub(super) const fn examined(&self) -> usize {
        self.examined
    }

    /// Looks at the next part of the list of a status, and picks at most `room` of it. Returns the
    /// position after the last entry that was looked at; `None` at the end of the list.
    pub(super) async fn step(
        &mut self,
        status: Account,
        from: &Place,
        room: usize,
    ) -> Result<Option<Place>, Error> {
        let looks = self.filter.kind.is_some() || self.filter.tenant.is_some() || self.filter.at_risk;
        let take = if looks { PART.1 } else { room.clamp(PART.0, PART.1) };
        let mut part = self.part(status, from, take).await?;
        if part.items.len() > take
            && let Some((_, after)) = part.items.get(take - 1)
        {
            part.next = Some(after.clone());
            part.items.truncate(take);
        }
        let last = part.items.len();
        let mut room = room;
        for (n, (item, after)) in self.admitted(status, part.items).await?.into_iter().enumerate() {
            self.examined += 1;
            let Some(item) = item else { continue };
            self.picked.push((status, item));
            room -= 1;
            if room == 0 {
                return Ok(if n + 1 < last { Some(after) } else { part.next });
            }
        }
        // A step that looked at nothing costs too: of days without such a row.
        self.examined += 1;
        Ok(part.next.filter(|next| next != from))
    }

    /// Reads the picked jobs, in order. A job that has left its status since is left out.
    pub(super) async fn load(self) -> Result<Vec<Found>, Error> {
        let mut ids: Vec<Vec<JobId>> = vec![Vec::new(); self.queues.len()];
        for (_, item) in &self.picked {
            if let Item::Job(queue, id) = item
                && let Some(of_queue) = ids.get_mut(*queue)
            {
                of_queue.push(id.clone());
            }
        }
        let reads = self.queues.iter().zip(&ids).map(|(queue, ids)| queue.jobs(ids));
        let read = future::try_join_all(reads).await?;
        let mut jobs: HashMap<JobId, Job> =
            read.into_iter().flatten().map(|job| (job.id.clone(), job)).collect();
        let found = self.picked.into_iter().filter_map(|(status, item)| match item {
            Item::Job(_, id) => {
                jobs.remove(&id).filter(|job| stands(job, status)).map(|job| Found::Job(Box::new(job)))
            }
            Item::Row(queue, row) => {
                self.queues.get(queue).map(|queue| Found::Row(queue.name().clone(), row))
            }
        });
        Ok(found.collect())
    }

    async fn part(&self, status: Account, from: &Place, take: usize) -> Result<Part, Error> {
        match (status, from) {
            (Account::AchievedInTime, Place::RowsOf { .. } | Place::Rows { .. }) => {
                self.rows(from, take).await
            }
            (Account::AchievedInTime, _) => self.succeeded(from, take).await,
            (Account::Open, _) => self.due(from, take).await,
            (status, _) if status.is_indexed() => self.listed(status, from, take).await,
            _ => Ok(Part { items: Vec::new(), next: None }),
        }
    }

    /// A part of the indexes by time. All queues and routes are merged: a shared position means the
    /// same in each index, because an index orders its entries by time and id.
    async fn listed(&self, status: Account, from: &Place, take: usize) -> Result<Part, Error> {
        // Without a verdict the oldest due one comes first, else the newest verdict.
        let up = matches!(status, Account::Overdue | Account::Awaiting | Account::Reopened);
        let behind = match from {
            Place::Listed { at, id } => Some((*at, id.as_str())),
            _ if up => self.filter.from.map(|from| (from - 1, AFTER_IDS)),
            _ => self.filter.to.map(|to| (to, AFTER_IDS)),
        };
        let indexes: Vec<(usize, u32)> = self.routes.iter().enumerate().flat_map(of_queue).collect();
        let each = (2 * take / indexes.len().max(1)).max(LEAST);
        let reads = indexes.iter().filter_map(|(queue, route)| {
            let queue = self.queues.get(*queue)?;
            Some(queue.outcome_ids(*route, status, up, behind, each))
        });
        let read = future::try_join_all(reads).await?;
        let ahead = |one: &(i64, &JobId), other: &(i64, &JobId)| {
            if up { one.cmp(other) } else { other.cmp(one) }
        };
        // Behind the end of an index that continues, others may have entries that come first.
        let full = read.iter().filter(|part| part.len() >= each).filter_map(|part| part.last());
        let bound = full.map(|(id, at)| (*at, id)).min_by(ahead);
        let mut found: Vec<(i64, &JobId, usize)> = indexes
            .iter()
            .zip(&read)
            .flat_map(|((queue, _), part)| part.iter().map(move |(id, at)| (*at, id, *queue)))
            .filter(|(at, id, _)| bound.is_none_or(|bound| ahead(&(*at, id), &bound).is_le()))
            .collect();
        found.sort_by(|(at, id, _), (other_at, other, _)| ahead(&(*at, id), &(*other_at, other)));
        let before = found.len();
        found.retain(|(at, ..)| self.is_within(*at));
        let more = bound.is_some() && found.len() == before;
        let place = |at: i64, id: &JobId| Place::Listed { at, id: id.clone() };
        let items: Vec<_> =
            found.into_iter().map(|(at, id, queue)| (Item::Job(queue, id.clone()), place(at, id))).collect();
        let next = items.last().filter(|_| more).map(|(_, after)| after.clone());
        Ok(Part { items, next })
    }

    /// A part of the packs of ids by due time, of all queues.
    async fn due(&self, from: &Place, take: usize) -> Result<Part, Error> {
        let behind = match from {
            Place::Due { until, pack, .. } => Some((*until, pack.as_str())),
            _ => self.filter.from.map(|from| (from - 1, AFTER_IDS)),
        };
        let read =
            future::try_join_all(self.queues.iter().map(|queue| queue.due_packs(behind, PACKS))).await?;
        let full = read.iter().filter(|packs| packs.len() >= PACKS).filter_map(|packs| packs.last());
        let bound = full.filter_map(|pack| Some((pack.until, pack.ids.first()?))).min();
        let mut packs: Vec<(i64, &JobId, usize, &[JobId])> = read
            .iter()
            .enumerate()
            .flat_map(|(queue, packs)| packs.iter().map(move |pack| (queue, pack)))
            .filter_map(|(queue, pack)| Some((pack.until, pack.ids.first()?, queue, pack.ids.as_slice())))
            .filter(|(until, first, ..)| bound.is_none_or(|bound| (*until, *first) <= bound))
            .collect();
        packs.sort_by_key(|(until, first, ..)| (*until, *first));
        let mut part = Part { items: Vec::new(), next: None };
        for (until, first, queue, ids) in packs {
            if self.filter.to.is_some_and(|to| until - TICK > to) {
                return Ok(Part { next: None, ..part });
            }
            // The position is before the pack that it names, if that pack has several ids.
            let seen = match from {
                Place::Due { until: at, pack, seen } if (*at, pack) == (until, first) => *seen,
                _ => 0,
            };
            for (n, id) in ids.iter().enumerate().skip(seen) {
                let after = Place::Due { until, pack: first.clone(), seen: n + 1 };
                part.next = Some(after.clone());
                part.items.push((Item::Job(queue, id.clone()), after));
            }
            if part.items.len() > take {
                return Ok(part);
            }
        }
        if bound.is_none() {
            part.next = None;
        }
        Ok(part)
    }

    /// A part of the stream of succeeded jobs of one queue.
    async fn succeeded(&self, from: &Place, take: usize) -> Result<Part, Error> {
        let (queue, from) = match from {
            Place::Succeeded { queue, from } => (self.place_of(queue), from.clone()),
            _ => (0, None),
        };
        let Some(client) = self.queues.get(queue) else { return Ok(Part { items: Vec::new(), next: None }) };
        let until = || self.filter.to.map(upshot_queue::Cursor::succeeded_until);
        let read = client.succeeded_ids(from.or_else(until).as_ref(), take).await?;
        let is_early = |(_, at, _): &(JobId, i64, _)| self.filter.from.is_some_and(|from| *at < from);
        let ends = read.len() < take || read.iter().any(is_early);
        let within = read.into_iter().filter(|(_, at, _)| self.is_within(*at));
        let place = |from| Place::Succeeded { queue: client.name().clone(), from: Some(from) };
        let items: Vec<_> = within.map(|(id, _, after)| (Item::Job(queue, id), place(after))).collect();
        let next = if ends {
            let following = self.queues.get(queue + 1);
            following.map_or_else(
                || self.rows_from(0),
                |next| Some(Place::Succeeded { queue: next.name().clone(), from: None }),
            )
        } else {
            items.last().map(|(_, after)| after.clone())
        };
        Ok(Part { items, next })
    }

    /// A part of the rows of one day of one queue, of outcomes achieved in time.
    async fn rows(&self, from: &Place, take: usize) -> Result<Part, Error> {
        let nothing = |next| Ok(Part { items: Vec::new(), next });
        let (queue, at) = match from {
            Place::RowsOf { queue } => (queue, None),
            Place::Rows { queue, day, position, seen } => (queue, Some((*day, *position, *seen))),
            _ => return nothing(None),
        };
        let queue = self.place_of(queue);
        let Some(client) = self.queues.get(queue) else { return nothing(None) };
        let day_of = |ms: Option<i64>| ms.map(|ms| ms.div_euclid(DAY_MS));
        let (first, last) = (day_of(self.filter.from), day_of(self.filter.to));
        let is_wanted = |of: &VerdictDay| {
            of.in_time && first.is_none_or(|first| of.day >= first) && last.is_none_or(|last| of.day <= last)
        };
        let days = client.verdict_days().await?;
        let mut days = days.into_iter().filter(is_wanted);
        let of = match at {
            None => days.next(),
            Some((day, ..)) => days.find(|each| each.day <= day.day),
        };
        let Some(day) = of else { return nothing(self.rows_from(queue + 1)) };
        let (position, seen) = at.filter(|(at, ..)| *at == day).map_or((0, 0), |(_, at, seen)| (at, seen));
        let (rows, next) = client.verdict_rows_of(day, position, take).await?;
        let name: QueueName = client.name().clone();
        let place = |day, position, seen| Place::Rows { queue: name.clone(), day, position, seen };
        let next = match (next, days.next()) {
            (0, Some(day)) => Some(place(day, 0, 0)),
            (0, None) => self.rows_from(queue + 1),
            (next, _) => Some(place(day, next, 0)),
        };
        let items = rows.into_iter().enumerate().skip(seen);
        let items = items.map(|(n, row)| (Item::Row(queue, Box::new(row)), place(day, position, n + 1)));
        Ok(Part { items: items.collect(), next })
    }

    /// Of these entries those that the filter admits, each at its place. A forgotten job becomes its row.
    async fn admitted(
        &self,
        status: Account,
        items: Vec<(Item, Place)>,
    ) -> Result<Vec<(Option<Item>, Place)>, Error> {
        let mut admitted: Vec<Option<Item>> = items.iter().map(|_| None).collect();
        for (queue, client) in self.queues.iter().enumerate() {
            let of_queue = |(n, (item, place)): (usize, &(Item, Place))| match (item, place) {
                (Item::Job(of, id), Place::Listed { at, .. }) if *of == queue => Some((n, id.clone(), *at)),
                (Item::Job(of, id), _) if *of == queue => Some((n, id.clone(), 0)),
                _ => None,
            };
            let named: Vec<(usize, JobId, i64)> = items.iter().enumerate().filter_map(of_queue).collect();
            if named.is_empty() {
                continue;
            }
            let ids: Vec<JobId> = named.iter().map(|(_, id, _)| id.clone()).collect();
            let briefs = client.briefs(&ids).await?;
            let (mut jobs, mut absent) = (Vec::new(), Vec::new());
            for ((n, id, at), job) in named.into_iter().zip(briefs) {
                match job {
                    Some(job) if self.admits(status, queue, &job) => jobs.push((n, job)),
                    None if status.is_verdict() => absent.push((n, (id, at))),
                    _ => {}
                }
            }
            if self.filter.at_risk {
                let at_risk = self.at_risk(client, jobs.iter().map(|(_, job)| job).collect()).await?;
                let mut at_risk = at_risk.into_iter();
                jobs.retain(|_| at_risk.next().unwrap_or(false));
            }
            let mut admit = |n: usize, item| {
                if let Some(place) = admitted.get_mut(n) {
                    *place = Some(item);
                }
            };
            for (n, job) in jobs {
                admit(n, Item::Job(queue, job.id));
            }
            let (places, forgotten): (Vec<usize>, Vec<_>) = absent.into_iter().unzip();
            let rows = client.exception_rows(&forgotten).await?;
            for (n, row) in places.into_iter().zip(rows) {
                if let Some(row) = row.filter(|row| self.admits_row(status, queue, row)) {
                    admit(n, Item::Row(queue, Box::new(row)));
                }
            }
        }
        let whole = |((item, place), admitted): ((Item, Place), Option<Item>)| match item {
            Item::Row(queue, row) => {
                let fits = self.admits_row(status, queue, &row);
                (fits.then_some(Item::Row(queue, row)), place)
            }
            Item::Job(..) => (admitted, place),
        };
        Ok(items.into_iter().zip(admitted).map(whole).collect())
    }

    /// Of these jobs, in order, whether they are at risk.
    async fn at_risk(&self, client: &Client, jobs: Vec<&Job>) -> Result<Vec<bool>, Error> {
        let scheduled = |job: &&&Job| job.state == State::Scheduled;
        let ids: Vec<JobId> = jobs.iter().filter(scheduled).map(|job| job.id.clone()).collect();
        let (times, starts) = future::try_join(self.times.of(client), client.due_times(&ids)).await?;
        let mut starts = starts.into_iter();
        let judge = |job: &Job| {
            let start = if job.state == State::Scheduled { starts.next().flatten() } else { None };
            times.is_at_risk(job, Work::of(job, start), self.now)
        };
        Ok(jobs.into_iter().map(judge).collect())
    }

    fn admits(&self, status: Account, queue: usize, job: &Job) -> bool {
        let Some(expectation) = job.expectation.filter(|_| stands(job, status)) else { return false };
        let at = if status.is_open() { expectation.due } else { job.since };
        // A waived outcome may have had its verdict long before its work ended.
        let is_within = status == Account::Waived || self.is_within(at);
        is_within
            && self.wants_route(queue, expectation.route)
            && self.filter.kind.as_ref().is_none_or(|kind| job.kind == *kind)
            && self.filter.tenant.as_ref().is_none_or(|tenant| job.tenant.as_ref() == Some(tenant))
    }

    fn admits_row(&self, status: Account, queue: usize, row: &VerdictRow) -> bool {
        row.account == status
            && self.is_within(row.ended_at)
            && self.wants_route(queue, row.route)
            && self.filter.kind.as_ref().is_none_or(|kind| row.kind == *kind)
            && self.filter.tenant.as_ref().is_none_or(|tenant| row.tenant.as_ref() == Some(tenant))
    }

    fn wants_route(&self, queue: usize, route: u32) -> bool {
        self.filter.route.is_none() || self.routes.get(queue).is_some_and(|routes| routes.contains(&route))
    }

    fn is_within(&self, at: i64) -> bool {
        self.filter.from.is_none_or(|from| at >= from) && self.filter.to.is_none_or(|to| at <= to)
    }

    fn place_of(&self, queue: &QueueName) -> usize {
        self.queues.iter().position(|each| each.name() == queue).unwrap_or(self.queues.len())
    }

    /// Where the rows of the queue at a place begin.
    fn rows_from(&self, queue: usize) -> Option<Place> {
        self.queues.get(queue).map(|queue| Place::RowsOf { queue: queue.name().clone() })
    }
}

/// Whether the expectation of a job has a status.
fn stands(job: &Job, status: Account) -> bool {
    job.expectation.is_some_and(|expectation| match expectation.account {
        Account::Waiving => status == Account::Waived,
        account => status == account,
    })
}

/// A route and its queue, by its place.
fn of_queue((queue, routes): (usize, &Vec<u32>)) -> impl Iterator<Item = (usize, u32)> + use<> {
    let routes = routes.clone();
    routes.into_iter().map(move |route| (queue, route))
}
