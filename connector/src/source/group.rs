//! The name in which a source reads. No broker sees it, since exact ranges need no group: it keys the pools, and stands
//! in messages where Spark's users look for it.

use std::sync::Arc;

use crate::options::SourceOptions;

/// The executors' group of a query or a batch: `kafka.group.id` as it is, else a name that no other query has.
pub(super) fn executor_group(options: &SourceOptions) -> Arc<str> {
    match options.group_id() {
        Some(group) => group.into(),
        None => {
            let unique = uuid::Uuid::new_v4();
            format!("{}-{unique}-executor", options.group_id_prefix()).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::ReadMode;

    fn options(mode: ReadMode, pairs: &[(&str, &str)]) -> SourceOptions {
        let mut all = vec![("subscribe", "t"), ("kafka.bootstrap.servers", "h:1")];
        all.extend(pairs);
        SourceOptions::from_pairs(mode, all).unwrap()
    }

    #[test]
    fn b110_the_executors_group_is_unique_unless_it_is_given() {
        let stream = options(ReadMode::Stream, &[]);
        let (one, two) = (executor_group(&stream), executor_group(&stream));
        assert!(one.starts_with("spark-kafka-source-") && one.ends_with("-executor"), "{one}");
        assert_ne!(one, two);
        let batch = executor_group(&options(ReadMode::Batch, &[]));
        assert!(batch.starts_with("spark-kafka-relation-"));
        let prefixed = executor_group(&options(ReadMode::Stream, &[("groupIdPrefix", "mine")]));
        assert!(prefixed.starts_with("mine-") && prefixed.len() > "mine-".len());
        let given = [("groupIdPrefix", "mine"), ("kafka.group.id", "exactly-this")];
        let given = options(ReadMode::Stream, &given);
        assert_eq!(&*executor_group(&given), "exactly-this");
        let warnings = given.warnings().join("\n");
        assert!(warnings.contains("kafka.group.id is shared"), "{warnings}");
        assert!(warnings.contains("groupIdPrefix has no effect"), "{warnings}");
    }
}
