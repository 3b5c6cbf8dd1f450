//! Which topics and partitions are read, and what happens to a query when they come, grow, vanish, or are made anew.

use std::time::Duration;

use klamm_client::admin::GroupFilter;
use klamm_client::config::Isolation;
use klamm_connector::error::{Error, ErrorKind};
use klamm_connector::offsets::{PartitionOffsets, TopicPartition};
use klamm_connector::options::ReadMode;
use klamm_connector::query::{Query, Trigger};
use klamm_connector::source::{KafkaSource, StreamSource as _};

use crate::common::job::{Job, rest};
use crate::common::numbers;
use crate::ground::{Ground, offsets};

const EARLIEST: (&str, &str) = ("startingOffsets", "earliest");
const LATEST: (&str, &str) = ("startingOffsets", "latest");
const FORGIVING: (&str, &str) = ("failOnDataLoss", "false");

pub(crate) async fn b034_only_partitions_that_exist_are_assigned(ground: &Ground) {
    let t = ground.create("t", 2).await;
    ground.write(&t, 0, 1, &["0"]).await;
    ground.write(&t, 1, 1, &["10", "11"]).await;
    let read =
        async |ids: &str| ground.read(&[("assign", &format!(r#"{{"{t}":{ids}}}"#))]).await.unwrap();
    assert_eq!(read("[1,7]").await, [(1, 0, Some("10".into())), (1, 1, Some("11".into()))]);
    assert!(read("[2]").await.is_empty());
}

/// `__consumer_offsets` is there, since the broker has to keep an offset.
pub(crate) async fn b035_b036_kafkas_own_topics_are_never_read_not_even_by_name_or_pattern(
    ground: &Ground,
) {
    let (t, v) = (ground.create("t", 2).await, ground.create("v", 1).await);
    ground.create("u", 1).await;
    ground.write(&t, 0, 1, &["t"]).await;
    ground.write(&v, 0, 1, &["v"]).await;
    ground.keep_offset(&t).await;
    let values = async |option, value: &str| ground.values(&[(option, value)]).await.unwrap();
    let pattern = format!("^(__consumer_offsets|{t}|{v})$");
    assert_eq!(values("subscribePattern", &pattern).await, ["t", "v"]);
    assert!(values("subscribePattern", "^__consumer_offsets$").await.is_empty());
    assert_eq!(values("subscribe", &format!("{t},__consumer_offsets")).await, ["t"]);
    let assigned = format!(r#"{{"__consumer_offsets":[0],"{v}":[0]}}"#);
    assert_eq!(values("assign", &assigned).await, ["v"]);
    let two = format!("{t},{v}");
    let options = ground.options(ReadMode::Stream, &[("subscribe", &two)]).unwrap();
    let mut source = KafkaSource::connect(options).await.unwrap();
    let ends = source.latest(&PartitionOffsets::new()).await.unwrap();
    let tp = |topic: &str, id| TopicPartition::new(topic, id);
    assert_eq!(ends.into_keys().collect::<Vec<_>>(), [tp(&t, 0), tp(&t, 1), tp(&v, 0)]);
}

pub(crate) async fn b036_a_pattern_is_found_anywhere_in_a_name_unless_it_is_anchored(
    ground: &Ground,
) {
    let orders = ground.create("orders", 1).await;
    let (mine, other) = (format!("my-{orders}-v2"), ground.create("other", 1).await);
    ground.make(&mine, 1, &[]).await;
    for topic in [&orders, &mine, &other] {
        ground.write(topic, 0, 1, &[topic]).await;
    }
    let found = async |pattern: &str| {
        let mut found = ground.values(&[("subscribePattern", pattern)]).await.unwrap();
        found.sort();
        found
    };
    assert_eq!(found(&orders).await, [&*orders, &mine]);
    assert_eq!(found(&format!("^{orders}$")).await, [&*orders]);
    assert!(found(&format!("^{orders}-no")).await.is_empty());
}

pub(crate) async fn b037_an_unknown_topic_is_an_error_and_is_not_made(ground: &Ground) {
    let t = ground.create("t", 1).await;
    let missing = ground.named("missing");
    let both = format!("{t},{missing}");
    let once = ("fetchOffset.numRetries", "1");
    let assigned = format!(r#"{{"{missing}":[0]}}"#);
    for (option, value) in [("subscribe", &both), ("assign", &assigned)] {
        let error = ground.values(&[(option, value), FORGIVING, once]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Client);
        assert!(error.to_string().contains(&missing), "{error}");
    }
    let names = ground.client.topic_names().await.unwrap();
    assert!(names.contains(&t) && !names.contains(&missing), "{names:?}");
}

pub(crate) async fn b038_a_pattern_without_topics_waits_for_them(ground: &Ground) {
    let job = Job::at(ground);
    let pattern = format!("^{}-", ground.named("p"));
    let options = [("subscribePattern", &*pattern), LATEST];
    assert!(job.drain(&options).await.unwrap().is_empty());
    let read = |path: &str| std::fs::read(job.checkpoint().join(path)).ok();
    assert!(read("sources/0/0").unwrap().ends_with(b"v1\n{}"));
    assert_eq!(read("offsets/0"), None);
    let topic = ground.create("p-1", 1).await;
    ground.write(&topic, 0, 1, &["0", "1"]).await;
    job.drain(&options).await.unwrap();
    assert_eq!(job.values(), ["0", "1"]);
}

pub(crate) async fn b086_partitions_added_to_a_running_query_are_read_from_their_beginning(
    ground: &Ground,
) {
    let t = ground.create("t", 1).await;
    let (job, assigned) = (Job::at(ground), Job::at(ground));
    let mut query = job.start(Trigger::AsSoonAsData, &[("subscribe", &*t), LATEST]).await.unwrap();
    query.next().await.unwrap().unwrap();
    let assign = format!(r#"{{"{t}":[0]}}"#);
    let assign = [("assign", &*assign), EARLIEST];
    assigned.drain(&assign).await.unwrap();
    ground.grow(&t, 3).await;
    ground.write(&t, 2, 1, &["20", "21"]).await;
    until(&mut query, &job, 2).await;
    assert_eq!(job.taken().concat(), [(2, 0, Some("20".into())), (2, 1, Some("21".into()))]);
    ground.write(&t, 0, 1, &["0"]).await;
    assigned.drain(&assign).await.unwrap();
    assert_eq!(assigned.values(), ["0"]);
}

/// Runs batches until `rows` have come altogether.
async fn until(query: &mut Query<KafkaSource>, job: &Job, rows: u64) {
    let mut seen = 0;
    while seen < rows {
        let progress = tokio::time::timeout(Duration::from_secs(20), query.next()).await;
        seen += progress.expect("a batch").unwrap().unwrap().input_rows;
    }
    assert_eq!(seen, rows, "{:?}", job.taken());
}

pub(crate) async fn b087_b130_a_vanished_topic_is_told_or_dropped_and_a_new_one_read(
    ground: &Ground,
) {
    let seems = ground.create("p-seems", 1).await;
    let pattern = format!("^{}-", ground.named("p"));
    let options = [("subscribePattern", &*pattern), EARLIEST];
    let (job, grouped) = (Job::at(ground), Job::at(ground));
    ground.write(&seems, 0, 1, &["1", "2", "3"]).await;
    job.drain(&options).await.unwrap();
    let with_group = [options[0], options[1], ("kafka.group.id", "mine")];
    grouped.drain(&with_group).await.unwrap();
    assert_eq!(job.values(), ["1", "2", "3"]);
    ground.delete(&seems).await;
    let bad = ground.create("p-bad", 1).await;
    ground.write(&bad, 0, 1, &["4", "5", "6"]).await;
    let error = job.drain(&options).await.unwrap_err();
    assert_eq!(error.condition(), Some("KAFKA_DATA_LOSS.PARTITIONS_DELETED"));
    assert!(error.message().contains(&format!("{seems}-0")), "{error}");
    let error = grouped.drain(&with_group).await.unwrap_err();
    let condition = "KAFKA_DATA_LOSS.PARTITIONS_DELETED_AND_GROUP_ID_CONFIG_PRESENT";
    assert_eq!(error.condition(), Some(condition));
    job.drain(&[options[0], options[1], FORGIVING]).await.unwrap();
    assert_eq!(job.values(), ["4", "5", "6"]);
}

pub(crate) async fn b088_without_any_topic_left_nothing_is_planned(ground: &Ground) {
    let topic = ground.create("p-1", 2).await;
    let pattern = format!("^{}-", ground.named("p"));
    let options = [("subscribePattern", &*pattern), EARLIEST, FORGIVING];
    let job = Job::at(ground);
    ground.write(&topic, 1, 1, &["0"]).await;
    job.drain(&options).await.unwrap();
    ground.delete(&topic).await;
    assert!(job.drain(&options).await.unwrap().is_empty());
    let planned = std::fs::read_dir(job.checkpoint().join("offsets")).unwrap();
    let plans: Vec<_> = planned.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(plans, ["0"]);
    let next = ground.create("p-2", 1).await;
    ground.write(&next, 0, 1, &["1"]).await;
    job.drain(&options).await.unwrap();
    assert_eq!(job.values(), ["0", "1"]);
}

/// Two records are read of a topic, then it is made anew with one.
async fn shortened(ground: &Ground) -> (String, Job) {
    let t = ground.create("t", 1).await;
    let job = Job::at(ground);
    ground.write(&t, 0, 1, &["0", "1"]).await;
    job.drain(&[("subscribe", &t), EARLIEST]).await.unwrap();
    assert_eq!(job.values(), ["0", "1"]);
    ground.make_anew(&t, 1).await;
    ground.write(&t, 0, 1, &["2"]).await;
    (t, job)
}

pub(crate) async fn b089_b131_a_topic_made_anew_with_fewer_records_is_noticed_or_its_end_believed(
    ground: &Ground,
) {
    let (t, job) = shortened(ground).await;
    let error = job.drain(&[("subscribe", &t), EARLIEST]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert_eq!(error.condition(), Some("KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED"));
    assert!(error.message().contains("was changed from 2 to 1"), "{error}");
    let forgiving = [("subscribe", &*t), EARLIEST, FORGIVING];
    job.drain(&forgiving).await.unwrap();
    ground.write(&t, 0, 1, &["3"]).await;
    job.drain(&forgiving).await.unwrap();
    assert_eq!(job.values(), ["3"]);
}

pub(crate) async fn b268_a_topic_made_anew_with_more_records_is_not_noticed(ground: &Ground) {
    let (t, job) = shortened(ground).await;
    ground.write(&t, 0, 1, &["3", "4"]).await;
    job.drain(&[("subscribe", &t), EARLIEST]).await.unwrap();
    assert_eq!(job.values(), ["4"]);
}

/// A run over what is available whose topic is made anew behind its first batch.
async fn made_anew_while_available(ground: &Ground, partitions: i32, records: i32) -> Error {
    let t = ground.create("t", 5).await;
    for partition in 0..5 {
        ground.write(&t, partition, 1, &["1", "2", "3"]).await;
    }
    let job = Job::at(ground);
    let options = [("subscribe", &*t), EARLIEST, FORGIVING, ("maxOffsetsPerTrigger", "5")];
    let mut query = job.start(Trigger::AvailableNow, &options).await.unwrap();
    assert_eq!(query.next().await.unwrap().unwrap().input_rows, 5);
    ground.make_anew(&t, partitions).await;
    for partition in 0..partitions {
        ground.write(&t, partition, 1, &numbers(0, records)).await;
    }
    rest(query).await.unwrap_err()
}

pub(crate) async fn b099_a_run_over_what_is_available_fails_when_partitions_vanish(
    ground: &Ground,
) {
    let error = made_anew_while_available(ground, 3, 3).await;
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    let text = "have been lost during running query with Trigger.AvailableNow.";
    assert!(error.message().contains(text), "{error}");
}

pub(crate) async fn b100_a_run_over_what_is_available_fails_when_a_partition_becomes_shorter(
    ground: &Ground,
) {
    let error = made_anew_while_available(ground, 5, 2).await;
    let text = "report available offset which is less than end offset during running query with \
                Trigger.AvailableNow";
    assert!(error.message().contains(text), "{error}");
}

pub(crate) async fn b109_an_added_topic_starts_at_its_beginning_and_a_removed_one_is_told(
    ground: &Ground,
) {
    let (t, u) = (ground.create("t", 1).await, ground.create("u", 1).await);
    let (both, only_u) = (format!("{t},{u}"), [("subscribe", &*u), LATEST]);
    ground.write(&t, 0, 1, &["1"]).await;
    ground.write(&u, 0, 1, &["2"]).await;
    let job = Job::at(ground);
    job.drain(&[("subscribe", &t), EARLIEST]).await.unwrap();
    job.drain(&[("subscribe", &both), LATEST]).await.unwrap();
    assert_eq!(job.values(), ["1", "2"]);
    let error = job.drain(&only_u).await.unwrap_err();
    assert_eq!(error.condition(), Some("KAFKA_DATA_LOSS.PARTITIONS_DELETED"));
    assert!(error.message().contains(&format!("{t}-0")), "{error}");
    ground.write(&u, 0, 1, &["3"]).await;
    job.drain(&[only_u[0], LATEST, FORGIVING]).await.unwrap();
    assert_eq!(job.values(), ["3"]);
}

pub(crate) async fn b110_b111_no_group_is_ever_made(ground: &Ground) {
    let t = ground.create("t", 1).await;
    ground.write(&t, 0, 1, &["1"]).await;
    let name = ground.named("group");
    for option in ["kafka.group.id", "groupIdPrefix"] {
        let job = Job::at(ground);
        job.drain(&[("subscribe", &t), EARLIEST, (option, &name)]).await.unwrap();
        assert_eq!(job.values(), ["1"]);
        assert_eq!(ground.values(&[("subscribe", &t), (option, &name)]).await.unwrap(), ["1"]);
    }
    let groups =
        ground.client.list_groups(&GroupFilter::default()).await.unwrap().complete().unwrap();
    let ours = |id: &str| id.starts_with(&name) || id.starts_with("spark-kafka");
    assert!(!groups.iter().any(|group| ours(&group.id)), "{groups:?}");
}

pub(crate) async fn b128_an_added_partition_that_lost_its_head_is_a_loss(ground: &Ground) {
    let first = ground.create("p-1", 1).await;
    ground.write(&first, 0, 1, &["0"]).await;
    let pattern = format!("^{}-", ground.named("p"));
    let options = [("subscribePattern", &*pattern), EARLIEST];
    let job = Job::at(ground);
    job.drain(&options).await.unwrap();
    let added = ground.create("p-2", 1).await;
    ground.write(&added, 0, 1, &numbers(0, 10)).await;
    ground.expire(&added, 0, 7).await;
    let error = job.drain(&options).await.unwrap_err();
    let condition = "KAFKA_DATA_LOSS.ADDED_PARTITION_DOES_NOT_START_FROM_OFFSET_ZERO";
    assert_eq!(error.condition(), Some(condition));
    let text = format!("Added partition {added}-0 starts from 7 instead of 0.");
    assert!(error.message().contains(&text), "{error}");
    job.taken();
    job.drain(&[options[0], EARLIEST, FORGIVING]).await.unwrap();
    assert_eq!(job.values(), ["7", "8", "9"]);
}

pub(crate) async fn b129_a_partition_that_vanished_has_no_first_offset(ground: &Ground) {
    let (t, u) = (ground.create("p-t", 1).await, ground.create("p-u", 1).await);
    let pattern = format!("^{}-", ground.named("p"));
    let options = ground.options(ReadMode::Stream, &[("subscribePattern", &pattern)]).unwrap();
    let mut source = KafkaSource::connect(options).await.unwrap();
    let known = source.latest(&PartitionOffsets::new()).await.unwrap();
    assert_eq!(known.len(), 2);
    ground.delete(&t).await;
    let first = source.earliest(known.into_keys().collect()).await.unwrap();
    assert_eq!(first, offsets(&u, &[(0, 0)]));
}

pub(crate) async fn b143_b144_topics_that_come_and_go_never_fail_a_forgiving_query(
    ground: &Ground,
) {
    let names: Vec<_> = (0..4).map(|n| ground.named(&format!("t{n}"))).collect();
    ground.make(&names[0], 1, &[]).await;
    ground.write(&names[0], 0, 1, &["0"]).await;
    let pattern = format!("^{}[0-9]$", ground.named("t"));
    let options = [("subscribePattern", &*pattern), EARLIEST, FORGIVING];
    let running = Job::at(ground);
    let mut query = running.start(Trigger::AsSoonAsData, &options).await.unwrap();
    let stopper = query.stopper();
    let work = async {
        let turn_by_turn = change(ground, &names, &options).await;
        assert!(turn_by_turn.len() > 5, "{turn_by_turn:?}");
        // The query that ran all the time has missed some of it, and still reads.
        let last = ground.create("t9", 1).await;
        ground.write(&last, 0, 1, &["last"]).await;
        let mut meanwhile = Vec::new();
        while meanwhile.last().is_none_or(|value| value != "last") {
            tokio::time::sleep(Duration::from_millis(20)).await;
            meanwhile.extend(running.values());
        }
        stopper.stop();
        Ok([turn_by_turn, meanwhile])
    };
    let all = async {
        while let Some(progress) = query.next().await {
            progress?;
        }
        Ok::<_, Error>(())
    };
    let (read, ()) = tokio::try_join!(work, all).unwrap();
    for mut values in read {
        let count = values.len();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), count, "{values:?}");
    }
}

/// Makes, deletes and fills topics by turns; what a query that runs after each turn has read.
async fn change(ground: &Ground, names: &[String], options: &[(&str, &str)]) -> Vec<String> {
    let job = Job::at(ground);
    let mut there = [true, false, false, false];
    let mut value = 0;
    for round in 0..24 {
        let at = round * 7 % 4;
        match (there[at], round % 3) {
            (true, 0) => ground.delete(&names[at]).await,
            (false, _) => ground.make(&names[at], 1 + round as i32 % 2, &[]).await,
            _ => {}
        }
        there[at] = !there[at] || round % 3 != 0;
        if there[at] {
            value += 1;
            ground.write(&names[at], 0, 1, &[value.to_string()]).await;
            assert!(ground.end(&names[at], 0, Isolation::ReadUncommitted).await > 0);
        }
        job.drain(options).await.unwrap();
    }
    job.values()
}
