use super::*;
use crate::error::ErrorKind;
use crate::offsets::testing::offsets;
use crate::options::{Offsets, SinkOptions};

const SERVERS: (&str, &str) = ("kafka.bootstrap.servers", "localhost:9092");
const TOPIC: (&str, &str) = ("subscribe", "t");

fn parse(mode: ReadMode, pairs: &[(&str, &str)]) -> Result<SourceOptions> {
    SourceOptions::from_pairs(mode, pairs.iter().copied())
}

fn stream(pairs: &[(&str, &str)]) -> Result<SourceOptions> {
    let mut all = vec![SERVERS];
    all.extend(pairs);
    parse(ReadMode::Stream, &all)
}

fn batch(pairs: &[(&str, &str)]) -> Result<SourceOptions> {
    let mut all = vec![SERVERS];
    all.extend(pairs);
    parse(ReadMode::Batch, &all)
}

fn refused(outcome: Result<SourceOptions>) -> String {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert!(!error.message().contains('\n'));
    error.message().to_owned()
}

#[test]
fn exactly_one_choice_of_topics() {
    assert!(refused(stream(&[])).starts_with(
        "One of the following options must be specified for Kafka source: subscribe, subscribepattern, assign."
    ));
    assert!(refused(stream(&[TOPIC, ("assign", "{}")])).starts_with(
        "Only one of the following options can be specified for Kafka source: subscribe, subscribepattern, assign."
    ));
}

#[test]
fn subscribed_topics_are_trimmed_and_taken_once() {
    let options = stream(&[("subscribe", " a, b,,a ,")]).unwrap();
    assert_eq!(options.topics(), &Topics::Subscribe(vec!["a".into(), "b".into()]));
    assert_eq!(
        refused(stream(&[("subscribe", " , ")])),
        "No topics to subscribe to as specified value for option 'subscribe' is ' , '"
    );
}

