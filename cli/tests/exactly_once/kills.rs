//! The job is killed with SIGKILL at random instants, and so are the brokers that lead its output and coordinate its
//! transactions.

use std::time::Duration;

use klamm_client::cluster::CoordinatorKind;
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::outside::in_test;
use tokio::time::Instant;

use super::job::{Job, Plan};
use super::world::{World, rounds};

/// Ten kills and 40,000 records; with `KLAMM_ROUNDS=5` fifty and 200,000.
#[test]
fn a_job_that_is_killed_again_and_again_leaves_every_record_once() {
    let Some(kafka) = apache::for_test(apache::NEWEST, 1) else { return };
    let mut world = World::new(&kafka, "killed", 1);
    let folder = tempfile::tempdir().expect("a folder");
    let plan = world.plan(&folder.path().join("checkpoint"));
    let mut chance = Chance::new(7);
    world.append(u64::from(rounds(40_000)));
    let mut killed = 0;
    while killed < rounds(10) {
        let mut job = Job::start(&plan);
        match job.run_for(chance.millis(20, 500)) {
            None => {
                job.kill();
                killed += 1;
            }
            Some(ended) => {
                assert_eq!(ended.status, Some(0), "{}", ended.said);
                world.append(10_000);
            }
        }
    }
    Job::finish(&plan);
    world.check();
}

/// Four kills of brokers; with `KLAMM_ROUNDS=2` eight.
#[test]
fn brokers_that_are_killed_under_a_job_leave_every_record_once() {
    let config = KafkaConfig::version(apache::NEWEST)
        .brokers(3)
        .property("min.insync.replicas", "2")
        .property("broker.session.timeout.ms", "4000")
        .property("broker.heartbeat.interval.ms", "500")
        .property("replica.lag.time.max.ms", "6000");
    let Some(kafka) = in_test(Kafka::start(config)) else { return };
    let mut world = World::new(&kafka, "cluster", 3);
    let folder = tempfile::tempdir().expect("a folder");
    let plan = world.plan(&folder.path().join("checkpoint"));
    let mut chance = Chance::new(8);
    for round in 0..rounds(4) {
        world.append(30_000);
        let mut job = Job::start(&plan);
        let early = job.run_for(chance.millis(50, 600));
        let victim = victim(&world, &plan, round);
        kafka.kill(victim).expect("it ran");
        if early.is_none() {
            // It may live through this, or fail and be started again below.
            if let Some(ended) = job.run_for(Duration::from_secs(90)) {
                assert!(matches!(ended.status, Some(0 | 1)), "{:?}: {}", ended.status, ended.said);
            }
        }
        drop(job);
        Job::finish(&plan);
        kafka.restart(victim).expect("it starts again");
        world.runtime.block_on(whole(&world));
    }
    world.check();
}

/// The coordinator of the job's transactions in even rounds, the leader of an output partition in odd ones.
fn victim(world: &World<'_>, plan: &Plan, round: u32) -> i32 {
    world.runtime.block_on(async {
        let deadline = Instant::now() + Duration::from_secs(30);
        let cluster = world.client.cluster();
        let metadata = std::fs::read_to_string(plan.checkpoint.join("metadata")).ok();
        let id = metadata.and_then(|text| text.split('"').nth(3).map(str::to_owned));
        let address = match id.filter(|_| round.is_multiple_of(2)) {
            Some(id) => {
                let kind = CoordinatorKind::Transaction;
                let name = format!("klamm-{id}-{}", round / 2 % plan.tasks);
                let handle = cluster.coordinator(kind, &name, deadline).await;
                handle.expect("a coordinator").peer().to_owned()
            }
            None => {
                let topic = cluster.topic(&plan.to, deadline).await.expect("a topic");
                let leader = topic.partitions.first().and_then(|one| one.leader);
                return leader.expect("a leader");
            }
        };
        let is_it = |node: &i32| world.kafka.address(*node).is_ok_and(|one| address.contains(&one));
        let node = world.kafka.node_ids().find(is_it);
        node.unwrap_or_else(|| panic!("no broker has the address {address}"))
    })
}

/// Waits until every replica keeps up again: only then may the next broker die.
async fn whole(world: &World<'_>) {
    let deadline = Instant::now() + Duration::from_secs(90);
    // From here on the view includes it.
    world.client.cluster().topic(&world.output(), deadline).await.expect("it was made");
    loop {
        let view = world.client.cluster().refresh(deadline).await.expect("brokers live");
        let topic = view.topics.get(&*world.output());
        let keeps_up = topic.is_some_and(|topic| {
            topic.partitions.iter().all(|one| one.leader.is_some() && one.in_sync.len() == 3)
        });
        if keeps_up {
            return;
        }
        assert!(Instant::now() < deadline, "replicas still lag");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Numbers that are the same in every run.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Between two numbers of milliseconds.
    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        // A linear congruence is enough to spread a few dozen instants.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(from + (self.0 >> 33) % (to - from))
    }
}
