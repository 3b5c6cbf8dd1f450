//! The cluster as a whole: its brokers (KIP-700) and the features that it runs (KIP-584). In:
//! nothing, or the levels that features shall have; out: what there is.

use std::collections::BTreeMap;

use klamm_protocol::api::{ApiKey, VersionRange};
use klamm_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use klamm_protocol::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use klamm_protocol::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker,
};
use klamm_protocol::messages::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};
use tokio::time::Instant;

use crate::client::Client;
use crate::cluster::Repeat;
use crate::error::{Error, Result};
use crate::net::handle::Handle;

use super::acls::{AclOperation, allowed};
use super::configs::Effect;
use super::each::{Call, Each, Item, Node, To, Told, about, verdict};

/// A cluster and its brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterDescription {
    /// The cluster's id.
    pub id: Option<String>,
    /// The controller, or in KRaft some broker that forwards to it.
    pub controller: Option<i32>,
    /// The brokers, by rising id.
    pub brokers: Vec<BrokerDescription>,
    /// What the caller may do with the cluster; `None` from brokers before 2.3.
    pub authorized: Option<Vec<AclOperation>>,
}

/// A broker of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerDescription {
    /// Its id.
    pub id: i32,
    /// Its host name or address for clients.
    pub host: String,
    /// Its port for clients.
    pub port: i32,
    /// Its rack, if it has one.
    pub rack: Option<String>,
    /// Whether it is registered and does not serve; told by brokers since 4.0 (KIP-1073).
    pub fenced: bool,
}

/// The features of a cluster.
///
/// ```no_run
/// # async fn example(client: klamm_client::Client) -> klamm_client::Result<()> {
/// let features = client.features().await?;
/// println!("metadata.version is {:?}", features.finalized.get("metadata.version"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Features {
    /// The levels that the asked broker could run, by feature.
    pub supported: BTreeMap<String, VersionRange>,
    /// The levels that the whole cluster has agreed on, by feature.
    pub finalized: BTreeMap<String, VersionRange>,
    /// Grows with every change of the agreed levels; `None` where the broker knows none.
    pub epoch: Option<i64>,
}

/// The level that a feature shall have.
///
/// ```
/// use klamm_client::admin::FeatureUpdate;
///
/// let newer = FeatureUpdate::upgrade("metadata.version", 25);
/// let off = FeatureUpdate::safe_downgrade("group.version", 0);
/// assert_eq!((newer.level(), off.feature()), (25, "group.version"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureUpdate {
    feature: String,
    level: i16,
    kind: i8,
}

impl FeatureUpdate {
    /// Raises a level.
    pub fn upgrade(feature: impl Into<String>, level: i16) -> Self {
        Self { feature: feature.into(), level, kind: 1 }
    }

    /// Lowers a level if nothing is lost by it; to 0 switches the feature off.
    pub fn safe_downgrade(feature: impl Into<String>, level: i16) -> Self {
        Self { feature: feature.into(), level, kind: 2 }
    }

    /// Lowers a level **even if the cluster forgets something by it**; brokers before 3.3 do not
    /// tell the two kinds apart.
    pub fn unsafe_downgrade(feature: impl Into<String>, level: i16) -> Self {
        Self { feature: feature.into(), level, kind: 3 }
    }

    /// The feature's name.
    pub fn feature(&self) -> &str {
        &self.feature
    }

    /// The level that it shall have.
    pub fn level(&self) -> i16 {
        self.level
    }
}

impl Client {
    /// The cluster's id, controller and brokers, asked for afresh.
    ///
    /// # Errors
    ///
    /// The broker's code, or what outlasts `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        self.question(Node::Any, Repeat::Harmless, |handle, deadline| async move {
            match handle.versions().range(ApiKey::DescribeCluster) {
                Some(_) => described(&handle, deadline).await,
                None => described_of_old(&handle, deadline).await,
            }
        })
        .await
    }

    /// The features that a broker supports and that the cluster runs. Brokers before 2.7 have none.
    ///
    /// # Errors
    ///
    /// The broker's code, or what outlasts `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn features(&self) -> Result<Features> {
        let request = &ApiVersionsRequest {
            client_software_name: "klamm".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.question(Node::Any, Repeat::Harmless, |handle, deadline| async move {
            let response = handle.request(request, deadline).await?;
            Error::check(response.error_code)?;
            Ok(Features::of(response))
        })
        .await
    }

    /// Sets levels of features. The results stand in the order of the updates; newer controllers
    /// make all of them or none, and then each has the same error.
    ///
    /// # Errors
    ///
    /// For each: the broker's code with its own words, such as `INVALID_UPDATE_VERSION`;
    /// [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) where the request got no answer, which
    /// is not repeated; [`Unsupported`](crate::ErrorKind::Unsupported) from brokers before 2.7.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: levels may or may not be set.
    pub async fn update_features(
        &self,
        updates: &[FeatureUpdate],
        effect: Effect,
    ) -> Vec<Result<()>> {
        let to = To::Node(|_: &FeatureUpdate| Node::Controller);
        let each = Each { client: self, items: updates, to, repeat: Repeat::Harmful };
        each.ask(|call| update(self.order_timeout(), effect, call)).await
    }
}

