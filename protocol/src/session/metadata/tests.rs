//! The metadata machine: epochs, ids, shrinking answers, and when it asks.

use super::*;
use crate::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
const TRIGGER: Duration = Duration::from_secs(300);
const ID: Uuid = Uuid([1; 16]);
const OTHER: Uuid = Uuid([2; 16]);

fn machine(now: Instant) -> Metadata {
    let backoff = Backoff::new(100 * MS, 1000 * MS);
    let recovery = Some(TRIGGER);
    Metadata::new(now, MetadataOptions { max_age: 300_000 * MS, backoff, recovery })
}

/// As [`machine`], for those who never start over.
fn steadfast(now: Instant) -> Metadata {
    let mut metadata = machine(now);
    metadata.options.recovery = None;
    metadata
}

fn of_cluster(id: &str, mut response: MetadataResponse) -> MetadataResponse {
    response.cluster_id = Some(id.to_owned());
    response
}

/// Has the machine ask at this instant, without an answer.
fn fail(metadata: &mut Metadata, now: Instant) -> Vec<MetadataEvent> {
    metadata.mark_stale();
    let due = metadata.poll_timeout().unwrap().max(now);
    metadata.poll_transmit(due).unwrap();
    metadata.handle_failure(due, 0.5);
    std::iter::from_fn(|| metadata.poll_event()).collect()
}

fn broker(node_id: i32) -> MetadataResponseBroker {
    MetadataResponseBroker { node_id, host: "h".to_owned(), port: 9092, rack: None }
}

fn partition(partition_index: i32, leader_id: i32, leader_epoch: i32) -> MetadataResponsePartition {
    MetadataResponsePartition { partition_index, leader_id, leader_epoch, ..Default::default() }
}

fn topic(topic_id: Uuid, partitions: Vec<MetadataResponsePartition>) -> MetadataResponse {
    let name = Some("t".to_owned());
    answer(vec![MetadataResponseTopic { name, topic_id, partitions, ..Default::default() }])
}

fn answer(topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
    let brokers = vec![broker(1), broker(2)];
    MetadataResponse { brokers, topics, controller_id: 1, ..Default::default() }
}

fn lacking(code: ErrorCode) -> MetadataResponse {
    let name = Some("t".to_owned());
    answer(vec![MetadataResponseTopic { name, error_code: code, ..Default::default() }])
}

/// Has the machine ask, whenever it wants to, and answers.
fn tell(metadata: &mut Metadata, now: Instant, response: &MetadataResponse) -> Vec<MetadataEvent> {
    metadata.mark_stale();
    let due = metadata.poll_timeout().unwrap().max(now);
    metadata.poll_transmit(due).unwrap();
    metadata.handle_response(due, response);
    std::iter::from_fn(|| metadata.poll_event()).collect()
}

fn leader(metadata: &Metadata, partition: i32) -> Option<(i32, i32)> {
    metadata.view().leader("t", partition).map(|leader| (leader.broker, leader.epoch))
}

#[test]
fn it_asks_at_once_and_then_by_age() {
    let now = Instant::now();
    let mut metadata = machine(now);
    assert_eq!(metadata.poll_transmit(now).unwrap().topics, Some(Vec::new()));
    assert_eq!((metadata.poll_timeout(), metadata.poll_transmit(now)), (None, None));
    metadata.handle_response(now, &answer(Vec::new()));
    assert_eq!(metadata.poll_event(), Some(MetadataEvent::Refreshed { changed: true }));
    assert_eq!(metadata.poll_timeout(), Some(now + 300_000 * MS));
}

#[test]
fn topics_that_nobody_asked_for_are_not_kept() {
    let now = Instant::now();
    let mut metadata = machine(now);
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 1, 5)]));
    assert!(metadata.view().topics.is_empty());
    metadata.want("t", false);
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 1, 5)]));
    assert_eq!(leader(&metadata, 0), Some((1, 5)));
    metadata.forget("t");
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 1, 5)]));
    assert!(metadata.view().topics.is_empty(), "an answer from before must not bring it back");
}

#[test]
fn a_new_topic_is_asked_for_at_once_and_staleness_waits_for_the_pause() {
    let now = Instant::now();
    let mut metadata = machine(now);
    tell(&mut metadata, now, &answer(Vec::new()));
    metadata.mark_stale();
    assert_eq!(metadata.poll_timeout(), Some(now + 100 * MS));
    metadata.want("t", false);
    let request = metadata.poll_transmit(now).unwrap();
    assert!(!request.allow_auto_topic_creation);
    assert_eq!(request.topics.unwrap()[0].name.as_deref(), Some("t"));
}

