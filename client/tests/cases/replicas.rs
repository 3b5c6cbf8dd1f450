//! Topics, replicas and where they are: assignments, rights, log directories, moves.

use klamm_client::admin::{
    AclOperation, Election, ElectionKind, NewPartitions, NewTopic, Reassignment, ReplicaMove,
};
use klamm_client::{Client, ErrorKind};
use klamm_protocol::code::ErrorCode;

use super::{at, refused, settled, topic, write};

pub async fn topics_are_placed_as_told_and_described_with_rights(client: &Client) {
    let placed = NewTopic::new("placed").with_assignment(vec![vec![1], vec![1]]);
    client.create_topics(&[placed]).await.remove(0).unwrap();
    let grown = client
        .create_partitions(&[
            NewPartitions::new("placed", 3).with_assignment(vec![vec![1]]),
            NewPartitions::new("nowhere", 3),
            NewPartitions::new("placed", 9).with_assignment(vec![vec![99]]),
        ])
        .await;
    assert!(grown[0].is_ok(), "{grown:?}");
    assert_eq!(refused(&grown[1]).context("topic"), Some("nowhere"));
    assert_eq!(refused(&grown[2]).code(), Some(ErrorCode::INVALID_REPLICA_ASSIGNMENT), "{grown:?}");
    let described = settled(async || {
        let mut described = client.describe_topics(&["placed"]).await;
        described.remove(0).ok().filter(|one| one.topic.partitions.len() == 3)
    })
    .await;
    assert!(described.topic.partitions.iter().all(|one| one.replicas == [1]), "{described:?}");
    let may = described.authorized.unwrap();
    for operation in [AclOperation::Read, AclOperation::Write, AclOperation::AlterConfigs] {
        assert!(may.contains(&operation), "{may:?}");
    }
    let nowhere = client.describe_topics(&["nowhere"]).await;
    assert_eq!(refused(&nowhere[0]).kind(), ErrorKind::Usage);
    assert_eq!(refused(&nowhere[0]).context("topic"), Some("nowhere"));
}

pub async fn log_directories_tell_the_sizes_of_replicas(client: &Client) {
    topic(client, "sized", 1, 1).await;
    write(client, &at("sized", 0), 100, None).await;
    let leader = client.view().leader("sized", 0).unwrap().broker;
    let asked = [at("sized", 0)];
    let found = client.describe_log_dirs(&[leader, 99], Some(&asked)).await;
    let directories = found[0].as_ref().unwrap();
    assert!(directories[0].error.is_none(), "{directories:?}");
    let replica = &directories[0].replicas[0];
    assert_eq!((&replica.partition, replica.future), (&asked[0], false));
    assert!(replica.bytes > 100, "{replica:?}");
    let unreachable = refused(&found[1]);
    assert_eq!(unreachable.kind(), ErrorKind::Unreachable, "{unreachable}");
    assert_eq!(unreachable.context("broker"), Some("id 99"));
    let all = client.describe_log_dirs(&[leader], None).await.remove(0).unwrap();
    assert!(all[0].replicas.len() > 1 || all[0].replicas[0].partition == asked[0], "{all:?}");

    let to = |path: &str| ReplicaMove {
        broker: leader,
        partition: asked[0].clone(),
        path: path.to_owned(),
    };
    let moved = client.alter_replica_log_dirs(&[to(&all[0].path), to("/no/such/place")]).await;
    assert!(moved[0].is_ok(), "{moved:?}");
    let error = refused(&moved[1]);
    assert_eq!(error.code(), Some(ErrorCode::LOG_DIR_NOT_FOUND), "{error}");
    assert_eq!(error.context("directory"), Some("/no/such/place"));
}

pub async fn elections_and_moves_that_are_not_needed_say_so(client: &Client) {
    topic(client, "steady", 1, 1).await;
    let asked = [at("steady", 0), at("nowhere", 0)];
    let elected = client.elect_leaders(ElectionKind::Preferred, &asked).await;
    assert_eq!(elected[0].as_ref().ok(), Some(&Election::NotNeeded), "{elected:?}");
    let nowhere = refused(&elected[1]);
    assert_eq!((nowhere.kind(), nowhere.context("topic")), (ErrorKind::Usage, Some("nowhere")));
    assert!(client.elect_all_leaders(ElectionKind::Preferred).await.unwrap().is_empty());
    let moved = client
        .alter_reassignments(&[
            Reassignment::cancel(at("steady", 0)),
            Reassignment::to(at("steady", 0), vec![99]),
            Reassignment::to(at("nowhere", 0), vec![1]),
        ])
        .await;
    assert_eq!(
        refused(&moved[0]).code(),
        Some(ErrorCode::NO_REASSIGNMENT_IN_PROGRESS),
        "{moved:?}"
    );
    assert_eq!(refused(&moved[1]).code(), Some(ErrorCode::INVALID_REPLICA_ASSIGNMENT), "{moved:?}");
    assert_eq!(refused(&moved[2]).kind(), ErrorKind::Usage, "{moved:?}");
    let under_way = client.list_reassignments(None).await.unwrap();
    assert!(under_way.is_empty(), "{under_way:?}");
}

/// Needs three brokers.
pub async fn replicas_move_and_the_preferred_one_leads_again(
    client: &Client,
    stop: impl Fn(i32),
    start: impl Fn(i32),
) {
    let wandering = NewTopic::new("wandering").with_assignment(vec![vec![1, 2]]);
    client.create_topics(&[wandering]).await.remove(0).unwrap();
    let partition = at("wandering", 0);
    let state = async || {
        let described = client.describe_topics(&["wandering"]).await.remove(0).ok()?;
        let one = described.topic.partitions[0].clone();
        Some((one.leader, one.replicas.clone(), one.in_sync.len()))
    };
    settled(async || state().await.filter(|(leader, ..)| *leader == Some(1))).await;
    write(client, &partition, 3, None).await;
    client
        .alter_reassignments(&[Reassignment::to(partition.clone(), vec![2, 3])])
        .await
        .remove(0)
        .unwrap();
    let there = Some((Some(2), vec![2, 3], 2));
    settled(async || (state().await == there).then_some(())).await;
    let under_way =
        client.list_reassignments(Some(std::slice::from_ref(&partition))).await.unwrap();
    assert!(under_way.is_empty(), "{under_way:?}");

    stop(2);
    settled(async || state().await.filter(|(leader, ..)| *leader == Some(3))).await;
    let elected =
        client.elect_leaders(ElectionKind::Preferred, std::slice::from_ref(&partition)).await;
    let error = refused(&elected[0]);
    assert_eq!(error.code(), Some(ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE), "{error}");
    assert_eq!(error.context("topic"), Some("wandering"));
    start(2);
    settled(async || state().await.filter(|(_, _, in_sync)| *in_sync == 2)).await;
    let elected =
        client.elect_leaders(ElectionKind::Preferred, std::slice::from_ref(&partition)).await;
    assert_eq!(elected[0].as_ref().ok(), Some(&Election::Elected), "{elected:?}");
    settled(async || state().await.filter(|(leader, ..)| *leader == Some(2))).await;
    let unclean = client.elect_leaders(ElectionKind::Unclean, &[partition]).await;
    assert_eq!(unclean[0].as_ref().ok(), Some(&Election::NotNeeded), "{unclean:?}");
}