#[test]
fn assigned_partitions_are_json() {
    let options = stream(&[("assign", r#" {"a":[1,0,1]}"#)]).unwrap();
    let expected = vec![TopicPartition::new("a", 1), TopicPartition::new("a", 0)];
    assert_eq!(options.topics(), &Topics::Assign(expected));
    assert_eq!(
        refused(stream(&[("assign", "a")])),
        "No topicpartitions to assign as specified value for option 'assign' is 'a'"
    );
    assert_eq!(
        refused(stream(&[("assign", "{a}")])),
        r#"Expected e.g. {"topicA":[0,1],"topicB":[0,1]}, got {a}"#
    );
}

#[test]
fn names_count_without_case_and_the_last_value_wins() {
    let options = stream(&[("SUBSCRIBE", "a"), ("subscribe", "b"), ("FailOnDataLoss", "FALSE")]);
    let options = options.unwrap();
    assert_eq!(options.topics(), &Topics::Subscribe(vec!["b".into()]));
    assert!(!options.fail_on_data_loss());
}

#[test]
fn an_unknown_option_is_answered_with_the_nearest() {
    assert_eq!(
        refused(stream(&[TOPIC, ("startingOffset", "latest")])),
        "Unknown option 'startingOffset'; did you mean 'startingOffsets'?"
    );
    assert_eq!(
        refused(stream(&[("bootstrap.servers", "x:1")])),
        "Unknown option 'bootstrap.servers'; did you mean 'kafka.bootstrap.servers'?"
    );
    assert_eq!(
        refused(stream(&[("zzz", "x")])),
        "Unknown option 'zzz'; options of the Kafka client start with 'kafka.'"
    );
}

#[test]
fn b015_the_words_for_limits_count_in_any_case() {
    let options = stream(&[TOPIC, ("startingOffsets", " earLiEst ")]).unwrap();
    assert_eq!(options.starting(), &OffsetsLimit::Earliest);
    let options = stream(&[TOPIC, ("startingOffsets", "laTest")]).unwrap();
    assert_eq!(options.starting(), &OffsetsLimit::Latest);
}

#[test]
fn a_stream_starts_at_the_end_and_a_batch_at_the_beginning() {
    assert_eq!(stream(&[TOPIC]).unwrap().starting(), &OffsetsLimit::Latest);
    let options = batch(&[TOPIC]).unwrap();
    assert_eq!(
        (options.starting(), options.ending()),
        (&OffsetsLimit::Earliest, &OffsetsLimit::Latest)
    );
}

#[test]
fn b020_the_precedence_of_starting_limits() {
    let all = [
        TOPIC,
        ("startingOffsets", "earliest"),
        ("startingOffsetsByTimestamp", r#"{"t":{"0":2}}"#),
        ("startingTimestamp", " 3 "),
    ];
    assert_eq!(stream(&all).unwrap().starting(), &OffsetsLimit::Timestamp(3));
    let limit = OffsetsLimit::Timestamps(offsets(&[("t", 0, 2)]));
    assert_eq!(stream(&all[..3]).unwrap().starting(), &limit);
    assert_eq!(stream(&all[..2]).unwrap().starting(), &OffsetsLimit::Earliest);
}

#[test]
fn b021_the_precedence_of_ending_limits() {
    let all = [
        TOPIC,
        ("endingOffsets", "latest"),
        ("endingOffsetsByTimestamp", r#"{"t":{"0":2}}"#),
        ("endingTimestamp", "3"),
    ];
    assert_eq!(batch(&all).unwrap().ending(), &OffsetsLimit::Timestamp(3));
    let limit = OffsetsLimit::Timestamps(offsets(&[("t", 0, 2)]));
    assert_eq!(batch(&all[..3]).unwrap().ending(), &limit);
}

#[test]
fn what_a_batch_may_not_start_or_end_with() {
    assert_eq!(
        refused(batch(&[("startingOffsets", "latest")])),
        "starting offset can't be latest for batch queries on Kafka"
    );
    assert_eq!(
        refused(batch(&[TOPIC, ("startingOffsets", r#"{"t":{"0":-1}}"#)])),
        "startingOffsets for t-0 can't be latest for batch queries on Kafka"
    );
    assert_eq!(
        refused(batch(&[TOPIC, ("endingOffsets", "earliest")])),
        "ending offset can't be earliest for batch queries on Kafka"
    );
    assert_eq!(
        refused(batch(&[TOPIC, ("endingOffsets", r#"{"t":{"0":-2}}"#)])),
        "ending offset for t-0 can't be earliest for batch queries on Kafka"
    );
}

#[test]
fn what_a_stream_may_not_set() {
    assert_eq!(
        refused(stream(&[("endingOffsets", "latest")])),
        "ending offset not valid in streaming queries"
    );
    assert_eq!(
        refused(stream(&[("endingOffsetsByTimestamp", "{}")])),
        "ending timestamp not valid in streaming queries"
    );
    let options = stream(&[TOPIC, ("endingTimestamp", "5")]).unwrap();
    assert_eq!(options.warnings(), ["endingTimestamp has no effect in a stream"]);
}

#[test]
fn a_timestamp_is_one_integer() {
    assert_eq!(
        refused(stream(&[TOPIC, ("startingTimestamp", "1.5")])),
        "Expected a single long value, got 1.5"
    );
}

#[test]
fn the_strategy_is_checked_even_without_timestamps() {
    assert!(
        refused(stream(&[TOPIC, ("startingOffsetsByTimestampStrategy", "foo ")]))
            .starts_with("No value found for 'FOO '")
    );
    let options = stream(&[TOPIC, ("startingOffsetsByTimestampStrategy", "LATEST")]).unwrap();
    assert_eq!(options.no_match(), NoMatch::Latest);
}

#[test]
fn b045_b046_limits_of_a_batch_have_to_fit() {
    assert_eq!(
        refused(batch(&[
            TOPIC,
            ("startingOffsets", r#"{"t":{"0":1,"1":1,"2":1}}"#),
            ("endingOffsets", r#"{"t":{"0":0,"1":0}}"#),
        ])),
        "The specified start offset and end offset should have the same topic-partitions."
    );
    assert!(
        refused(batch(&[
            TOPIC,
            ("startingOffsets", r#"{"t":{"0":1}}"#),
            ("endingOffsets", r#"{"t":{"0":0}}"#),
        ]))
        .starts_with(
            "The specified start offset 1 is greater than the end offset 0 for topic t partition 0"
        )
    );
    assert!(
        refused(batch(&[
            TOPIC,
            ("startingOffsetsByTimestamp", r#"{"t":{"0":2}}"#),
            ("endingOffsetsByTimestamp", r#"{"t":{"0":1}}"#),
        ]))
        .starts_with(
            "The specified start timestamp 2 is greater than the end timestamp 1 for topic"
        )
    );
    let symbolic =
        [TOPIC, ("startingOffsets", r#"{"t":{"0":5}}"#), ("endingOffsets", r#"{"t":{"0":-1}}"#)];
    assert!(batch(&symbolic).is_ok());
}

#[test]
fn pieces_have_to_be_positive_numbers() {
    assert_eq!(refused(stream(&[TOPIC, ("minPartitions", "0")])), "minPartitions must be positive");
    assert_eq!(
        refused(stream(&[TOPIC, ("maxRecordsPerPartition", "-1")])),
        "maxrecordsperpartition must be positive"
    );
    for text in ["a", "1.0", " 1"] {
        let message = refused(stream(&[TOPIC, ("minPartitions", text)]));
        assert!(message.starts_with(&format!("For input string: \"{text}\"")));
    }
}

#[test]
fn options_of_the_client_that_a_source_keeps_to_itself() {
    for key in [
        "auto.offset.reset",
        "key.deserializer",
        "value.deserializer",
        "enable.auto.commit",
        "interceptor.classes",
    ] {
        let name = format!("Kafka.{}", key.to_uppercase());
        let message = refused(stream(&[TOPIC, (&name, "x")]));
        assert!(message.contains("not supported"), "{message}");
    }
    assert!(
        refused(stream(&[TOPIC, ("kafka.auto.offset.reset", "latest")]))
            .contains("startingoffsets")
    );
}

#[test]
fn other_options_of_the_client_pass_through_in_lower_case() {
    let options = stream(&[TOPIC, ("kafka.Fetch.Min.Bytes", "5")]).unwrap();
    assert!(options.client().contains(&("fetch.min.bytes".into(), "5".into())));
}

#[test]
fn the_servers_are_required() {
    assert!(refused(parse(ReadMode::Stream, &[TOPIC])).starts_with(
        "Option 'kafka.bootstrap.servers' must be specified for configuring Kafka consumer"
    ));
}

#[test]
fn a_minimum_above_the_maximum_is_refused_in_streams_and_batches() {
    let pairs = [TOPIC, ("minOffsetsPerTrigger", "20"), ("maxOffsetsPerTrigger", "15")];
    let message =
        "The value of minOffsetPerTrigger(20) is higher than the maxOffsetsPerTrigger(15).";
    assert_eq!(refused(stream(&pairs)), message);
    assert_eq!(refused(batch(&pairs)), message);
}

#[test]
fn b051_limits_of_triggers_only_warn_in_a_batch() {
    let options = batch(&[
        TOPIC,
        ("maxOffsetsPerTrigger", "5"),
        ("minOffsetsPerTrigger", "1"),
        ("maxTriggerDelay", "5s"),
    ]);
    assert_eq!(options.unwrap().warnings().len(), 3);
}

#[test]
fn faults_are_found_in_sparks_order() {
    let mut pairs = vec![
        ("endingOffsets", "latest"),
        ("endingOffsetsByTimestamp", "{}"),
        ("assign", "x"),
        ("minPartitions", "0"),
        ("maxRecordsPerPartition", "0"),
        ("kafka.auto.offset.reset", "x"),
        ("kafka.key.deserializer", "x"),
        ("kafka.value.deserializer", "x"),
        ("kafka.enable.auto.commit", "x"),
        ("kafka.interceptor.classes", "x"),
        ("minOffsetsPerTrigger", "2"),
        ("maxOffsetsPerTrigger", "1"),
    ];
    let fragments = [
        "ending offset not valid",
        "ending timestamp not valid",
        "No topicpartitions to assign",
        "minPartitions must be positive",
        "maxrecordsperpartition must be positive",
        "auto.offset.reset",
        "key.deserializer",
        "value.deserializer",
        "enable.auto.commit",
        "interceptor.classes",
        "kafka.bootstrap.servers",
    ];
    for fragment in fragments {
        let message = refused(parse(ReadMode::Stream, &pairs));
        assert!(message.contains(fragment), "{fragment}: {message}");
        if pairs[0].0 == "assign" {
            pairs.push(TOPIC);
        }
        pairs.remove(0);
    }
    // A batch looks at its limits first.
    assert!(refused(parse(ReadMode::Batch, &[("startingOffsets", "latest")])).contains("latest"));
}

#[test]
fn the_group_of_the_user_is_taken_with_a_warning() {
    let options = stream(&[TOPIC, ("kafka.group.id", "g"), ("groupIdPrefix", "p")]).unwrap();
    assert_eq!(options.group_id(), Some("g"));
    assert_eq!(options.warnings().len(), 2);
    assert_eq!(stream(&[TOPIC]).unwrap().group_id_prefix(), "spark-kafka-source");
    assert_eq!(batch(&[TOPIC]).unwrap().group_id_prefix(), "spark-kafka-relation");
}

#[test]
fn defaults_are_sparks() {
    let options = stream(&[TOPIC]).unwrap();
    assert!(options.fail_on_data_loss() && !options.include_headers());
    assert_eq!(options.max_trigger_delay(), Duration::from_secs(900));
    assert_eq!(options.poll_timeout(), Duration::from_secs(120));
    let retry = FetchRetry { attempts: 3, interval: Duration::from_secs(1) };
    assert_eq!(options.fetch_retry(), retry);
}

#[test]
fn setters_and_strings_give_the_same_options() {
    let typed = SourceOptions::builder()
        .with_client("bootstrap.servers", "localhost:9092")
        .with_assign(&[TopicPartition::new("t", 0)])
        .with_starting_offsets(&Offsets::Each(offsets(&[("t", 0, 5)])))
        .with_max_trigger_delay(Duration::from_secs(5))
        .with_fail_on_data_loss(false)
        .build(ReadMode::Stream)
        .unwrap();
    let strings = stream(&[
        ("assign", r#"{"t":[0]}"#),
        ("startingOffsets", r#"{"t":{"0":5}}"#),
        ("maxTriggerDelay", "5s"),
        ("failOnDataLoss", "false"),
    ]);
    assert_eq!(typed, strings.unwrap());
}

#[test]
fn the_sink_trims_its_topic_and_refuses_serialisers() {
    let sink = |name: &str, value: &str| {
        SinkOptions::from_pairs([("kafka.bootstrap.servers", "a:1"), (name, value)])
    };
    assert_eq!(sink("TOPIC", " t ").unwrap().topic(), Some("t"));
    assert_eq!(sink("topic", "").unwrap().topic(), Some(""));
    assert_eq!(
        sink("kafka.key.serializer", "x").unwrap_err().message(),
        "Kafka option 'key.serializer' is not supported as keys are serialized with ByteArraySerializer."
    );
    assert_eq!(
        sink("kafka.value.serializer", "x").unwrap_err().message(),
        "Kafka option 'value.serializer' is not supported as value are serialized with ByteArraySerializer."
    );
    let missing = SinkOptions::from_pairs([("topic", "t")]).unwrap_err();
    assert_eq!(missing.condition(), Some("MISSING_KAFKA_OPTION"));
}
