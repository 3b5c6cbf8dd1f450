//! ApiVersions (KIP-35, KIP-511, KIP-584): which APIs this broker serves, in which versions, and
//! which features the cluster runs.

use std::collections::BTreeMap;

use klamm_protocol::api::{ApiKey, VersionRange};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::REQUESTS;
use klamm_protocol::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

use klamm_protocol::messages::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use super::config::ClusterConfig;
use crate::log::Refusal;

/// The versions served, by API.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    ranges: BTreeMap<ApiKey, VersionRange>,
    features: Vec<Feature>,
    /// Rises with every change of their levels.
    features_epoch: i64,
}

/// A feature: its name, the highest level that a 4.3 broker knows, the level in force.
#[derive(Clone, Copy, Debug)]
struct Feature {
    name: &'static str,
    highest: i16,
    level: i16,
}

impl Served {
    /// What the protocol crate speaks of these APIs, as a 4.3 broker offers it or as the
    /// configuration says instead.
    pub(crate) fn new(apis: &[ApiKey], config: &ClusterConfig) -> Self {
        let spoken = REQUESTS.iter().copied().filter(|(key, _)| apis.contains(key));
        let mut ranges = BTreeMap::new();
        for (key, range) in spoken {
            let of = |table: &[(ApiKey, VersionRange)]| {
                table.iter().find(|(of, _)| *of == key).map(|(_, range)| *range)
            };
            let offered = of(&config.versions).or_else(|| of(OFFERED));
            let range = offered.map_or(Some(range), |offered| range.intersect(offered));
            let readable = OLDEST.iter().find(|(of, _)| *of == key).map_or(0, |(_, min)| *min);
            let readable = VersionRange { min: readable, max: i16::MAX };
            if let Some(range) = range.and_then(|range| range.intersect(readable)) {
                ranges.insert(key, range);
            }
        }
        let feature = |name, highest, level| Feature { name, highest, level };
        let features = vec![
            feature("transaction.version", 2, config.transaction_version),
            feature("group.version", 1, config.group_version),
        ];
        Self { ranges, features, features_epoch: 0 }
    }

    /// Whether this version of this API is served.
    pub(crate) fn contains(&self, key: ApiKey, version: i16) -> bool {
        self.ranges.get(&key).is_some_and(|range| range.contains(version))
    }

    /// Answers ApiVersions. A client must say its name and version in Kafka's alphabet since
    /// version 3, and gets INVALID_REQUEST otherwise.
    pub(crate) fn answer(&self, version: i16, request: &ApiVersionsRequest) -> ApiVersionsResponse {
        let names = [&request.client_software_name, &request.client_software_version];
        if version >= 3 && !names.into_iter().all(|name| is_software_name(name)) {
            return self.refuse(ErrorCode::INVALID_REQUEST);
        }
        let supported = self.features.iter().filter(|_| version >= ZERO_LEVELS);
        let finalized = self.features.iter().filter(|feature| feature.level > 0);
        ApiVersionsResponse {
            api_keys: self.list(),
            supported_features: supported
                .map(|feature| SupportedFeatureKey {
                    name: feature.name.to_owned(),
                    min_version: 0,
                    max_version: feature.highest,
                })
                .collect(),
            finalized_features_epoch: self.features_epoch,
            finalized_features: finalized
                .map(|feature| FinalizedFeatureKey {
                    name: feature.name.to_owned(),
                    max_version_level: feature.level,
                    min_version_level: feature.level,
                })
                .collect(),
            ..ApiVersionsResponse::default()
        }
    }

    /// The answer for a version that is not served, to be sent in version 0: it lists
    /// ApiVersions itself, so that the client finds a version both speak.
    pub(crate) fn unsupported(&self) -> ApiVersionsResponse {
        let mut response = self.refuse(ErrorCode::UNSUPPORTED_VERSION);
        response.api_keys = self.list();
        response.api_keys.retain(|api| api.api_key == ApiKey::ApiVersions.code());
        response
    }

    /// The level at which the cluster runs a feature.
    pub(crate) fn level(&self, name: &str) -> i16 {
        self.features.iter().find(|one| one.name == name).map_or(0, |feature| feature.level)
    }

