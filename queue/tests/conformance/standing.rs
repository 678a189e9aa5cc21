//! What holds a job: its place, at a cost that does not grow with the queue.

use std::time::Duration;

use upshot_queue::{Deadline, JobId, Late, NewJob, Priority, Standing, protocol::Claim};

use crate::{
    by_hand,
    fixture::{Fixture, own_redis},
};

async fn standing(fixture: &Fixture, id: &JobId) -> Standing {
    fixture.queue.standing(id).await.unwrap().expect("a job")
}

/// In the order in which they are claimed.
async fn claim_all(fixture: &Fixture) -> Vec<JobId> {
    let mut order = Vec::new();
    for number in 1.. {
        let claim = Claim { want: 7, quantum: 7, ..by_hand::claim("one", number) };
        let claimed = fixture.queue.worker.claim(&claim).await.unwrap();
        let jobs = by_hand::jobs(&fixture.queue, "one", claimed);
        if jobs.is_empty() {
            break;
        }
        order.extend(jobs.iter().map(|job| job.id.clone()));
        by_hand::settle(&fixture.queue, "one", &jobs, &by_hand::succeed()).await;
    }
    order
}

#[tokio::test]
async fn a_job_knows_its_place_in_its_lane() {
    for some_leave in [false, true] {
        let fixture = Fixture::new().await;
        let mut ids = Vec::new();
        for call in 0..40_u64 {
            let jobs: Vec<NewJob> = (0..10_u64)
                .map(|n| {
                    let within = Duration::from_secs(3600 * (1 + (call * 7 + n * 5) % 48));
                    let deadline = (n % 4 == 0).then_some(Deadline { within, then: Late::Runs });
                    NewJob { deadline, ..NewJob::new(JobId::random(), "test", "") }
                })
                .collect();
            fixture.queue.enqueue(&jobs).await.unwrap();
            ids.extend(jobs.into_iter().map(|job| job.id));
        }
        let mut gone = 0;
        for id in ids.iter().skip(3).step_by(11).filter(|_| some_leave) {
            fixture.queue.operator.cancel(id).await.unwrap();
            gone += 1;
        }
        let mut places = Vec::new();
        for id in &ids {
            if let Some(ahead) = standing(&fixture, id).await.ahead {
                places.push((id.clone(), ahead));
            }
        }
        assert_eq!(places.len(), ids.len() - gone);
        let order = claim_all(&fixture).await;
        assert_eq!(order.len(), places.len());
        for (id, (least, most)) in places {
            let place = order.iter().position(|claimed| *claimed == id).expect("claimed") as u64;
            assert!(least <= place && place <= most, "{id} came as number {place}, not {least} to {most}");
            assert!(some_leave || least == most, "no job has left: {least} to {most}");
        }
        fixture.finish().await;
    }
}

#[tokio::test]
async fn the_place_costs_the_same_behind_many_jobs() {
    let redis = own_redis().await;
    let fixture = Fixture::on(redis.url());
    let mut costs = Vec::new();
    for n in [100, 10_000] {
        for _ in 0..n / 100 {
            fixture.enqueue(100).await;
        }
        let last = NewJob { priority: Priority::Normal, ..NewJob::new(JobId::random(), "test", "") };
        fixture.queue.enqueue(std::slice::from_ref(&last)).await.unwrap();
        let before = fixture.commands().await;
        let (least, most) = standing(&fixture, &last.id).await.ahead.expect("a place");
        costs.push(fixture.commands().await - before);
        assert!(least == most && most >= n, "{least} {most} {n}");
    }
    assert!(costs[1] < costs[0] + 60, "a hundred times as many jobs: {costs:?} commands");
    fixture.finish().await;
}
