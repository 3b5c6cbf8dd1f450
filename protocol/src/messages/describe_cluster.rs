//! DescribeCluster: the cluster's id, controller and brokers (KIP-700).
//!
//! Version 1 asks controllers too (KIP-919), 2 shows fenced brokers (KIP-1073).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Asks for the cluster's shape.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 60, response = DescribeClusterResponse, versions = "0-2", flexible = "0+")]
pub struct DescribeClusterRequest {
    /// Asks for the caller's rights on the cluster (KIP-430).
    #[field(versions = "0+")]
    pub include_cluster_authorized_operations: bool,
    /// 1 asks for brokers, 2 for controllers (KIP-919).
    #[field(versions = "1+", default = 1)]
    pub endpoint_type: i8,
    /// Asks for brokers that are registered but fenced (KIP-1073).
    #[field(versions = "2+")]
    pub include_fenced_brokers: bool,
}

/// The cluster's id, controller and brokers.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-2", flexible = "0+")]
pub struct DescribeClusterResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub error_message: Option<String>,
    /// What `brokers` holds: 1 brokers, 2 controllers (KIP-919).
    #[field(versions = "1+", default = 1)]
    pub endpoint_type: i8,
    /// The cluster's id.
    #[field(versions = "0+")]
    pub cluster_id: String,
    /// The controller's broker id, -1 where unknown.
    #[field(versions = "0+", default = -1)]
    pub controller_id: i32,
    /// The brokers or controllers.
    #[field(versions = "0+")]
    pub brokers: Vec<DescribeClusterBroker>,
    /// Bit set of what the caller may do with the cluster, `i32::MIN` if not asked for (KIP-430).
    #[field(versions = "0+", default = i32::MIN)]
    pub cluster_authorized_operations: i32,
}

/// A broker or controller and where it listens.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DescribeClusterBroker {
    /// The broker's id.
    #[field(versions = "0+")]
    pub broker_id: i32,
    /// The host name or address to connect to.
    #[field(versions = "0+")]
    pub host: String,
    /// The port to connect to.
    #[field(versions = "0+")]
    pub port: i32,
    /// The broker's rack, if it has one.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub rack: Option<String>,
    /// Whether the broker is fenced: registered, but not serving (KIP-1073).
    #[field(versions = "2+")]
    pub is_fenced: bool,
}