    /// Answers UpdateFeatures: all levels are set, or none.
    pub(crate) fn update(
        &mut self,
        version: i16,
        request: &UpdateFeaturesRequest,
    ) -> UpdateFeaturesResponse {
        let updates = &request.feature_updates;
        let check = |one| self.check_update(version, one);
        if let Some(refusal) = updates.iter().find_map(|one| check(one).err()) {
            return UpdateFeaturesResponse {
                error_message: Some(refusal.message),
                ..self.refuse_update(refusal.code)
            };
        }
        if !request.validate_only {
            for update in updates {
                let found = self.features.iter_mut().find(|one| one.name == update.feature);
                if let Some(feature) = found {
                    feature.level = update.max_version_level;
                }
            }
            self.features_epoch += 1;
        }
        let result = |one: &FeatureUpdateKey| UpdatableFeatureResult {
            feature: one.feature.clone(),
            ..UpdatableFeatureResult::default()
        };
        let results = updates.iter().map(result).collect();
        UpdateFeaturesResponse { results, ..UpdateFeaturesResponse::default() }
    }

    /// UpdateFeatures refused with `code`.
    pub(crate) fn refuse_update(&self, error_code: ErrorCode) -> UpdateFeaturesResponse {
        UpdateFeaturesResponse { error_code, ..UpdateFeaturesResponse::default() }
    }

    fn check_update(&self, version: i16, update: &FeatureUpdateKey) -> Result<(), Refusal> {
        let (name, level) = (&update.feature, update.max_version_level);
        let refusal = |why: String| {
            let message = format!("Invalid update version {level} for feature {name}. {why}");
            Err(Refusal::new(ErrorCode::INVALID_UPDATE_VERSION, message))
        };
        let Some(feature) = self.features.iter().find(|one| one.name == name) else {
            return refusal("This broker does not support the feature.".to_owned());
        };
        if !(0..=feature.highest).contains(&level) {
            return refusal(format!("Brokers support 0 to {}.", feature.highest));
        }
        let lowers = if version < UPGRADE_TYPES {
            update.allow_downgrade
        } else {
            update.upgrade_type != ONLY_UP
        };
        if level < feature.level && !lowers {
            return refusal("Can't downgrade without setting the upgrade type.".to_owned());
        }
        Ok(())
    }

    /// An answer that only refuses.
    pub(crate) fn refuse(&self, error_code: ErrorCode) -> ApiVersionsResponse {
        ApiVersionsResponse { error_code, ..ApiVersionsResponse::default() }
    }

    fn list(&self) -> Vec<ApiVersion> {
        let entries = self.ranges.iter().map(|(key, range)| ApiVersion {
            api_key: key.code(),
            // librdkafka up to 2.8 compresses only for brokers that claim Produce 0, so brokers
            // of Kafka 4 claim it, too, although none serves it (KAFKA-18659).
            min_version: if *key == ApiKey::Produce { 0 } else { range.min },
            max_version: range.max,
        });
        entries.collect()
    }
}

/// Letters and digits, with dots and dashes inside (KIP-511).
fn is_software_name(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().copied().all(inside)
}

/// From this version on clients can read features that may be off (KIP-1022).
const ZERO_LEVELS: i16 = 4;

/// From this version on a request says how a downgrade is meant (KIP-778).
const UPGRADE_TYPES: i16 = 1;
const ONLY_UP: i8 = 1;

macro_rules! offered {
    ($($key:ident $min:literal $max:literal;)*) => {
        &[$((ApiKey::$key, VersionRange::new($min, $max))),*]
    };
}

/// What a 4.3 broker offers, where it differs from what the protocol crate speaks or might one day.
const OFFERED: &[(ApiKey, VersionRange)] = offered! {
    Produce 0 13;
    Fetch 4 18;
    ListOffsets 1 11;
    Metadata 0 13;
    OffsetCommit 2 10;
    OffsetFetch 1 10;
    FindCoordinator 0 6;
    JoinGroup 0 9;
    Heartbeat 0 4;
    LeaveGroup 0 5;
    SyncGroup 0 5;
    DescribeGroups 0 6;
    ListGroups 0 5;
    SaslHandshake 0 1;
    ApiVersions 0 4;
    CreateTopics 2 7;
    DeleteTopics 1 6;
    InitProducerId 0 5;
    OffsetForLeaderEpoch 2 4;
    AddPartitionsToTxn 0 5;
    AddOffsetsToTxn 0 4;
    EndTxn 0 5;
    TxnOffsetCommit 0 5;
    DescribeConfigs 1 4;
    SaslAuthenticate 0 2;
    CreatePartitions 0 3;
    DeleteGroups 0 2;
    OffsetDelete 0 0;
    DescribeCluster 0 2;
    DeleteRecords 0 2;
    WriteTxnMarkers 1 2;
    DescribeAcls 1 3;
    CreateAcls 1 3;
    DeleteAcls 1 3;
    AlterReplicaLogDirs 1 2;
    DescribeLogDirs 1 5;
    CreateDelegationToken 1 3;
    RenewDelegationToken 1 2;
    ExpireDelegationToken 1 2;
    DescribeDelegationToken 1 3;
    ElectLeaders 0 2;
    IncrementalAlterConfigs 0 1;
    AlterPartitionReassignments 0 1;
    ListPartitionReassignments 0 0;
    DescribeClientQuotas 0 1;
    AlterClientQuotas 0 1;
    DescribeUserScramCredentials 0 0;
    AlterUserScramCredentials 0 0;
    UpdateFeatures 0 2;
    DescribeProducers 0 0;
    DescribeTransactions 0 0;
    ListTransactions 0 2;
    ConsumerGroupHeartbeat 0 1;
    ConsumerGroupDescribe 0 1;
    DescribeTopicPartitions 0 0;
};

