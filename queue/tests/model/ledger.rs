//! The books as the model keeps them.

use std::collections::{BTreeMap, BTreeSet};

use upshot_queue::{Account, JobId, NO_ROUTE, State};

use crate::{handles::Queue, job::ModelJob, model::Model};

/// A day in ms.
const DAY_MS: u64 = 24 * 3600 * 1000;
/// Outcomes that are due within so many ms become overdue together.
const TICK_MS: u64 = 250;

/// The route of a job without an expectation.
const NONE: &str = "";

/// Of a forgotten job.
#[derive(Clone, Debug)]
struct Row {
    route: String,
    account: char,
    ended: u64,
    subject: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Moves by route, from and to.
    pub books: BTreeMap<(String, char, char), u64>,
    /// Ids by the end of the tick in which their outcomes are due.
    packs: BTreeSet<(u64, JobId)>,
    /// When each id of a route came into an account that is indexed, or was due.
    indexes: BTreeMap<(String, char), BTreeMap<JobId, u64>>,
    /// Of forgotten jobs, by day, whether it was achieved in time, and id.
    rows: BTreeMap<(u64, bool, JobId), Row>,
}

impl Ledger {
    fn count(&mut self, route: &str, from: char, to: char) {
        *self.books.entry((route.to_owned(), from, to)).or_default() += 1;
    }

    /// Moves an expectation; `at` is what an index sorts it by.
    fn mv(&mut self, id: &JobId, route: &str, from: char, to: char, at: u64) {
        self.count(route, from, to);
        let listed = |account: char| match account {
            'y' => Some('x'),
            account if "vnwlpmcx".contains(account) => Some(account),
            _ => None,
        };
        let (before, after) = (listed(from), listed(to));
        if route == NONE || before == after {
            return;
        }
        if let Some(before) = before {
            self.indexes.entry((route.to_owned(), before)).or_default().remove(id);
        }
        if let Some(after) = after {
            let index = self.indexes.entry((route.to_owned(), after)).or_default();
            if index.insert(id.clone(), at).is_some() {
                self.count(route, after, 'z');
            }
        }
    }

    pub fn duplicate(&mut self, route: Option<&str>) {
        self.count(route.unwrap_or(NONE), 'r', 'd');
    }

    /// A job is enqueued; `reopened` is the account of the dead one that gave way to it.
    pub fn open(&mut self, id: &JobId, job: &mut ModelJob, reopened: Option<char>) {
        let route = job.route().to_owned();
        if let Some(due) = job.expected {
            self.packs.insert((due - due % TICK_MS + TICK_MS, id.clone()));
        }
        match reopened {
            Some(from) => {
                job.account = 'n';
                self.count(&route, 'r', 'd');
                self.mv(id, &route, from, 'n', job.expected.unwrap_or(0));
            }
            None => self.count(&route, 'r', 'o'),
        }
    }

    /// A job came into a state.
    pub fn enter(&mut self, id: &JobId, job: &mut ModelJob, now: u64) {
        let verdict = match job.state {
            State::Dead => 'm',
            State::Cancelled => 'c',
            State::Succeeded if job.partly => 'p',
            State::Succeeded if job.expected.is_some_and(|due| now > due) => 'l',
            State::Succeeded => 't',
            _ => return,
        };
        let from = job.account;
        job.account = if from == 'y' { 'x' } else { verdict };
        self.mv(id, job.route(), from, job.account, now);
    }

    /// The handler of a job is done, and its proof is to come; or the handler runs again.
    pub fn await_proof(&mut self, id: &JobId, job: &mut ModelJob, begins: bool) {
        let (from, to) = if begins { ('o', 'w') } else { ('w', 'o') };
        if job.account == from {
            job.account = to;
            self.mv(id, job.route(), from, to, job.expected.unwrap_or(0));
        }
    }

    /// A dead job runs again.
    pub fn reopen(&mut self, id: &JobId, job: &mut ModelJob) {
        let from = std::mem::replace(&mut job.account, 'n');
        self.mv(id, job.route(), from, 'n', job.expected.unwrap_or(0));
    }

