//! Checkpoints that Spark began and Klamm goes on with, and the other way round, in whatever state they were left: each
//! record comes out exactly once.

use klamm_client::TopicPartition;
use klamm_client::admin::DeleteBefore;
use klamm_client::producer::ProducerOptions;
use klamm_protocol::records::RecordParts;

use super::scene::{Scene, scene};
use super::story::{Engine, Story, Until};

/// Who begins, and who goes on.
const WAYS: [(Engine, Engine); 2] =
    [(Engine::Spark, Engine::Klamm), (Engine::Klamm, Engine::Spark)];

/// Three partitions of ten records to begin with, in batches of about seven.
fn limited<'a>(scene: &'a mut Scene, topic: &str, more: &[(&str, &str)]) -> Story<'a> {
    let options =
        [("subscribe", topic), ("startingOffsets", "earliest"), ("maxOffsetsPerTrigger", "7")];
    let mut story = Story::new(scene, &[&options[..], more].concat());
    story.topic(topic, 3);
    story.write(topic, 3, 10);
    story
}

#[test]
fn a_query_that_was_stopped_goes_on_with_the_other_and_back() {
    let Some(mut scene) = scene() else { return };
    for (first, second) in WAYS {
        let topic = format!("stopped-{first:?}");
        let mut story = limited(&mut scene, &topic, &[]);
        story.run(first, Until::Drained);
        story.write(&topic, 2, 20);
        story.run(second, Until::Drained);
        story.write(&topic, 3, 4);
        story.run(first, Until::Drained);
        story.check();
    }
}

#[test]
fn a_batch_that_one_was_killed_in_runs_again_with_the_other() {
    let Some(mut scene) = scene() else { return };
    for (first, second) in WAYS {
        let topic = format!("killed-{first:?}");
        let mut story = limited(&mut scene, &topic, &[]);
        story.run(first, Until::KilledIn(2));
        let before = story.rows().remove(&2);
        story.write(&topic, 3, 5);
        story.run(second, Until::Drained);
        // Spark's sink had written the batch before it died.
        let after = story.rows().remove(&2);
        assert!(before.is_none() || before == after, "{before:?} came again as {after:?}");
        story.check();
    }
}

#[test]
fn the_very_first_batch_may_be_the_one_that_failed() {
    let Some(mut scene) = scene() else { return };
    for (first, second) in WAYS {
        let topic = format!("first-{first:?}");
        let mut story = limited(&mut scene, &topic, &[]);
        story.run(first, Until::FailedIn(0));
        story.write(&topic, 3, 5);
        story.run(second, Until::FailedIn(0));
        story.run(first, Until::FailedIn(1));
        story.run(second, Until::Drained);
        story.check();
    }
}

#[test]
fn a_query_killed_behind_its_commit_goes_on_with_the_next_batch() {
    let Some(mut scene) = scene() else { return };
    for (first, second) in WAYS {
        let topic = format!("idle-{first:?}");
        let mut story = limited(&mut scene, &topic, &[]);
        story.run(first, Until::KilledIdle);
        story.write(&topic, 3, 5);
        story.run(second, Until::Drained);
        story.check();
    }
}

#[test]
fn partitions_that_came_meanwhile_are_read_from_their_beginning() {
    let Some(mut scene) = scene() else { return };
    for (first, second) in WAYS {
        // Once behind a commit, and once behind a batch that has to run as it was planned.
        for (state, until) in [("done", Until::Drained), ("failed", Until::FailedIn(1))] {
            let topic = format!("grown-{state}-{first:?}");
            let mut story = limited(&mut scene, &topic, &[]);
            story.run(first, until);
            let grown = [(topic.clone(), 12)];
            let client = &story.scene.client;
            story
                .scene
                .runtime
                .block_on(client.create_partitions(&grown))
                .remove(0)
                .expect("it grows");
            story.write(&topic, 12, 3);
            story.run(second, Until::Drained);
            story.write(&topic, 12, 1);
            story.run(first, Until::Drained);
            story.check();
        }
    }
}

