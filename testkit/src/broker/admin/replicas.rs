//! ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments, DescribeLogDirs and
//! AlterReplicaLogDirs: where replicas are, and who leads.
//!
//! All replicas of a partition share one log, so that moves are done at once and none is ever under
//! way. Each broker has one log directory, on a disk of unknown size.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopic, ReassignableTopicResponse,
};
use klamm_protocol::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
    AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse,
};
use klamm_protocol::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use klamm_protocol::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use klamm_protocol::messages::list_partition_reassignments::ListPartitionReassignmentsResponse;

use crate::broker::topology::Topology;
use crate::log::Refusal;

/// Answers ElectLeaders. Asked about all partitions, it names all topics
/// and leaves out the partitions that need no election.
pub(crate) fn elect(
    topology: &mut Topology,
    request: &ElectLeadersRequest,
) -> ElectLeadersResponse {
    let unclean = request.election_type == UNCLEAN;
    let asked: Vec<(String, Vec<i32>)> = match &request.topic_partitions {
        Some(topics) => {
            topics.iter().map(|one| (one.topic.clone(), one.partitions.clone())).collect()
        }
        None => all_partitions(topology),
    };
    let all = request.topic_partitions.is_none();
    let topic = |(topic, partitions): (String, Vec<i32>)| {
        let results = partitions.into_iter().map(|index| {
            let refusal = topology.elect_leader(&topic, index, unclean).err();
            PartitionResult {
                partition_id: index,
                error_code: code_of(refusal.as_ref()),
                error_message: refusal.map(|refusal| refusal.message),
            }
        });
        let needed =
            |one: &PartitionResult| !(all && one.error_code == ErrorCode::ELECTION_NOT_NEEDED);
        let partition_result = results.filter(needed).collect();
        ReplicaElectionResult { topic, partition_result }
    };
    ElectLeadersResponse {
        replica_election_results: asked.into_iter().map(topic).collect(),
        ..ElectLeadersResponse::default()
    }
}

/// ElectLeaders refused with `code`: as a whole, or partition by partition where the version has no
/// code for the whole.
pub(crate) fn refuse_elect(
    version: i16,
    request: &ElectLeadersRequest,
    error_code: ErrorCode,
) -> ElectLeadersResponse {
    if version >= ONE_CODE {
        return ElectLeadersResponse { error_code, ..ElectLeadersResponse::default() };
    }
    let partition =
        |index: &i32| PartitionResult { partition_id: *index, error_code, error_message: None };
    let topics = request.topic_partitions.iter().flatten().map(|one| ReplicaElectionResult {
        topic: one.topic.clone(),
        partition_result: one.partitions.iter().map(partition).collect(),
    });
    ElectLeadersResponse {
        replica_election_results: topics.collect(),
        ..ElectLeadersResponse::default()
    }
}

/// Answers AlterPartitionReassignments: the replicas are there at once.
pub(crate) fn reassign(
    topology: &mut Topology,
    request: &AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let resize = request.allow_replication_factor_change;
    let topic = |topic: &ReassignableTopic| ReassignableTopicResponse {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|one| {
                let refusal = reassign_one(topology, &topic.name, one, resize).err();
                ReassignablePartitionResponse {
                    partition_index: one.partition_index,
                    error_code: code_of(refusal.as_ref()),
                    error_message: refusal.map(|refusal| refusal.message),
                }
            })
            .collect(),
    };
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: resize,
        responses: request.topics.iter().map(topic).collect(),
        ..AlterPartitionReassignmentsResponse::default()
    }
}

/// AlterPartitionReassignments refused with `code`.
pub(crate) fn refuse_reassign(error_code: ErrorCode) -> AlterPartitionReassignmentsResponse {
    AlterPartitionReassignmentsResponse {
        error_code,
        ..AlterPartitionReassignmentsResponse::default()
    }
}

/// Answers ListPartitionReassignments: moves take no time here.
pub(crate) fn list_reassignments(error_code: ErrorCode) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse {
        error_code,
        ..ListPartitionReassignmentsResponse::default()
    }
}

