//! `GET /v1/subjects/{subject}`: everything about a business key, in order of time.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use futures::future;
use serde::Serialize;
use upshot_ledger::{
    list::Found,
    story::{self, Known},
};
use upshot_queue::{Client, Error, JobId, QueueName, VerdictRow};
use utoipa::ToSchema;

use crate::{
    access::Caller,
    known,
    links::Links,
    problem::{Code, Details, Problem},
    query::Query,
    report,
    reveal::{REVEAL, Reveal},
    state::Shared,
    view::{OutcomeReport, StoryEntry},
};

const PARAMETERS: [&str; 3] = [REVEAL, "cursor", "limit"];
/// Jobs of one answer by default, and at most.
const LIMIT: usize = 50;
const MOST: usize = 200;
/// Parts without a job that the caller sees, at most, for one answer.
const SKIPPED: usize = 20;

/// Everything about a subject.
#[derive(Debug, Serialize, ToSchema)]
pub struct Story {
    /// The subject.
    #[schema(example = "order-1042")]
    subject: String,
    /// How the outcome of each of its jobs stands.
    outcomes: Vec<OutcomeReport>,
    /// What happened, oldest first.
    story: Vec<StoryEntry>,
    /// Where the story continues, if the subject has more jobs than `limit`; null otherwise. Each part
    /// is in order by itself.
    #[schema(required)]
    next: Option<String>,
}

/// Tells the story of a subject.
///
/// Everything about a business key over all queues, in order of time: the event, the job, each attempt
/// and why it failed, waits with their length, changes by operators, steps, files and mails, when it was
/// overdue, each verdict with the receipt that tells it, and what is left of forgotten jobs. `text` of
/// each entry says it in words. A subject may be any text: percent-encode it, slashes included.
#[utoipa::path(
    get,
    path = "/v1/subjects/{subject}",
    operation_id = "tell_story",
    extensions(("x-right" = json!("see-own"))),
    tag = "outcomes",
    params(
        ("subject" = String, Path, description = "The subject, percent-encoded", example = "order-1042"),
        ("reveal" = Option<bool>, Query, description = "`true` for complete mail addresses"),
        ("cursor" = Option<String>, Query, description = "Where to continue: part of `next`"),
        ("limit" = Option<usize>, Query, description = "Jobs of one answer, 1 to 200; 50 if it is left out", minimum = 1, maximum = 200),
    ),
    responses(
        (status = 200, description = "The story", body = Story),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No job about this subject is known", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn story(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    Path(subject): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<Story>, Problem> {
    let query = Query::parse(raw.as_deref(), &PARAMETERS)?;
    let shown = state.shown.with(Reveal::of(&query, &caller)?);
    check(&subject)?;
    let after: Option<JobId> = state.cursor(&caller, &query).await?;
    let limit = query.within("limit", 1, MOST)?.unwrap_or(LIMIT);
    let is_first = after.is_none();
    let mut page = Page::read(&state, &caller, &subject, after, limit).await?;
    // Another tenant may use the same subject: that a page is empty must not tell of it.
    for _ in 0..SKIPPED {
        let Some(next) = page.next.clone().filter(|_| page.known.is_empty()) else { break };
        page = Page::read(&state, &caller, &subject, Some(next), limit).await?;
    }
    let Page { known, outcomes, next } = page;
    if known.is_empty() && (next.is_none() || !caller.sees_everything()) && is_first {
        let shown: String = subject.chars().take(100).collect();
        let detail = format!(
            "no job about `{shown}` is known: its event was not enqueued yet or is in quarantine, or its jobs and \
             their verdicts were forgotten after their retention"
        );
        return Err(Problem::new(Code::UnknownSubject, detail));
    }
    let now = state.now().await?;
    let story = story::story(&known, now).into_iter().map(|entry| StoryEntry::new(entry, &shown)).collect();
    let outcomes = report::reports(&state, &outcomes, now, &links, &shown).await?;
    let next = match next {
        Some(next) => {
            let next = state.show_cursor(&caller, &next).await?;
            Some(links.subject(&subject, &query.next(&PARAMETERS, &next)))
        }
        None => None,
    };
    Ok(Json(Story { subject, outcomes, story, next }))
}

/// A part of what is known about a subject.
struct Page {
    known: Vec<Known>,
    outcomes: Vec<Found>,
    /// The id after which the next part begins.
    next: Option<JobId>,
}

impl Page {
    /// Reads the jobs that the caller sees, of the next `limit` jobs about a subject.
    async fn read(
        state: &Shared,
        caller: &Caller,
        subject: &str,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Self, Problem> {
        let queues = state.queues_of(caller);
        let read = || {
            future::try_join_all(
                queues.iter().map(|queue| queue.ids_of_subject(subject, after.as_ref(), limit + 1)),
            )
        };
        let named = state.read(read).await?;
        // The order of the ids is the same in all queues.
        let mut ids: Vec<(JobId, usize)> = named
            .into_iter()
            .enumerate()
            .flat_map(|(queue, ids)| ids.into_iter().map(move |id| (id, queue)))
            .collect();
        ids.sort();
        let more = ids.len() > limit;
        ids.truncate(limit);
        let next = ids.last().filter(|_| more).map(|(id, _)| id.clone());
        let of =
            |queue: usize| ids.iter().filter(move |(_, of)| *of == queue).map(|(id, _)| id.clone()).collect();
        let parts: Vec<Vec<JobId>> = (0..queues.len()).map(of).collect();
        let read = || future::try_join_all(queues.iter().zip(&parts).map(|(queue, ids)| part(queue, ids)));
        let found = state.read(read).await?;
        let names = queues.iter().map(|queue| queue.name().clone()).collect();
        let routes = report::routes(state, &names).await?;
        let route = |queue: &QueueName, number: u32| routes.get(queue)?.get(&number).cloned();
        let mut page = Self { known: Vec::new(), outcomes: Vec::new(), next };
        for (queue, (jobs, rows)) in queues.iter().zip(found) {
            for known::Known { job, due } in jobs.into_iter().filter(|known| caller.sees(&known.job)) {
                let route = job.expectation.and_then(|expectation| route(&job.queue, expectation.route));
                page.outcomes.push(Found::Job(Box::new(job.clone())));
                page.known.push(Known::Job { job: Box::new(job), route, starts: due });
            }
            for row in rows.into_iter().filter(|row| caller.sees_row(queue.name(), row)) {
                let (queue, row) = (queue.name().clone(), Box::new(row));
                page.outcomes.push(Found::Row(queue.clone(), row.clone()));
                page.known.push(Known::Row { route: route(&queue, row.route), queue, row });
            }
        }
        Ok(page)
    }
}

/// Checks that a text can be a subject.
///
/// # Errors
/// A 400 if it cannot.
pub fn check(subject: &str) -> Result<(), Problem> {
    if subject.is_empty() || subject.len() > 512 || subject.contains('\0') {
        let remedy = "a subject has 1 to 512 bytes, and no NUL";
        return Err(Problem::parameter("subject", subject, remedy));
    }
    Ok(())
}

/// The jobs of these ids, and what is left of those that are forgotten.
async fn part(queue: &Client, ids: &[JobId]) -> Result<(Vec<known::Known>, Vec<VerdictRow>), Error> {
    let jobs = known::Known::read(queue, ids).await?;
    let is_there = |id: &&JobId| jobs.iter().any(|known| known.job.id == **id);
    let absent: Vec<JobId> = ids.iter().filter(|id| !is_there(id)).cloned().collect();
    let rows = queue.verdict_rows(&absent).await?;
    Ok((jobs, rows))
}
