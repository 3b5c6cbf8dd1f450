//! Every option of the source and of the sink: its spelling, where it counts, its default, what it does.
//!
//! The setters of the builders are made from the same rows.

use super::builder::{SinkOptionsBuilder, SourceOptionsBuilder};
use super::value::{Offsets, OptionText};
use crate::offsets::{PartitionOffsets, TopicPartition};

/// One option: the row that parser, setter and documentation share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionRow {
    /// The spelling of Spark's guides. Any case is accepted.
    pub name: &'static str,
    /// Which reads it counts for; the sink's options count for every write.
    pub scope: Scope,
    /// What holds without it, in words where it is not a value.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// Where an option has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In streams and in batches.
    Both,
    /// In streams; a batch warns and ignores it.
    Stream,
    /// In batches; a stream refuses or ignores it.
    Batch,
    /// Nowhere: accepted because Spark's users set it.
    Nowhere,
}

/// What a source, a sink and the direct API know beside their own options, and beside the family
/// `spark.kafka.clusters.<cluster>.*`: how to log in where there is no password among the client's options.
pub const LOGIN: &[OptionRow] = &[
    OptionRow {
        name: "spark.security.credentials.kafka.enabled",
        scope: Scope::Both,
        default: "true",
        doc: "Whether delegation tokens are obtained.",
    },
    OptionRow {
        name: "spark.security.credentials.renewalRatio",
        scope: Scope::Both,
        default: "0.75",
        doc: "After which share of its life a delegation token is replaced by a new one.",
    },
    OptionRow {
        name: "spark.security.credentials.retryWait",
        scope: Scope::Both,
        default: "1h",
        doc: "How long to wait at most before a token that could not be had is asked for again.",
    },
    OptionRow {
        name: "spark.kerberos.keytab",
        scope: Scope::Both,
        default: "none",
        doc: "The keytab with which to log in to obtain tokens.",
    },
    OptionRow {
        name: "spark.kerberos.principal",
        scope: Scope::Both,
        default: "none",
        doc: "The principal of the keytab.",
    },
    OptionRow {
        name: "java.security.auth.login.config",
        scope: Scope::Both,
        default: "none",
        doc: "A file of login configurations (JAAS). Its entry KafkaClient is stronger than any token.",
    },
    OptionRow {
        name: "proxy-user",
        scope: Scope::Both,
        default: "none",
        doc: "Whom to act for. As in Spark, tokens cannot be obtained then.",
    },
];