#[test]
fn a_wish_while_a_request_is_out_counts_for_the_next() {
    let now = Instant::now();
    let mut metadata = machine(now);
    metadata.poll_transmit(now).unwrap();
    metadata.mark_stale();
    metadata.handle_response(now, &answer(Vec::new()));
    assert_eq!(metadata.poll_timeout(), Some(now + 100 * MS));
}

#[test]
fn refreshes_without_news_and_failures_are_spaced_out() {
    let mut now = Instant::now();
    let mut metadata = machine(now);
    let mut pauses = Vec::new();
    for _ in 0..6 {
        tell(&mut metadata, now, &answer(Vec::new()));
        metadata.mark_stale();
        let due = metadata.poll_timeout().unwrap();
        pauses.push((due - now).as_millis());
        now = due;
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    metadata.poll_transmit(now).unwrap();
    metadata.handle_failure(now, 0.5);
    assert_eq!(metadata.poll_event(), Some(MetadataEvent::Failed));
    assert_eq!(metadata.poll_timeout(), Some(now + 1000 * MS));
    assert!(!metadata.view().brokers.is_empty(), "a failure forgets nothing");
}

#[test]
fn leader_epochs_never_go_back() {
    let now = Instant::now();
    let mut metadata = machine(now);
    metadata.want("t", false);
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 1, 5)]));
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 2, 4)]));
    assert_eq!(leader(&metadata, 0), Some((1, 5)));
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 2, 6)]));
    assert_eq!(leader(&metadata, 0), Some((2, 6)));
}

#[test]
fn another_topic_of_the_name_starts_anew_and_is_announced() {
    let now = Instant::now();
    let mut metadata = machine(now);
    metadata.want("t", false);
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 1, 5), partition(1, 1, 5)]));
    let events = tell(&mut metadata, now, &topic(OTHER, vec![partition(0, 2, 0)]));
    let replaced = MetadataEvent::TopicReplaced { topic: Arc::from("t"), old: ID, new: OTHER };
    assert_eq!(events, [replaced, MetadataEvent::Refreshed { changed: true }]);
    assert_eq!((leader(&metadata, 0), leader(&metadata, 1)), (Some((2, 0)), None));
}

#[test]
fn a_topic_that_seems_gone_keeps_its_partitions() {
    let now = Instant::now();
    let mut metadata = machine(now);
    metadata.want("t", false);
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 1, 5)]));
    tell(&mut metadata, now, &lacking(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    let view = Arc::clone(metadata.view());
    let known = view.topics.get("t").unwrap();
    assert_eq!((known.error, known.id), (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ID));
    assert_eq!(leader(&metadata, 0), Some((1, 5)));
}

#[test]
fn a_broker_that_lists_fewer_partitions_is_behind() {
    let now = Instant::now();
    let mut metadata = machine(now);
    metadata.want("t", false);
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 1, 0), partition(1, 2, 0)]));
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 1, 0)]));
    assert_eq!(leader(&metadata, 1), Some((2, 0)));
}

#[test]
fn an_answer_without_brokers_is_none() {
    let now = Instant::now();
    let mut metadata = machine(now);
    tell(&mut metadata, now, &answer(Vec::new()));
    let events = tell(&mut metadata, now, &MetadataResponse::default());
    assert_eq!(events, [MetadataEvent::Failed]);
    assert_eq!(metadata.view().brokers.len(), 2);
}

#[test]
fn brokers_are_forgotten_after_failing_for_too_long_and_topics_are_not() {
    let now = Instant::now();
    let mut metadata = machine(now);
    metadata.want("t", false);
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 1, 5)]));
    let begun = now + 1000 * MS;
    assert_eq!(fail(&mut metadata, begun), [MetadataEvent::Failed]);
    assert_eq!(fail(&mut metadata, begun + TRIGGER - MS), [MetadataEvent::Failed]);
    let why = StartOver::Failing;
    let events = fail(&mut metadata, begun + TRIGGER);
    assert_eq!(events, [MetadataEvent::Failed, MetadataEvent::StartedOver { why }]);
    assert!(metadata.view().brokers.is_empty());
    assert_eq!(leader(&metadata, 0), None);
    let hint = LeaderHint {
        topic: Arc::from("t"),
        partition: 0,
        leader: 2,
        leader_epoch: 9,
        endpoint: None,
    };
    assert!(!metadata.handle_leader(hint), "a word from those who were forgotten");
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 1, 4)]));
    assert_eq!(leader(&metadata, 0), None, "the epoch is remembered");
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 2, 5)]));
    assert_eq!(leader(&metadata, 0), Some((2, 5)));
}

