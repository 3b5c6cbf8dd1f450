//! The option sets that both read with, and what is to come of them.

/// Options beside the servers', as text with `$1` to `$3` for the three times.
pub(super) type Options = &'static [(&'static str, &'static str)];

/// What is to come of an option set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Both give the same rows, this many.
    Rows(usize),
    /// Spark refuses or fails, and Klamm ends with this status.
    Fails(i32),
    /// Klamm alone gives this many rows, or ends with this status; deliberately, for the reason given.
    Differs(Result<usize, i32>, &'static str),
}

use Outcome::{Differs, Fails, Rows};

/// Which topics and partitions.
pub(super) const CHOICES: &[(Options, Outcome)] = &[
    (&[("subscribe", "plain")], Rows(30)),
    (&[("subscribe", " plain , late,,plain")], Rows(35)),
    (&[("SUBSCRIBE", "plain")], Rows(30)),
    (&[("subscribe", "empty")], Rows(0)),
    (&[("subscribe", "empty,late")], Rows(5)),
    (&[("subscribe", "codecs")], Rows(80)),
    (&[("subscribe", "many")], Rows(500)),
    (&[("subscribe", "__transaction_state,late")], Rows(5)),
    (&[("subscribe", "no-such-topic")], Fails(1)),
    (&[("subscribe", "plain,no-such-topic"), ("failOnDataLoss", "false")], Fails(1)),
    (&[("subscribe", " , ,")], Fails(2)),
    (&[("subscribePattern", "^pat-.*")], Rows(60)),
    (&[("subscribePattern", "pat-a")], Rows(60)),
    (&[("subscribepattern", "^(?!my-)pat-[a-z]$")], Rows(60)),
    (&[("subscribePattern", "matches-nothing")], Rows(0)),
    (&[("subscribePattern", "  ")], Fails(2)),
    (&[("subscribePattern", "(")], Fails(2)),
    (&[("assign", r#"{"plain":[0,2]}"#)], Rows(20)),
    (&[("assign", r#" {"plain":[1],"late":[0,1]}"#)], Rows(15)),
    (&[("assign", r#"{"plain":[1,1]}"#)], Rows(10)),
    (&[("assign", r#"{"late":[1,7]}"#)], Rows(2)),
    (&[("assign", r#"["plain"]"#)], Fails(2)),
    (&[("assign", r#"{"plain":["0"]}"#)], Fails(2)),
    (&[], Fails(2)),
    (&[("subscribe", "plain"), ("subscribePattern", "plain")], Fails(2)),
    (&[("subscribe", "plain"), ("assign", r#"{"plain":[0]}"#)], Fails(2)),
];

/// Where to begin and to end, by offset.
pub(super) const OFFSETS: &[(Options, Outcome)] = &[
    (
        &[("subscribe", "plain"), ("startingOffsets", "earLiest"), ("endingOffsets", " laTest ")],
        Rows(30),
    ),
    (&[("subscribe", "plain"), ("startingOffsets", r#"{"plain":{"0":-2,"1":3,"2":9}}"#)], Rows(18)),
    (&[("subscribe", "plain"), ("STARTINGOFFSETS", r#"{"plain":{"0":10,"1":10,"2":9}}"#)], Rows(1)),
    (&[("subscribe", "plain"), ("endingOffsets", r#"{"plain":{"0":-1,"1":3,"2":0}}"#)], Rows(13)),
    (
        &[
            ("subscribe", "plain"),
            ("startingOffsets", r#"{"plain":{"0":-2,"1":1,"2":4}}"#),
            ("endingOffsets", r#"{"plain":{"0":5,"1":-1,"2":4}}"#),
        ],
        Rows(14),
    ),
    (
        &[
            ("assign", r#"{"plain":[2],"late":[0]}"#),
            ("startingOffsets", r#"{"plain":{"2":2},"late":{"0":1}}"#),
            ("endingOffsets", r#"{"late":{"0":-1},"plain":{"2":3}}"#),
        ],
        Rows(3),
    ),
    (
        &[("subscribe", "plain"), ("startingOffsets", r#"{"plain":{"0":1.9,"1":1e0,"2":null}} x"#)],
        Rows(28),
    ),
    (&[("subscribe", "plain"), ("startingOffsets", r#"{"plain":{"0":0,"1":0}}"#)], Fails(1)),
    (
        &[("subscribe", "plain"), ("startingOffsets", r#"{"plain":{"0":0,"1":0,"2":0,"3":0}}"#)],
        Fails(1),
    ),
    (&[("subscribe", "plain"), ("endingOffsets", r#"{"plain":{"0":3}}"#)], Fails(1)),
    (&[("subscribe", "plain"), ("startingOffsets", "latest")], Fails(2)),
    (&[("subscribe", "plain"), ("startingOffsets", r#"{"plain":{"0":-1,"1":0,"2":0}}"#)], Fails(2)),
    (&[("subscribe", "plain"), ("endingOffsets", "earliest")], Fails(2)),
    (&[("subscribe", "plain"), ("endingOffsets", r#"{"plain":{"0":-2,"1":0,"2":0}}"#)], Fails(2)),
    (&[("subscribe", "plain"), ("startingOffsets", "newest")], Fails(2)),
    (&[("subscribe", "plain"), ("startingOffsets", r#"{"plain":{"0":"1"}}"#)], Fails(2)),
    (
        &[
            ("assign", r#"{"plain":[0]}"#),
            ("startingOffsets", r#"{"plain":{"0":5}}"#),
            ("endingOffsets", r#"{"plain":{"0":4}}"#),
        ],
        Fails(2),
    ),
    (
        &[
            ("assign", r#"{"plain":[0]}"#),
            ("startingOffsets", r#"{"plain":{"0":5}}"#),
            ("endingOffsets", r#"{"plain":{"1":6}}"#),
        ],
        Fails(2),
    ),
    (&[("assign", r#"{"plain":[0]}"#), ("startingOffsets", r#"{"plain":{"0":11}}"#)], Fails(1)),
    (&[("assign", r#"{"plain":[0]}"#), ("endingOffsets", r#"{"plain":{"0":15}}"#)], Fails(3)),
    (
        &[
            ("assign", r#"{"plain":[0]}"#),
            ("endingOffsets", r#"{"plain":{"0":15}}"#),
            ("failOnDataLoss", "false"),
        ],
        Rows(10),
    ),
];

/// Where to begin and to end, by time.
pub(super) const TIMES: &[(Options, Outcome)] = &[
    (&[("subscribe", "plain"), ("startingTimestamp", "$2")], Rows(18)),
    (&[("subscribe", "plain"), ("startingTimestamp", " $3 ")], Rows(9)),
    (&[("subscribe", "plain"), ("endingTimestamp", "$2")], Rows(12)),
    (&[("subscribe", "plain"), ("endingTimestamp", "9999999999999")], Rows(30)),
    (&[("subscribe", "plain"), ("startingTimestamp", "$2"), ("endingTimestamp", "$3")], Rows(9)),
    (&[("subscribe", "plain"), ("startingTimestamp", "$3"), ("endingTimestamp", "$2")], Fails(1)),
    (
        &[("subscribe", "plain"), ("startingTimestamp", "$3"), ("startingOffsets", "earliest")],
        Rows(9),
    ),
    (
        &[
            ("subscribe", "plain"),
            ("startingTimestamp", "$3"),
            ("startingOffsetsByTimestamp", r#"{"plain":{"0":0,"1":0,"2":0}}"#),
        ],
        Rows(9),
    ),
    (
        &[
            ("subscribe", "plain"),
            ("startingOffsetsByTimestamp", r#"{"plain":{"0":$1,"1":$2,"2":$3}}"#),
        ],
        Rows(19),
    ),
    (
        &[
            ("subscribe", "plain"),
            ("endingOffsetsByTimestamp", r#"{"plain":{"0":$1,"1":$2,"2":$3}}"#),
        ],
        Rows(11),
    ),
    (
        &[
            ("subscribe", "plain"),
            ("startingOffsetsByTimestamp", r#"{"plain":{"0":$2,"1":$2,"2":$2}}"#),
            ("endingOffsets", r#"{"plain":{"0":5,"1":-1,"2":4}}"#),
        ],
        Rows(7),
    ),
    (
        &[
            ("subscribe", "plain"),
            ("startingOffsetsByTimestamp", r#"{"plain":{"0":-1,"1":-2,"2":$3}}"#),
        ],
        Rows(13),
    ),
    (
        &[("subscribe", "plain"), ("startingOffsetsByTimestamp", r#"{"plain":{"0":0,"1":0}}"#)],
        Fails(1),
    ),
    (&[("subscribe", "plain"), ("startingTimestamp", "soon")], Fails(2)),
    (&[("subscribe", "late"), ("startingTimestamp", "$2")], Fails(1)),
    (
        &[
            ("subscribe", "late"),
            ("startingTimestamp", "$2"),
            ("startingOffsetsByTimestampStrategy", "ERROR"),
        ],
        Fails(1),
    ),
    (
        &[
            ("subscribe", "late"),
            ("startingTimestamp", "$2"),
            ("startingOffsetsByTimestampStrategy", "Latest"),
        ],
        Rows(2),
    ),
    (
        &[
            ("subscribe", "late"),
            ("startingOffsetsByTimestamp", r#"{"late":{"0":$3,"1":$3}}"#),
            ("startingOffsetsByTimestampStrategy", "latest"),
        ],
        Rows(1),
    ),
    (&[("subscribe", "late"), ("endingTimestamp", "$2")], Rows(3)),
    (&[("subscribe", "plain"), ("startingOffsetsByTimestampStrategy", "newest")], Fails(2)),
    (&[("subscribe", "empty"), ("startingTimestamp", "$1")], Fails(1)),
    (&[("subscribe", "empty"), ("endingTimestamp", "$1")], Rows(0)),
    (&[("subscribe", "stamped"), ("startingTimestamp", "$3")], Rows(5)),
    (&[("subscribe", "stamped"), ("endingTimestamp", "$3")], Rows(0)),
];

/// How to read.
pub(super) const READING: &[(Options, Outcome)] = &[
    (&[("subscribe", "headers")], Rows(4)),
    (&[("subscribe", "headers"), ("includeHeaders", "true")], Rows(4)),
    (&[("subscribe", "headers"), ("INCLUDEHEADERS", "TRUE")], Rows(4)),
    (&[("subscribe", "plain"), ("includeHeaders", "True")], Rows(30)),
    (&[("subscribe", "headers"), ("includeHeaders", "yes")], Fails(2)),
    (&[("subscribe", "stamped"), ("includeHeaders", "true")], Rows(5)),
    (&[("subscribe", "many"), ("minPartitions", "7")], Rows(500)),
    (&[("subscribe", "many"), ("MINPARTITIONS", "1")], Rows(500)),
    (
        &[
            ("subscribe", "many"),
            ("maxRecordsPerPartition", "17"),
            ("endingOffsets", r#"{"many":{"0":77,"1":66}}"#),
        ],
        Rows(143),
    ),
    (&[("subscribe", "many"), ("maxRecordsPerPartition", "90"), ("minPartitions", "9")], Rows(500)),
    (&[("subscribe", "plain"), ("minPartitions", "100")], Rows(30)),
    (&[("subscribe", "plain"), ("minPartitions", "0")], Fails(2)),
    (&[("subscribe", "plain"), ("minPartitions", "a")], Fails(2)),
    (&[("subscribe", "plain"), ("maxRecordsPerPartition", "-1")], Fails(2)),
    (&[("subscribe", "plain"), ("failOnDataLoss", "maybe")], Fails(2)),
    (&[("subscribe", "plain"), ("maxOffsetsPerTrigger", "3")], Rows(30)),
    (&[("subscribe", "plain"), ("groupIdPrefix", "mine"), ("kafka.client.id", "me")], Rows(30)),
    (&[("subscribe", "plain"), ("kafka.group.id", "mine")], Rows(30)),
    (
        &[
            ("subscribe", "plain"),
            ("kafka.max.partition.fetch.bytes", "10"),
            ("kafka.fetch.max.bytes", "10"),
        ],
        Rows(30),
    ),
    (&[("subscribe", "plain"), ("kafka.auto.offset.reset", "latest")], Fails(2)),
    (&[("subscribe", "plain"), ("kafka.key.deserializer", "x")], Fails(2)),
    (&[("subscribe", "plain"), ("kafka.value.deserializer", "x")], Fails(2)),
    (&[("subscribe", "plain"), ("kafka.enable.auto.commit", "true")], Fails(2)),
    (&[("subscribe", "plain"), ("kafka.interceptor.classes", "x")], Fails(2)),
    (
        &[("subscribe", "plain"), ("minOffsetsPerTrigger", "20"), ("maxOffsetsPerTrigger", "15")],
        Fails(2),
    ),
];

/// Logs that don't hold all that their offsets promise.
pub(super) const GAPS: &[(Options, Outcome)] = &[
    (&[("subscribe", "txn")], Rows(24)),
    (&[("subscribe", "txn"), ("kafka.isolation.level", "read_uncommitted")], Rows(24)),
    (&[("subscribe", "txn"), ("kafka.isolation.level", "read_committed")], Rows(13)),
    (
        &[
            ("subscribe", "txn"),
            ("kafka.isolation.level", "read_committed"),
            ("minPartitions", "8"),
        ],
        Rows(13),
    ),
    (&[("assign", r#"{"txn":[1]}"#), ("kafka.isolation.level", "read_committed")], Rows(0)),
    // From the first marker to the marker of the abort.
    (
        &[
            ("assign", r#"{"txn":[0]}"#),
            ("startingOffsets", r#"{"txn":{"0":5}}"#),
            ("endingOffsets", r#"{"txn":{"0":12}}"#),
        ],
        Rows(5),
    ),
    (
        &[
            ("assign", r#"{"txn":[0]}"#),
            ("startingOffsets", r#"{"txn":{"0":5}}"#),
            ("endingOffsets", r#"{"txn":{"0":12}}"#),
            ("kafka.isolation.level", "read_committed"),
        ],
        Rows(0),
    ),
    (
        &[
            ("assign", r#"{"txn":[0]}"#),
            ("startingOffsets", r#"{"txn":{"0":7}}"#),
            ("endingOffsets", r#"{"txn":{"0":14}}"#),
            ("kafka.isolation.level", "read_committed"),
        ],
        Rows(2),
    ),
    (&[("subscribe", "txn"), ("kafka.isolation.level", "read_sometimes")], Fails(2)),
    (&[("subscribe", "open")], Rows(7)),
    (&[("subscribe", "open"), ("kafka.isolation.level", "read_committed")], Rows(4)),
    (
        &[
            ("assign", r#"{"open":[0]}"#),
            ("endingOffsets", r#"{"open":{"0":6}}"#),
            ("kafka.isolation.level", "read_committed"),
        ],
        Fails(3),
    ),
    (
        &[
            ("assign", r#"{"open":[0]}"#),
            ("endingOffsets", r#"{"open":{"0":6}}"#),
            ("kafka.isolation.level", "read_committed"),
            ("failOnDataLoss", "false"),
        ],
        Rows(4),
    ),
    (&[("subscribe", "expired")], Rows(13)),
    (&[("assign", r#"{"expired":[0]}"#), ("startingOffsets", r#"{"expired":{"0":3}}"#)], Fails(3)),
    (
        &[
            ("assign", r#"{"expired":[0]}"#),
            ("startingOffsets", r#"{"expired":{"0":3}}"#),
            ("failOnDataLoss", "false"),
        ],
        Rows(13),
    ),
    (
        &[
            ("assign", r#"{"expired":[0]}"#),
            ("startingOffsets", r#"{"expired":{"0":2}}"#),
            ("endingOffsets", r#"{"expired":{"0":5}}"#),
            ("failOnDataLoss", "false"),
        ],
        Rows(0),
    ),
    (
        &[
            ("assign", r#"{"expired":[0]}"#),
            ("startingOffsets", r#"{"expired":{"0":2}}"#),
            ("endingOffsets", r#"{"expired":{"0":5}}"#),
        ],
        Fails(3),
    ),
    (&[("subscribe", "expired"), ("startingTimestamp", "$1")], Rows(13)),
    (
        &[
            ("assign", r#"{"expired":[0]}"#),
            ("startingOffsets", r#"{"expired":{"0":3}}"#),
            ("failOnDataLoss", "false"),
            ("minPartitions", "4"),
        ],
        Differs(
            Ok(13),
            "Spark's tasks usually fail there, as they share a consumer that is not for sharing",
        ),
    ),
];
