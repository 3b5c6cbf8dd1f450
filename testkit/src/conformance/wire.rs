//! The shortest client there is: one blocking connection, one request at a time, any version.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use klamm_protocol::api::{ApiKey, Request, VersionRange};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::header::{decode_response, encode_request};
use klamm_protocol::messages::api_versions::ApiVersionsRequest;
use klamm_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use klamm_protocol::messages::find_coordinator::FindCoordinatorRequest;
use klamm_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponseTopic,
};

use crate::outside::Cluster;

/// A connection to one broker.
pub(super) struct Wire {
    stream: TcpStream,
    versions: HashMap<i16, VersionRange>,
    correlation: i32,
}

impl Wire {
    /// Connects to the first bootstrap server.
    pub(super) fn to(cluster: &dyn Cluster) -> Self {
        let bootstrap = cluster.bootstrap();
        Self::connect(bootstrap.split(',').next().unwrap_or_default())
    }

    /// Connects to the leader of a partition.
    pub(super) fn to_leader(cluster: &dyn Cluster, topic: &str, partition: i32) -> Self {
        let mut wire = Self::to(cluster);
        let leader = find(&wire.described(topic), partition);
        let response = wire.request(&metadata_of(topic));
        let broker = response.brokers.iter().find(|broker| broker.node_id == leader);
        let broker = broker.expect("the leader is among the brokers");
        Self::connect(&format!("{}:{}", broker.host, broker.port))
    }

    /// Connects to a broker by what an answer said of it.
    pub(super) fn at(host: &str, port: i32) -> Self {
        Self::connect(&format!("{host}:{port}"))
    }

    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the broker accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("the option can be set");
        let mut wire = Self { stream, versions: HashMap::new(), correlation: 0 };
        let request = ApiVersionsRequest {
            client_software_name: "klamm-conformance".to_owned(),
            client_software_version: "1".to_owned(),
        };
        let offered = wire.exchange(&request, 3);
        assert_eq!(offered.error_code, ErrorCode::NONE);
        let range = |api: &klamm_protocol::messages::api_versions::ApiVersion| {
            (api.api_key, VersionRange { min: api.min_version, max: api.max_version })
        };
        wire.versions = offered.api_keys.iter().map(range).collect();
        wire
    }

    /// What the broker offers.
    pub(super) fn offered(&self) -> BTreeMap<ApiKey, VersionRange> {
        let ranges = self.versions.iter();
        ranges.map(|(code, range)| (ApiKey::from_code(*code), *range)).collect()
    }

    /// The versions of an API that both sides know, oldest first.
    pub(super) fn common<R: Request>(&self) -> Vec<i16> {
        let offered = self.versions.get(&R::KEY.code()).copied();
        let common = offered.and_then(|offered| offered.intersect(R::VERSIONS));
        common.map(|range| (range.min..=range.max).collect()).unwrap_or_default()
    }

    /// Sends a request in the newest common version.
    pub(super) fn request<R: Request>(&mut self, request: &R) -> R::Response {
        let version = self.common::<R>().last().copied();
        self.exchange(request, version.expect("the broker offers the API"))
    }

    /// Sends a request in the newest common version that is not above `limit`.
    pub(super) fn exchange_up_to<R: Request>(&mut self, request: &R, limit: i16) -> R::Response {
        let version = self.common::<R>().into_iter().filter(|version| *version <= limit).max();
        self.exchange(request, version.expect("the broker offers the API"))
    }

    /// Sends a request in one version.
    pub(super) fn exchange<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.correlation += 1;
        let frame = encode_request(request, version, self.correlation, Some("conformance"))
            .expect("the request has this version");
        self.stream.write_all(&frame.into_bytes()).expect("the broker reads");
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).expect("the broker answers");
        let mut body = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
        self.stream.read_exact(&mut body).expect("the whole answer comes");
        decode_response::<R>(Bytes::from(body), version)
            .unwrap_or_else(|error| panic!("{:?} v{version}: {error}", R::KEY))
    }

    /// What the metadata says of a topic, once all its partitions have leaders.
    pub(super) fn described(&mut self, topic: &str) -> MetadataResponseTopic {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut response = self.request(&metadata_of(topic));
            let found = response.topics.pop().expect("the topic asked for");
            let settled = found.error_code == ErrorCode::NONE
                && !found.partitions.is_empty()
                && found.partitions.iter().all(|p| p.leader_id >= 0);
            if settled {
                return found;
            }
            assert!(Instant::now() < until, "{topic} never got leaders: {found:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A connection to the coordinator of a group or a transactional id, once there is one: the first
/// of a cluster makes the topic that it is kept in.
pub(super) fn coordinator(cluster: &dyn Cluster, key_type: i8, key: &str) -> Wire {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut wire = Wire::to(cluster);
        let mut request = FindCoordinatorRequest { key_type, ..FindCoordinatorRequest::default() };
        let found = if wire.common::<FindCoordinatorRequest>().contains(&4) {
            request.coordinator_keys = vec![key.to_owned()];
            let found = wire.exchange(&request, 4).coordinators.remove(0);
            (found.error_code, found.host, found.port)
        } else {
            request.key = key.to_owned();
            let found = wire.exchange(&request, 3);
            (found.error_code, found.host, found.port)
        };
        if found.0 == ErrorCode::NONE {
            return Wire::at(&found.1, found.2);
        }
        assert!(Instant::now() < until, "no coordinator: {found:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A new topic of this many partitions, with a name of its own.
pub(super) fn new_topic(
    cluster: &dyn Cluster,
    partitions: i32,
    configs: &[(&str, &str)],
) -> String {
    use klamm_protocol::messages::create_topics::CreatableTopicConfig;
    let name = fresh_name();
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    let topic = CreatableTopic {
        name: name.clone(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    };
    let mut wire = Wire::to(cluster);
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let response = wire.request(&request);
    assert_eq!(response.topics[0].error_code, ErrorCode::NONE, "{:?}", response.topics[0]);
    wire.described(&name);
    (0..partitions).for_each(|partition| await_leader(cluster, &name, partition));
    name
}

/// Waits until the leader of a partition serves it: metadata may name it a moment before.
fn await_leader(cluster: &dyn Cluster, topic: &str, partition: i32) {
    let until = Instant::now() + PATIENCE;
    let request = super::offsets::request_for(topic, partition, super::offsets::LATEST);
    loop {
        let mut response = Wire::to_leader(cluster, topic, partition).exchange(&request, 5);
        let code = response.topics.remove(0).partitions.remove(0).error_code;
        if code == ErrorCode::NONE {
            return;
        }
        assert!(Instant::now() < until, "{topic}-{partition} was never served: {code:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A topic name nobody used before.
pub(super) fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("conformance-{}-{next}", std::process::id())
}

/// Asks for one topic without making it.
pub(super) fn metadata_of(topic: &str) -> MetadataRequest {
    let named =
        MetadataRequestTopic { name: Some(topic.to_owned()), ..MetadataRequestTopic::default() };
    MetadataRequest {
        topics: Some(vec![named]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    }
}

fn find(topic: &MetadataResponseTopic, partition: i32) -> i32 {
    let found = topic.partitions.iter().find(|p| p.partition_index == partition);
    found.expect("the partition exists").leader_id
}

/// What coordinators look after.
pub(super) const GROUP: i8 = 0;
pub(super) const TRANSACTION: i8 = 1;
/// How long a broker may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);