    /// The expectation of a job is settled; false where it cannot be.
    pub fn waive(&mut self, id: &JobId, job: &mut ModelJob, now: u64) {
        let from = job.account;
        job.account = if from == 'm' { 'x' } else { 'y' };
        self.mv(id, job.route(), from, job.account, now);
    }

    /// A job is forgotten and leaves a row.
    pub fn forget(&mut self, id: &JobId, job: &ModelJob) {
        if job.expected.is_none() {
            return;
        }
        let row = Row {
            route: job.route().to_owned(),
            account: job.account,
            ended: job.since,
            subject: job.new.subject.clone(),
        };
        let key = (job.since / DAY_MS, job.account == 't', id.clone());
        if let Some(old) = self.rows.remove(&key) {
            self.drop_row(id, &old);
        }
        let index = self.indexes.entry((row.route.clone(), row.account)).or_default();
        if let Some(at) = index.get_mut(id) {
            *at = row.ended;
        }
        self.rows.insert(key, row);
    }

    fn drop_row(&mut self, id: &JobId, row: &Row) {
        if row.account == 't' {
            return self.count(&row.route, 't', 'z');
        }
        let index = self.indexes.entry((row.route.clone(), row.account)).or_default();
        if index.get(id) == Some(&row.ended) {
            index.remove(id);
            self.count(&row.route, row.account, 'z');
        }
    }

    /// The subjects of forgotten jobs, as the index has them.
    pub fn subjects(&self) -> impl Iterator<Item = String> {
        self.rows.iter().filter_map(|((.., id), row)| Some(format!("{}\0{id}", row.subject.as_ref()?)))
    }

    /// The keys that it has.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        let rows = self
            .rows
            .keys()
            .map(|(day, in_time, _)| format!(":verdicts:{day}:{}", if *in_time { 't' } else { 'e' }));
        rows.chain(
            [":books", ":routes", ":open_by_tenant", ":due", ":verdicts", ":watchdog", ":minutes", ":hours"]
                .map(ToOwned::to_owned),
        )
    }

    /// Compares the books, and what they are compared with in the queue.
    pub async fn compare(&self, queue: &Queue) -> Result<BTreeMap<String, u32>, String> {
        let said = |error: upshot_queue::Error| error.to_string();
        let balance = queue.balance().await.map_err(said)?;
        let names = queue.routes().await.map_err(said)?;
        let name = |route: u32| if route == NO_ROUTE { NONE.to_owned() } else { names[&route].clone() };
        let stored: BTreeMap<(String, char, char), u64> = balance
            .books
            .moves
            .iter()
            .map(|((route, from, to), count)| ((name(*route), from.letter(), to.letter()), *count))
            .collect();
        if stored != self.books {
            return Err(format!("the books are {stored:?}, in the model {:?}", self.books));
        }
        if let Some((_, from, to)) = balance.books.moves.keys().find(|(_, from, to)| !from.may_become(*to)) {
            return Err(format!("an expectation moved from {from} to {to}, which is not legal"));
        }
        let drifts = balance.drifts();
        if !drifts.is_empty() {
            return Err(format!("the books do not balance: {drifts:?}"));
        }
        Ok(names.into_iter().map(|(number, name)| (name, number)).collect())
    }
}

impl Model {
    /// What is due becomes overdue.
    pub fn watch(&mut self) -> u64 {
        let (now, mut overdue) = (self.now(), 0);
        let due: Vec<(u64, JobId)> =
            self.ledger.packs.iter().take_while(|(tick, _)| *tick <= now).cloned().collect();
        for pack in due {
            self.ledger.packs.remove(&pack);
            let (tick, id) = pack;
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let Some(due) = job.expected.filter(|due| *due < tick) else { continue };
            if matches!(job.account, 'o' | 'w') && !job.state.is_final() {
                let from = std::mem::replace(&mut job.account, 'v');
                let route = job.route().to_owned();
                self.ledger.mv(&id, &route, from, 'v', due);
                self.count("overdue");
                overdue += 1;
            }
        }
        overdue
    }
}

/// The account that a letter stands for.
pub fn account(letter: char) -> Account {
    Account::from_letter(letter).unwrap()
}
