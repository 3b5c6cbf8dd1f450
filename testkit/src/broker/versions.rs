//! ApiVersions (KIP-35, KIP-511): which APIs this broker serves, in which versions.

use std::collections::BTreeMap;

use klamm_protocol::api::{ApiKey, VersionRange};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::REQUESTS;
use klamm_protocol::messages::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};

/// The versions served, by API.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    ranges: BTreeMap<ApiKey, VersionRange>,
}

impl Served {
    /// What the protocol crate speaks of these APIs, as narrowed by `limits`.
    pub(crate) fn new(apis: &[ApiKey], limits: &[(ApiKey, VersionRange)]) -> Self {
        let spoken = REQUESTS.iter().copied().filter(|(key, _)| apis.contains(key));
        let mut ranges: BTreeMap<_, _> = spoken.collect();
        let oldest = OLDEST.map(|(key, min)| (key, VersionRange { min, max: i16::MAX }));
        for &(key, limit) in oldest.iter().chain(limits) {
            match ranges.get(&key).and_then(|range| range.intersect(limit)) {
                Some(range) => ranges.insert(key, range),
                None => ranges.remove(&key),
            };
        }
        Self { ranges }
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
        ApiVersionsResponse { api_keys: self.list(), ..ApiVersionsResponse::default() }
    }

    /// The answer for a version that is not served, to be sent in version 0: it lists
    /// ApiVersions itself, so that the client finds a version both speak.
    pub(crate) fn unsupported(&self) -> ApiVersionsResponse {
        let mut response = self.refuse(ErrorCode::UNSUPPORTED_VERSION);
        response.api_keys = self.list();
        response.api_keys.retain(|api| api.api_key == ApiKey::ApiVersions.code());
        response
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

/// Older versions carry message sets from before record batches, or lists of segments.
const OLDEST: [(ApiKey, i16); 3] =
    [(ApiKey::Produce, 3), (ApiKey::Fetch, 4), (ApiKey::ListOffsets, 1)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_narrows_an_api_and_an_empty_one_withdraws_it() {
        let apis = [ApiKey::Fetch, ApiKey::DescribeTopicPartitions];
        let served = Served::new(
            &apis,
            &[
                (ApiKey::Fetch, VersionRange { min: 0, max: 11 }),
                (ApiKey::DescribeTopicPartitions, VersionRange { min: 1, max: 0 }),
            ],
        );
        assert!(!served.contains(ApiKey::Metadata, 1));
        assert!(served.contains(ApiKey::Fetch, 11) && served.contains(ApiKey::Fetch, 4));
        assert!(!served.contains(ApiKey::Fetch, 12) && !served.contains(ApiKey::Fetch, 3));
        assert!(!served.contains(ApiKey::DescribeTopicPartitions, 0));
    }

    #[test]
    fn nameless_software_is_refused_since_version_three() {
        let served = Served::new(&[ApiKey::ApiVersions], &[]);
        let mut request = ApiVersionsRequest::default();
        assert_eq!(served.answer(3, &request).error_code, ErrorCode::INVALID_REQUEST);
        assert_eq!(served.answer(2, &request).error_code, ErrorCode::NONE);
        request.client_software_name = "apache-kafka-java".to_owned();
        request.client_software_version = "4.3.1".to_owned();
        assert_eq!(served.answer(3, &request).error_code, ErrorCode::NONE);
    }
}