/// Makes a table and the builder's setters from rows of: doc, spelling, setter(type), scope, default.
macro_rules! rows {
    ($table:ident, $builder:ident: $($(#[doc = $doc:literal])+ $name:literal, $setter:ident($type:ty), $scope:ident, $default:literal;)+) => {
        /// The rows, in the order of the guides.
        pub const $table: &[OptionRow] = &[$(OptionRow {
            name: $name,
            scope: Scope::$scope,
            default: $default,
            doc: concat!($($doc),+).trim_ascii(),
        },)+];

        impl $builder {
            $($(#[doc = $doc])+ #[doc = concat!("\n\nOption `", $name, "`; default: ", $default, ".")]
            #[must_use]
            pub fn $setter(self, value: $type) -> Self {
                self.with_option($name, value.text())
            })+
        }
    };
}

rows! {
    SOURCE, SourceOptionsBuilder:
    /// The topics to read; as a string, names with commas between.
    "subscribe", with_subscribe(&[&str]), Both, "none; one of subscribe, subscribePattern, assign is required";
    /// The topics to read: a Java regular expression, found anywhere in the name unless it is anchored.
    "subscribePattern", with_subscribe_pattern(&str), Both, "none; one of subscribe, subscribePattern, assign is required";
    /// The partitions to read; as a string, JSON such as `{"topicA":[0,1]}`.
    "assign", with_assign(&[TopicPartition]), Both, "none; one of subscribe, subscribePattern, assign is required";
    /// Where to start, in milliseconds: at the first record of this timestamp or later. Stronger than the next two.
    "startingTimestamp", with_starting_timestamp(i64), Both, "none";
    /// Where to start, a timestamp in milliseconds for each partition. Stronger than `startingOffsets`.
    "startingOffsetsByTimestamp", with_starting_offsets_by_timestamp(&PartitionOffsets), Both, "none";
    /// Where to start: `earliest`, `latest`, or JSON in which -1 is the latest and -2 the earliest offset.
    "startingOffsets", with_starting_offsets(&Offsets), Both, "latest for a stream, earliest for a batch";
    /// What to do in a partition that has no record at or after the starting timestamp: `error` or `latest`.
    "startingOffsetsByTimestampStrategy", with_starting_offsets_by_timestamp_strategy(&str), Both, "error";
    /// Where to end, in milliseconds. Stronger than the next two; a stream ignores it.
    "endingTimestamp", with_ending_timestamp(i64), Batch, "none";
    /// Where to end, a timestamp in milliseconds for each partition. Stronger than `endingOffsets`; refused in a stream.
    "endingOffsetsByTimestamp", with_ending_offsets_by_timestamp(&PartitionOffsets), Batch, "none";
    /// Where to end: `latest`, or JSON in which -1 is the latest offset; refused in a stream.
    "endingOffsets", with_ending_offsets(&Offsets), Batch, "latest";
    /// Whether records that are gone before they were read are an error; otherwise what is left is read.
    "failOnDataLoss", with_fail_on_data_loss(bool), Both, "true";
    /// Whether rows carry the column `headers`.
    "includeHeaders", with_include_headers(bool), Both, "false";
    /// How many pieces a batch is read in at least; large ranges are cut to reach it.
    "minPartitions", with_min_partitions(i32), Both, "one piece per partition";
    /// How many offsets a piece spans at most; larger ranges are cut.
    "maxRecordsPerPartition", with_max_records_per_partition(i64), Both, "no limit";
    /// About how many offsets a micro-batch takes at most, shared among partitions by their backlog.
    "maxOffsetsPerTrigger", with_max_offsets_per_trigger(i64), Stream, "no limit";
    /// How many new offsets a micro-batch waits for.
    "minOffsetsPerTrigger", with_min_offsets_per_trigger(i64), Stream, "none";
    /// How long a micro-batch waits for `minOffsetsPerTrigger` at most; as a string `5s`, `100ms`, `2h`.
    "maxTriggerDelay", with_max_trigger_delay(std::time::Duration), Stream, "15m";
    /// How long a read may wait for records that should be there.
    "kafkaConsumer.pollTimeoutMs", with_poll_timeout(std::time::Duration), Both, "120000";
    /// How often offsets are asked for in all before a failure is final.
    "fetchOffset.numRetries", with_fetch_offset_attempts(i32), Both, "3";
    /// The pause after each failed attempt to ask for offsets.
    "fetchOffset.retryIntervalMs", with_fetch_offset_retry_interval(std::time::Duration), Both, "1000";
    /// What the names of generated groups begin with; ignored when `kafka.group.id` is set.
    "groupIdPrefix", with_group_id_prefix(&str), Both, "spark-kafka-source for a stream, spark-kafka-relation for a batch";
    /// How many readers and fetched batches are kept before idle ones are closed for new ones.
    "spark.kafka.consumer.cache.capacity", with_cache_capacity(i32), Both, "64";
    /// The older name of `spark.kafka.consumer.cache.capacity`, which wins.
    "spark.sql.kafkaConsumerCache.capacity", with_old_cache_capacity(i32), Both, "64";
    /// How long a reader may be idle before it is closed; 0 for ever. As a string `5m`, `30s`.
    "spark.kafka.consumer.cache.timeout", with_cache_timeout(std::time::Duration), Both, "5m";
    /// How often idle readers are looked at; 0 for never.
    "spark.kafka.consumer.cache.evictorThreadRunInterval", with_cache_look_interval(std::time::Duration), Both, "1m";
    /// Has no effect: counters are read from the pool.
    "spark.kafka.consumer.cache.jmx.enable", with_cache_jmx(bool), Nowhere, "false";
    /// How long a fetched batch may wait before it is forgotten.
    "spark.kafka.consumer.fetchedData.cache.timeout", with_fetched_cache_timeout(std::time::Duration), Both, "5m";
    /// How often waiting batches are looked at; 0 for never.
    "spark.kafka.consumer.fetchedData.cache.evictorThreadRunInterval", with_fetched_cache_look_interval(std::time::Duration), Both, "1m";
    /// How long a read waits without `kafkaConsumer.pollTimeoutMs`: whole seconds, or a string such as `120s`.
    "spark.network.timeout", with_network_timeout(&str), Both, "120s";
    /// How many batches stay in the checkpoint's logs.
    "spark.sql.streaming.minBatchesToRetain", with_min_batches_to_retain(i32), Stream, "100";
    /// Only `false`, or without an effect: offsets are asked for with the right Describe alone. Refused with `subscribePattern`.
    "spark.sql.streaming.kafka.useDeprecatedOffsetFetching", with_deprecated_offset_fetching(bool), Both, "false";
    /// Only `true`, or without an effect: a new query never starts on the files of another.
    "spark.sql.streaming.verifyCheckpointDirectoryEmptyOnStart", with_verified_checkpoint(bool), Stream, "true";
    /// Only 1: the version of the commits that are written.
    "spark.sql.streaming.stateStore.checkpointFormatVersion", with_checkpoint_format_version(i32), Stream, "1";
    /// Only 1: the version of the plans that are written.
    "spark.sql.streaming.offsetLog.formatVersion", with_offset_log_format_version(i32), Stream, "1";
    /// Has no effect: there is one reader for batches.
    "spark.sql.sources.useV1SourceList", with_v1_source_list(&str), Nowhere, "none";
    /// Has no effect: there is one reader for streams.
    "spark.sql.streaming.disabledV2MicroBatchReaders", with_disabled_v2_readers(&str), Nowhere, "none";
}

rows! {
    SINK, SinkOptionsBuilder:
    /// The topic to write to. Stronger than the column `topic`.
    "topic", with_topic(&str), Both, "none; the column topic decides";
    /// The folder of the checkpoint, for a query that is given none by other means.
    "checkpointLocation", with_checkpoint_location(&str), Stream, "none";
    /// How many transactions write a batch side by side, with delivery exactly-once.
    "exactlyOnceTasks", with_exactly_once_tasks(i32), Stream, "1";
    /// How long a producer may be idle before it is closed. As a string `10m`, `30s`.
    "spark.kafka.producer.cache.timeout", with_producer_cache_timeout(std::time::Duration), Both, "10m";
    /// How often idle producers are looked at; 0 for never.
    "spark.kafka.producer.cache.evictorThreadRunInterval", with_producer_cache_look_interval(std::time::Duration), Both, "1m";
    /// Has no effect, as in Spark: headers are written whenever there is a column of that name.
    "includeHeaders", with_include_headers(bool), Nowhere, "false";
    /// Only `false`: a plan and a commit are on the disk before the query goes on.
    "asyncProgressTrackingEnabled", with_async_progress_tracking(bool), Nowhere, "false";
    /// Has no effect, since progress is never written behind the batch.
    "asyncProgressTrackingCheckpointIntervalMs", with_async_progress_interval(i64), Nowhere, "1000";
    /// Has no effect: there is one writer for batches.
    "spark.sql.sources.useV1SourceList", with_v1_source_list(&str), Nowhere, "none";
    /// Has no effect: there is one writer for streams.
    "spark.sql.streaming.disabledV2Writers", with_disabled_v2_writers(&str), Nowhere, "none";
}