#[test]
fn a_success_in_between_starts_the_time_of_failing_anew() {
    let now = Instant::now();
    let mut metadata = machine(now);
    tell(&mut metadata, now, &answer(Vec::new()));
    fail(&mut metadata, now + 1000 * MS);
    tell(&mut metadata, now + TRIGGER, &answer(Vec::new()));
    assert_eq!(fail(&mut metadata, now + 2 * TRIGGER), [MetadataEvent::Failed]);
    assert!(!metadata.view().brokers.is_empty());
}

#[test]
fn a_broker_can_send_the_client_back_to_the_start_unless_it_never_goes_there() {
    let now = Instant::now();
    let required =
        MetadataResponse { error_code: ErrorCode::REBOOTSTRAP_REQUIRED, ..answer(Vec::new()) };
    let mut metadata = machine(now);
    tell(&mut metadata, now, &answer(Vec::new()));
    let why = StartOver::Asked;
    let events = tell(&mut metadata, now, &required);
    assert_eq!(events, [MetadataEvent::Failed, MetadataEvent::StartedOver { why }]);
    assert!(metadata.poll_timeout().unwrap() > now, "who always says so is not asked in a hurry");
    let mut metadata = steadfast(now);
    tell(&mut metadata, now, &answer(Vec::new()));
    assert_eq!(tell(&mut metadata, now, &required), [MetadataEvent::Failed]);
    assert_eq!(metadata.view().brokers.len(), 2);
}

#[test]
fn another_cluster_is_believed_only_where_the_client_began() {
    let now = Instant::now();
    let mut metadata = machine(now);
    metadata.want("t", false);
    tell(&mut metadata, now, &of_cluster("a", topic(ID, vec![partition(0, 1, 5)])));
    let other = of_cluster("b", topic(OTHER, vec![partition(0, 2, 1)]));
    let why = StartOver::OtherCluster { found: "b".to_owned() };
    let events = tell(&mut metadata, now, &other);
    assert_eq!(events, [MetadataEvent::Failed, MetadataEvent::StartedOver { why }]);
    assert_eq!(metadata.view().cluster_id.as_deref(), Some("a"));
    let events = tell(&mut metadata, now, &other);
    let replaced = MetadataEvent::ClusterReplaced { old: "a".to_owned(), new: "b".to_owned() };
    assert_eq!(events[0], replaced);
    assert_eq!(metadata.view().cluster_id.as_deref(), Some("b"));
    assert_eq!(leader(&metadata, 0), Some((2, 1)), "epochs of the old one mean nothing");
}

#[test]
fn topics_of_another_cluster_are_those_it_tells_of() {
    let now = Instant::now();
    let mut metadata = steadfast(now);
    metadata.want("t", false);
    tell(&mut metadata, now, &of_cluster("a", topic(ID, vec![partition(0, 1, 5)])));
    let events = tell(&mut metadata, now, &of_cluster("b", answer(Vec::new())));
    let replaced = MetadataEvent::ClusterReplaced { old: "a".to_owned(), new: "b".to_owned() };
    assert_eq!(events, [replaced, MetadataEvent::Refreshed { changed: true }]);
    assert!(metadata.view().topics.is_empty());
    metadata.mark_stale();
    let due = metadata.poll_timeout().unwrap();
    assert_eq!(metadata.poll_transmit(due).unwrap().topics.unwrap().len(), 1, "still in use");
}

#[test]
fn a_leader_learnt_by_the_way_counts_only_if_it_is_newer() {
    let now = Instant::now();
    let mut metadata = machine(now);
    metadata.want("t", false);
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 1, 5)]));
    let endpoint = Broker { id: 3, host: "new".to_owned(), port: 1, rack: None };
    let hint = |leader_epoch| LeaderHint {
        topic: Arc::from("t"),
        partition: 0,
        leader: 3,
        leader_epoch,
        endpoint: Some(endpoint.clone()),
    };
    assert!(!metadata.handle_leader(hint(5)));
    assert!(metadata.handle_leader(hint(6)));
    assert_eq!(leader(&metadata, 0), Some((3, 6)));
    assert_eq!(metadata.view().brokers.get(&3), Some(&endpoint));
    let unknown = LeaderHint { partition: 9, ..hint(7) };
    assert!(!metadata.handle_leader(unknown));
}

