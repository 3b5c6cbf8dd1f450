//! Which release of Kafka brought which API. In: an API that a broker lacks; out: what would mend
//! it.

use klamm_protocol::api::ApiKey;
use klamm_protocol::session::handshake::UnsupportedApi;

/// What whoever meets this broker can do.
pub(crate) fn remedy(error: &UnsupportedApi) -> String {
    match error.theirs {
        Some(theirs) if theirs.min > error.ours.max => {
            "use a newer version of this client".to_owned()
        }
        _ => format!("use a broker of Kafka {} or newer", since(error.key)),
    }
}

/// The first release that has the API, where that is later than the oldest that this client speaks
/// with.
fn since(key: ApiKey) -> &'static str {
    match key {
        ApiKey::ElectLeaders => "2.2",
        ApiKey::IncrementalAlterConfigs => "2.3",
        ApiKey::AlterPartitionReassignments
        | ApiKey::ListPartitionReassignments
        | ApiKey::OffsetDelete => "2.4",
        ApiKey::DescribeClientQuotas | ApiKey::AlterClientQuotas => "2.6",
        ApiKey::DescribeUserScramCredentials
        | ApiKey::AlterUserScramCredentials
        | ApiKey::UpdateFeatures => "2.7",
        ApiKey::DescribeCluster | ApiKey::DescribeProducers => "2.8",
        ApiKey::DescribeTransactions | ApiKey::ListTransactions => "3.0",
        ApiKey::ConsumerGroupHeartbeat
        | ApiKey::ConsumerGroupDescribe
        | ApiKey::GetTelemetrySubscriptions
        | ApiKey::PushTelemetry => "3.7",
        ApiKey::DescribeTopicPartitions => "3.8",
        _ => "2.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use klamm_protocol::api::VersionRange;

    #[test]
    fn the_older_side_is_to_be_updated() {
        let ours = VersionRange::new(0, 1);
        let lacking = UnsupportedApi { key: ApiKey::ElectLeaders, ours, theirs: None };
        assert_eq!(remedy(&lacking), "use a broker of Kafka 2.2 or newer");
        let theirs = Some(VersionRange::new(2, 3));
        let newer = UnsupportedApi { theirs, ..lacking };
        assert_eq!(remedy(&newer), "use a newer version of this client");
    }
}