/// Answers DescribeLogDirs of a node.
pub(crate) fn log_dirs(
    topology: &Topology,
    node: i32,
    request: &DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let wanted = |name: &str, index: i32| {
        request.topics.as_ref().is_none_or(|topics| {
            topics.iter().any(|one| one.topic == name && one.partitions.contains(&index))
        })
    };
    let topics = topology.topics().map(|topic| {
        let held = (0..).zip(&topic.partitions).filter(|(index, partition)| {
            partition.replicas.contains(&node) && wanted(&topic.name, *index)
        });
        DescribeLogDirsTopic {
            name: topic.name.clone(),
            partitions: held
                .map(|(partition_index, partition)| DescribeLogDirsPartition {
                    partition_index,
                    partition_size: i64::try_from(partition.log.bytes()).unwrap_or(i64::MAX),
                    offset_lag: 0,
                    is_future_key: false,
                })
                .collect(),
        }
    });
    let directory = DescribeLogDirsResult {
        log_dir: directory(node),
        topics: topics.filter(|topic| !topic.partitions.is_empty()).collect(),
        ..DescribeLogDirsResult::default()
    };
    DescribeLogDirsResponse { results: vec![directory], ..DescribeLogDirsResponse::default() }
}

/// DescribeLogDirs refused with `code`.
pub(crate) fn refuse_log_dirs(error_code: ErrorCode) -> DescribeLogDirsResponse {
    DescribeLogDirsResponse { error_code, ..DescribeLogDirsResponse::default() }
}

/// Answers AlterReplicaLogDirs of a node: replicas can only stay where they are.
pub(crate) fn move_log_dirs(
    topology: &Topology,
    node: i32,
    request: &AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    moves(request, |path, topic, index| {
        let partition = topology.partition(topic, index);
        if path != directory(node) {
            ErrorCode::LOG_DIR_NOT_FOUND
        } else if !partition.is_some_and(|one| one.replicas.contains(&node)) {
            ErrorCode::REPLICA_NOT_AVAILABLE
        } else {
            ErrorCode::NONE
        }
    })
}

/// Every replica of the request refused with `code`.
pub(crate) fn refuse_move(
    request: &AlterReplicaLogDirsRequest,
    code: ErrorCode,
) -> AlterReplicaLogDirsResponse {
    moves(request, |_, _, _| code)
}

fn moves(
    request: &AlterReplicaLogDirsRequest,
    outcome: impl Fn(&str, &str, i32) -> ErrorCode,
) -> AlterReplicaLogDirsResponse {
    let topics = |dir: &AlterReplicaLogDir| {
        let one =
            |topic: &klamm_protocol::messages::alter_replica_log_dirs::AlterReplicaLogDirTopic| {
                let partitions =
                    topic.partitions.iter().map(|index| AlterReplicaLogDirPartitionResult {
                        partition_index: *index,
                        error_code: outcome(&dir.path, &topic.name, *index),
                    });
                AlterReplicaLogDirTopicResult {
                    topic_name: topic.name.clone(),
                    partitions: partitions.collect(),
                }
            };
        dir.topics.iter().map(one).collect::<Vec<_>>()
    };
    AlterReplicaLogDirsResponse {
        results: request.dirs.iter().flat_map(topics).collect(),
        ..AlterReplicaLogDirsResponse::default()
    }
}

fn reassign_one(
    topology: &mut Topology,
    topic: &str,
    asked: &ReassignablePartition,
    resize: bool,
) -> Result<(), Refusal> {
    let index = asked.partition_index;
    let Some(partition) = topology.partition(topic, index) else {
        let message = "The topic or partition does not exist.";
        return Err(Refusal::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message));
    };
    let Some(replicas) = &asked.replicas else {
        let message = "No partition reassignment is in progress.";
        return Err(Refusal::new(ErrorCode::NO_REASSIGNMENT_IN_PROGRESS, message));
    };
    if !resize && replicas.len() != partition.replicas.len() {
        let message = "The replication factor is changed, which the request forbids.";
        return Err(Refusal::new(ErrorCode::INVALID_REPLICATION_FACTOR, message));
    }
    topology.reassign(topic, index, replicas.clone())
}

fn all_partitions(topology: &Topology) -> Vec<(String, Vec<i32>)> {
    let indexes = |count: usize| (0..i32::try_from(count).unwrap_or(i32::MAX)).collect();
    let topics = topology.topics();
    topics.map(|topic| (topic.name.clone(), indexes(topic.partitions.len()))).collect()
}

fn code_of(refusal: Option<&Refusal>) -> ErrorCode {
    refusal.map_or(ErrorCode::NONE, |refusal| refusal.code)
}

/// Nothing lies there: logs are in memory.
fn directory(node: i32) -> String {
    format!("/klamm-embedded/broker-{node}")
}

const UNCLEAN: i8 = 1;
/// From this version on an answer has a code for all of it (KIP-460).
const ONE_CODE: i16 = 1;