#[test]
fn only_topics_to_be_created_travel_with_the_leave_to_create() {
    let now = Instant::now();
    let mut metadata = machine(now);
    metadata.want("read", false);
    metadata.want("t", true);
    let first = metadata.poll_transmit(now).unwrap();
    assert!(first.allow_auto_topic_creation);
    assert_eq!(first.topics.unwrap().len(), 1);
    metadata.handle_response(now, &topic(ID, vec![partition(0, 1, 0)]));
    let second = metadata.poll_transmit(now).unwrap();
    assert!(!second.allow_auto_topic_creation);
    assert_eq!(second.topics.unwrap().len(), 2);
}

#[test]
fn a_topic_that_was_there_is_not_created_anew_unless_it_is_wanted_again() {
    let now = Instant::now();
    let mut metadata = machine(now);
    metadata.want("t", true);
    assert!(metadata.poll_transmit(now).unwrap().allow_auto_topic_creation);
    metadata.handle_response(now, &topic(ID, vec![partition(0, 1, 0)]));
    let mut gone = topic(ID, Vec::new());
    gone.topics[0].error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let later = now + Duration::from_secs(3600);
    assert!(!metadata.poll_transmit(later).unwrap().allow_auto_topic_creation);
    metadata.handle_response(later, &gone);
    let later = later + Duration::from_secs(3600);
    assert!(!metadata.poll_transmit(later).unwrap().allow_auto_topic_creation);
    metadata.handle_response(later, &gone);
    metadata.want("t", true);
    let later = later + Duration::from_secs(3600);
    assert!(metadata.poll_transmit(later).unwrap().allow_auto_topic_creation);
}

#[test]
fn a_forgotten_topic_is_neither_known_nor_asked_for() {
    let now = Instant::now();
    let mut metadata = machine(now);
    metadata.want("t", false);
    tell(&mut metadata, now, &topic(ID, vec![partition(0, 1, 0)]));
    metadata.forget("t");
    assert!(metadata.view().topics.is_empty());
    metadata.mark_stale();
    let due = metadata.poll_timeout().unwrap();
    assert_eq!(metadata.poll_transmit(due).unwrap().topics, Some(Vec::new()));
}

#[test]
fn impossible_numbers_of_a_peer_are_left_out() {
    let mut response =
        topic(ID, vec![partition(-5, 1, 0), partition(3, -1, -1), partition(0, 1, 0)]);
    response.brokers.push(MetadataResponseBroker { node_id: 9, port: 70_000, ..broker(9) });
    response.brokers.push(broker(-1));
    let view = View::of(&response);
    assert_eq!(view.brokers.keys().copied().collect::<Vec<_>>(), [1, 2]);
    let topic = view.topics.get("t").unwrap();
    assert_eq!(topic.partitions.len(), 2);
    assert_eq!(topic.partition(3).map(|found| found.leader), Some(None));
    assert_eq!(topic.partition(1), None);
}

proptest! {
    #[test]
    fn no_sequence_of_answers_takes_an_epoch_back(
        answers in proptest::collection::vec(
            (0..3_i32, 1..4_i32, -1..20_i32, any::<bool>()),
            1..40,
        ),
    ) {
        let now = Instant::now();
        let mut metadata = machine(now);
        metadata.want("t", false);
        let mut highest = [-1_i32; 3];
        for (index, node, epoch, hinted) in answers {
            if hinted {
                metadata.handle_leader(LeaderHint {
                    topic: Arc::from("t"),
                    partition: index,
                    leader: node,
                    leader_epoch: epoch,
                    endpoint: None,
                });
            } else {
                tell(&mut metadata, now, &topic(ID, vec![partition(index, node, epoch.max(0))]));
            }
            for (index, highest) in (0..).zip(highest.iter_mut()) {
                let epoch = leader(&metadata, index).map_or(-1, |(_, epoch)| epoch);
                prop_assert!(epoch >= *highest);
                *highest = epoch;
            }
        }
    }
}