/// Older versions carry message sets from before record batches, or lists of segments.
const OLDEST: [(ApiKey, i16); 3] =
    [(ApiKey::Produce, 3), (ApiKey::Fetch, 4), (ApiKey::ListOffsets, 1)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_narrows_an_api_and_an_empty_one_withdraws_it() {
        let apis = [ApiKey::Fetch, ApiKey::DescribeTopicPartitions];
        let versions = vec![
            (ApiKey::Fetch, VersionRange { min: 0, max: 11 }),
            (ApiKey::DescribeTopicPartitions, VersionRange { min: 1, max: 0 }),
        ];
        let config = ClusterConfig { versions, ..ClusterConfig::default() };
        let served = Served::new(&apis, &config);
        assert!(!served.contains(ApiKey::Metadata, 1));
        assert!(served.contains(ApiKey::Fetch, 11) && served.contains(ApiKey::Fetch, 4));
        assert!(!served.contains(ApiKey::Fetch, 12) && !served.contains(ApiKey::Fetch, 3));
        assert!(!served.contains(ApiKey::DescribeTopicPartitions, 0));
    }

    #[test]
    fn nameless_software_is_refused_since_version_three() {
        let served = Served::new(&[ApiKey::ApiVersions], &ClusterConfig::default());
        let mut request = ApiVersionsRequest::default();
        assert_eq!(served.answer(3, &request).error_code, ErrorCode::INVALID_REQUEST);
        assert_eq!(served.answer(2, &request).error_code, ErrorCode::NONE);
        request.client_software_name = "apache-kafka-java".to_owned();
        request.client_software_version = "4.3.1".to_owned();
        assert_eq!(served.answer(3, &request).error_code, ErrorCode::NONE);
    }
    #[test]
    fn a_configured_range_stands_for_what_a_new_broker_offers() {
        let config = |versions| ClusterConfig { versions, ..ClusterConfig::default() };
        let apis = [ApiKey::TxnOffsetCommit, ApiKey::OffsetCommit];
        let served = Served::new(&apis, &config(Vec::new()));
        assert!(!served.contains(ApiKey::TxnOffsetCommit, 6), "newer than 4.3");
        assert!(!served.contains(ApiKey::OffsetCommit, 1), "gone in 4.0");
        let wide = |key| (key, VersionRange::new(0, i16::MAX));
        let served = Served::new(&apis, &config(apis.map(wide).to_vec()));
        assert!(served.contains(ApiKey::TxnOffsetCommit, 6));
        assert!(served.contains(ApiKey::OffsetCommit, 1));
    }

    #[test]
    fn a_feature_that_is_off_is_supported_and_not_in_force() {
        let config =
            ClusterConfig { transaction_version: 0, group_version: 0, ..ClusterConfig::default() };
        let request = ApiVersionsRequest {
            client_software_name: "a".to_owned(),
            client_software_version: "1".to_owned(),
        };
        let answer = |config: &ClusterConfig, version| {
            Served::new(&[ApiKey::ApiVersions], config).answer(version, &request)
        };
        let off = answer(&config, 4);
        assert_eq!(off.supported_features[0].name, "transaction.version");
        assert!(off.finalized_features.is_empty());
        let on = answer(&ClusterConfig::default(), 3);
        assert!(on.supported_features.is_empty());
        assert_eq!(on.finalized_features[0].max_version_level, 2);
    }
}