impl Item for FeatureUpdate {
    type Key = String;

    fn key(&self) -> String {
        self.feature.clone()
    }

    fn named(&self, error: Error) -> Error {
        about(about(error, "feature", &self.feature), "level", self.level)
    }
}

async fn update(
    timeout_ms: i32,
    effect: Effect,
    call: Call<'_, FeatureUpdate>,
) -> Told<String, ()> {
    let old = call.handle.version_of::<UpdateFeaturesRequest>()? < UPGRADE_TYPES;
    let update = |one: &&FeatureUpdate| FeatureUpdateKey {
        feature: one.feature.clone(),
        max_version_level: one.level,
        allow_downgrade: old && one.kind != UPGRADE,
        upgrade_type: if old { UPGRADE } else { one.kind },
    };
    let request = UpdateFeaturesRequest {
        timeout_ms,
        feature_updates: call.items.iter().map(update).collect(),
        validate_only: effect == Effect::CheckOnly,
    };
    let response = call.request(&request).await?;
    verdict(response.error_code, response.error_message)?;
    // What has no outcome of its own shares that of all.
    let all = call.items.iter().map(|one| (one.feature.clone(), Ok(())));
    let mut outcomes: BTreeMap<String, Result<()>> = all.collect();
    for one in response.results {
        outcomes.insert(one.feature, verdict(one.error_code, one.error_message));
    }
    Ok(outcomes.into_iter().collect())
}

async fn described(handle: &Handle, deadline: Instant) -> Result<ClusterDescription> {
    let version = handle.version_of::<DescribeClusterRequest>()?;
    let request = DescribeClusterRequest {
        include_cluster_authorized_operations: true,
        include_fenced_brokers: version >= FENCED,
        ..DescribeClusterRequest::default()
    };
    let response: DescribeClusterResponse = handle.request(&request, deadline).await?;
    verdict(response.error_code, response.error_message)?;
    let broker = |one: DescribeClusterBroker| BrokerDescription {
        id: one.broker_id,
        host: one.host,
        port: one.port,
        rack: one.rack,
        fenced: one.is_fenced,
    };
    Ok(ClusterDescription::new(
        Some(response.cluster_id),
        response.controller_id,
        response.brokers.into_iter().map(broker).collect(),
        response.cluster_authorized_operations,
    ))
}

/// Brokers before 2.8 tell the same by their metadata.
async fn described_of_old(handle: &Handle, deadline: Instant) -> Result<ClusterDescription> {
    let version = handle.version_up_to::<MetadataRequest>(LAST_RIGHTS)?;
    let request = MetadataRequest {
        topics: Some(Vec::new()),
        allow_auto_topic_creation: version < AUTO_CREATE,
        include_cluster_authorized_operations: version >= FIRST_RIGHTS,
        ..MetadataRequest::default()
    };
    let response: MetadataResponse = handle.request_in(&request, version, deadline).await?;
    let broker = |one: MetadataResponseBroker| BrokerDescription {
        id: one.node_id,
        host: one.host,
        port: one.port,
        rack: one.rack,
        fenced: false,
    };
    Ok(ClusterDescription::new(
        response.cluster_id,
        response.controller_id,
        response.brokers.into_iter().map(broker).collect(),
        response.cluster_authorized_operations,
    ))
}

impl ClusterDescription {
    fn new(
        id: Option<String>,
        controller: i32,
        mut brokers: Vec<BrokerDescription>,
        rights: i32,
    ) -> Self {
        brokers.sort_by_key(|broker| broker.id);
        let controller = Some(controller).filter(|id| *id >= 0);
        Self { id, controller, brokers, authorized: allowed(rights) }
    }
}

impl Features {
    fn of(told: ApiVersionsResponse) -> Self {
        let supported = told.supported_features.into_iter();
        let supported =
            supported.map(|one| (one.name, VersionRange::new(one.min_version, one.max_version)));
        let finalized = told
            .finalized_features
            .into_iter()
            .map(|one| (one.name, VersionRange::new(one.min_version_level, one.max_version_level)));
        Self {
            supported: supported.collect(),
            finalized: finalized.collect(),
            epoch: Some(told.finalized_features_epoch).filter(|epoch| *epoch >= 0),
        }
    }
}

const UPGRADE: i8 = 1;
/// From this version on a request says how a downgrade is meant (KIP-778).
const UPGRADE_TYPES: i16 = 1;
/// From this version on brokers that do not serve can be asked for (KIP-1073).
const FENCED: i16 = 2;
/// The versions of Metadata that tell rights on the cluster (KIP-430).
const FIRST_RIGHTS: i16 = 8;
const LAST_RIGHTS: i16 = 10;
/// From this version on a request may forbid that topics are created.
const AUTO_CREATE: i16 = 4;
