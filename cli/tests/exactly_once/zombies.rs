//! Jobs that were thought dead: stopped beyond the timeout of their transaction, or while another job goes on with a
//! copy of their checkpoint.

use std::time::Duration;

use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::outside::in_test;

use super::job::{Job, copy_folder};
use super::kills::Chance;
use super::world::{World, rounds};

/// A broker that looks for transactions that took too long several times a second.
fn kafka() -> Option<Kafka> {
    let often = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
    in_test(Kafka::start(KafkaConfig::version(apache::NEWEST).property(often, "200")))
}

/// Four rounds; with `KLAMM_ROUNDS=5` twenty.
#[test]
fn a_job_that_is_stopped_beyond_its_transactions_timeout_leaves_every_record_once() {
    let Some(kafka) = kafka() else { return };
    let mut world = World::new(&kafka, "stopped", 1);
    let folder = tempfile::tempdir().expect("a folder");
    let mut plan = world.plan(&folder.path().join("checkpoint"));
    plan.transaction_ms = 1_000;
    let mut chance = Chance::new(9);
    let mut stopped = 0;
    while stopped < rounds(4) {
        world.append(30_000);
        let mut job = Job::start(&plan);
        if job.run_for(chance.millis(50, 400)).is_some() || !job.signal("STOP") {
            continue;
        }
        std::thread::sleep(Duration::from_millis(2_000));
        assert!(job.signal("CONT"), "a stopped job does not end");
        stopped += 1;
        let ended = job.run_for(Duration::from_secs(60)).expect("it comes to its end");
        // A transaction that timed out may cost the job; then the next one goes on.
        assert!(matches!(ended.status, Some(0 | 1)), "{:?}: {}", ended.status, ended.said);
    }
    Job::finish(&plan);
    world.check();
}

/// Four rounds; with `KLAMM_ROUNDS=5` twenty.
#[test]
fn a_job_that_wakes_up_after_another_has_taken_over_is_fenced_and_writes_nothing() {
    let Some(kafka) = kafka() else { return };
    let mut world = World::new(&kafka, "doubled", 1);
    let folder = tempfile::tempdir().expect("a folder");
    let mut plan = world.plan(&folder.path().join("checkpoint-0"));
    let mut chance = Chance::new(10);
    let (mut round, mut fenced, mut tries) = (0, 0, 0);
    while round < rounds(4) || fenced == 0 {
        tries += 1;
        assert!(tries <= 10 * rounds(4), "no job is stopped in the middle of its work");
        world.append(30_000);
        let mut old = Job::start(&plan);
        if old.run_for(chance.millis(50, 1_000)).is_some() || !old.signal("STOP") {
            continue;
        }
        if !plan.checkpoint.join("metadata").exists() {
            // Stopped before it has a name: whoever goes on with a copy would be another query.
            assert!(old.signal("CONT"), "a stopped job does not end");
            old.run_for(Duration::from_secs(60)).expect("it comes to its end");
            continue;
        }
        round += 1;
        let mut taken = plan.clone();
        taken.checkpoint = folder.path().join(format!("checkpoint-{round}"));
        copy_folder(&plan.checkpoint, &taken.checkpoint);
        let mut new = Job::start(&taken);
        // Sometimes both run side by side for a while.
        let ended = new.run_for(chance.millis(50, 1_500));
        assert!(old.signal("CONT"), "a stopped job does not end");
        let dead = old.run_for(Duration::from_secs(60)).expect("it comes to its end");
        // One that had not taken its slots over before it was stopped does so afterwards: then the other is fenced.
        let ended = match ended {
            Some(ended) => ended,
            None => new.run_for(Duration::from_secs(60)).expect("it comes to its end"),
        };
        for one in [&dead, &ended] {
            assert!(matches!(one.status, Some(0 | 1 | 4)), "{:?}: {}", one.status, one.said);
        }
        fenced += u32::from(dead.said.contains("taken over") || dead.said.contains("fenced"));
        // Whoever won has the checkpoint to go on with.
        let old_won = dead.status == Some(0) && ended.status != Some(0);
        plan = if old_won { plan } else { taken };
        Job::finish(&plan);
    }
    world.check();
}