#[test]
fn topics_that_a_pattern_finds_meanwhile_are_read_from_their_beginning() {
    let Some(mut scene) = scene() else { return };
    for (first, second) in WAYS {
        let name = |part: &str| format!("found-{first:?}-{part}");
        let pattern = format!("^found-{first:?}-.*");
        let mut story = Story::new(
            &mut scene,
            &[
                ("subscribePattern", &pattern),
                ("startingOffsets", "earliest"),
                ("maxOffsetsPerTrigger", "9"),
            ],
        );
        for part in ["zeta", "alpha", "mid"] {
            story.topic(&name(part), 2);
            story.write(&name(part), 2, 4);
        }
        story.run(first, Until::Drained);
        story.topic(&name("new"), 3);
        story.write(&name("new"), 3, 5);
        story.run(second, Until::Drained);
        story.topic(&name("newer"), 1);
        story.write(&name("newer"), 1, 5);
        story.write(&name("alpha"), 2, 1);
        story.run(first, Until::Drained);
        story.check();
    }
}

#[test]
fn a_first_batch_of_nothing_holds_the_place_where_the_other_begins() {
    let Some(mut scene) = scene() else { return };
    for (first, second) in WAYS {
        let topic = format!("latest-{first:?}");
        let mut story =
            Story::new(&mut scene, &[("subscribe", &topic), ("startingOffsets", "latest")]);
        story.topic(&topic, 2);
        story.write_unread(&topic, 2, 10);
        story.run(first, Until::Drained);
        story.write(&topic, 2, 5);
        story.run(second, Until::Drained);
        story.write(&topic, 1, 5);
        story.run(first, Until::Once);
        story.check();
    }
}

#[test]
fn a_loss_between_both_is_refused_or_passed_over_as_asked() {
    let Some(mut scene) = scene() else { return };
    for (first, second) in WAYS {
        for fail in ["true", "false"] {
            let topic = format!("lost-{fail}-{first:?}");
            let mut story = limited(&mut scene, &topic, &[("failOnDataLoss", fail)]);
            story.run(first, Until::Drained);
            story.write(&topic, 3, 10);
            let before = [(TopicPartition::new(topic.as_str(), 1), DeleteBefore::Offset(15))];
            let client = &story.scene.client;
            story
                .scene
                .runtime
                .block_on(client.delete_records(&before))
                .remove(0)
                .expect("deleted");
            if fail == "true" {
                story.run_into_loss(second);
            } else {
                story.forget(&topic, 1, 10..15);
                story.run(second, Until::Drained);
                story.check();
            }
        }
    }
}

#[test]
fn committed_reads_hand_over_at_a_marker() {
    let Some(mut scene) = scene() else { return };
    for (first, second) in WAYS {
        let topic = format!("committed-{first:?}");
        let mut story = Story::new(
            &mut scene,
            &[
                ("subscribe", &topic),
                ("startingOffsets", "earliest"),
                ("kafka.isolation.level", "read_committed"),
                ("maxOffsetsPerTrigger", "5"),
            ],
        );
        story.topic(&topic, 1);
        // Offsets 0 to 3 and their marker, 5 to 8 of an abort and its marker.
        transaction(story.scene, &topic, true);
        transaction(story.scene, &topic, false);
        story.expect(&topic, 0, 0..4);
        story.run(first, Until::Drained);
        transaction(story.scene, &topic, false);
        transaction(story.scene, &topic, true);
        story.expect(&topic, 0, 15..19);
        story.run(second, Until::Drained);
        story.check();
    }
}

/// Four records in one transaction.
fn transaction(scene: &Scene, topic: &str, commit: bool) {
    scene.runtime.block_on(async {
        let mut options = ProducerOptions::default();
        options.transactional_id = Some(topic.to_owned());
        let mut producer = scene.client.transactional_producer(options).expect("a producer");
        let transaction = producer.begin().await.expect("a transaction");
        for _ in 0..4 {
            let record = RecordParts::new(1_750_000_000_000, None, Some(b"in a transaction"));
            let _ = transaction.append(topic, Some(0), record).await.expect("room");
        }
        transaction.flush().await.expect("written");
        let ended = if commit { transaction.commit().await } else { transaction.abort().await };
        ended.expect("it ends");
    });
}
