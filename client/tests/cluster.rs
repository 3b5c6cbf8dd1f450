//! The client's core against an embedded cluster: metadata, leaders that move, brokers that vanish,
//! answers that get lost.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{client, client_with, cluster, config};
use klamm_client::admin::Topics;
use klamm_client::cluster::CoordinatorKind;
use klamm_client::{Client, ErrorKind};
use klamm_protocol::api::{ApiKey, Request as _};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::header::encode_response;
use klamm_protocol::messages::metadata::{MetadataRequest, MetadataResponse};
use klamm_protocol::session::metadata::LeaderHint;
use klamm_testkit::control::{Fault, Intercept};
use tokio::time::Instant;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[tokio::test]
async fn a_client_learns_brokers_and_topics() {
    let door = cluster(3).await;
    door.with(|cluster| cluster.create_topic("orders", 4, 1)).unwrap();
    let client = client(&door).await;
    assert_eq!(client.view().brokers.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    let topic = client.cluster().topic("orders", soon()).await.unwrap();
    assert_eq!(topic.partitions.len(), 4);
    assert_eq!(client.partitions("orders").await.unwrap(), [0, 1, 2, 3]);
    assert_eq!(client.topic_names().await.unwrap(), ["orders"]);
    let view = client.metadata(Topics::Named(vec!["orders".into()])).await.unwrap();
    assert!(view.leader("orders", 3).is_some());
}

#[tokio::test]
async fn one_server_that_answers_among_dead_ones_is_enough() {
    let door = cluster(1).await;
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = dead.local_addr().unwrap();
    drop(dead);
    let config = config(&format!("{address},{}", door.bootstrap()));
    assert!(Client::connect(config).await.is_ok());
}

#[tokio::test]
async fn a_cluster_that_is_just_starting_and_names_no_broker_yet_is_asked_again() {
    let door = cluster(1).await;
    let newest = MetadataRequest::VERSIONS.max;
    let frame =
        encode_response::<MetadataRequest>(&MetadataResponse::default(), newest, 0).unwrap();
    // Behind the length and the correlation id, which the broker fills in.
    let nobody = frame.into_bytes().slice(8..);
    let rule = Intercept::on(ApiKey::Metadata).times(3).with(Fault::Answer(nobody));
    let rule = door.with(|cluster| cluster.intercept(rule));
    let client = client(&door).await;
    assert_eq!(client.view().brokers.len(), 1);
    assert_eq!(door.with(|cluster| cluster.control().matched(rule)), 4, "the last was let through");
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_an_answer_and_is_not_created() {
    let door = cluster(1).await;
    let client = client(&door).await;
    let error = client.cluster().topic("nowhere", soon()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Usage, Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
    );
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert_eq!(client.partitions("nowhere").await.unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(door.with(|cluster| cluster.topics().count()), 0);
}

#[tokio::test]
async fn a_topic_that_is_gone_keeps_its_partitions_until_another_takes_its_name() {
    let door = cluster(1).await;
    door.with(|cluster| cluster.create_topic("t", 3, 1)).unwrap();
    let client = client(&door).await;
    let old = client.cluster().topic("t", soon()).await.unwrap();
    door.with(|cluster| cluster.delete_topic("t"));
    client.cluster().refresh(soon()).await.unwrap();
    let error = client.cluster().topic("t", soon()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(client.view().topics.get("t").unwrap().partitions, old.partitions);
    door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
    let new = client.cluster().topic("t", soon()).await.unwrap();
    assert!(new.id != old.id && new.partitions.len() == 1);
}

#[tokio::test]
async fn a_topic_to_write_may_be_created_by_asking() {
    let door = cluster(1).await;
    let client = client(&door).await;
    let topic = client.cluster().topic_to_write("fresh", soon()).await.unwrap();
    assert_eq!(topic.partitions.len(), 1);
}

#[tokio::test]
async fn a_topic_created_a_moment_later_is_found() {
    let door = cluster(1).await;
    let client = client(&door).await;
    let create = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        door.with(|cluster| cluster.create_topic("late", 1, 1)).unwrap();
    };
    let (topic, ()) = tokio::join!(client.cluster().topic("late", soon()), create);
    assert_eq!(topic.unwrap().partitions.len(), 1);
}

#[tokio::test]
async fn many_who_wait_share_few_requests() {
    let door = cluster(1).await;
    door.with(|cluster| cluster.create_topic("t", 1, 1)).unwrap();
    let client = client(&door).await;
    let seen = door.with(|cluster| cluster.intercept(Intercept::on(ApiKey::Metadata)));
    let waits: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.cluster().topic("t", soon()).await.map(drop) })
        })
        .collect();
    for wait in waits {
        wait.await.unwrap().unwrap();
    }
    let requests = door.with(|cluster| cluster.control().matched(seen));
    assert!(requests <= 3, "{requests} requests for one topic");
}

#[tokio::test]
async fn a_change_of_leaders_reaches_those_who_watch() {
    let door = cluster(2).await;
    door.with(|cluster| cluster.create_topic("t", 1, 2)).unwrap();
    let client = client(&door).await;
    let before = client.cluster().topic("t", soon()).await.unwrap().partitions[0].clone();
    let mut watch = client.cluster().watch();
    let other = 3 - before.leader.unwrap();
    assert!(door.with(|cluster| cluster.move_leader("t", 0, other)));
    client.cluster().mark_stale();
    let moved =
        watch.wait_for(|view| view.leader("t", 0).is_some_and(|leader| leader.broker == other));
    let moved = tokio::time::timeout(Duration::from_secs(20), moved)
        .await
        .expect("in time")
        .unwrap()
        .clone();
    assert!(moved.leader("t", 0).unwrap().epoch > before.leader_epoch.unwrap());
}

#[tokio::test]
async fn a_leader_learnt_by_the_way_is_in_the_view_at_once() {
    let door = cluster(2).await;
    door.with(|cluster| cluster.create_topic("t", 1, 2)).unwrap();
    let client = client(&door).await;
    client.cluster().topic("t", soon()).await.unwrap();
    let hint = LeaderHint {
        topic: Arc::from("t"),
        partition: 0,
        leader: 2,
        leader_epoch: 99,
        endpoint: None,
    };
    assert!(client.cluster().learn_leader(hint.clone()));
    assert_eq!(client.view().leader("t", 0).unwrap().broker, 2);
    assert!(!client.cluster().learn_leader(LeaderHint { leader: 1, leader_epoch: 98, ..hint }));
    client.cluster().refresh(soon()).await.unwrap();
    assert_eq!(client.view().leader("t", 0).unwrap().epoch, 99);
}

#[tokio::test]
async fn a_connection_that_is_cut_is_opened_again() {
    let door = cluster(1).await;
    let client = client(&door).await;
    client.topic_names().await.unwrap();
    door.with(|cluster| cluster.intercept(Intercept::any().times(1).with(Fault::Cut)));
    client.topic_names().await.unwrap();
    door.with(|cluster| {
        cluster.intercept(Intercept::on(ApiKey::Metadata).times(1).with(Fault::CutAfter(9)))
    });
    client.topic_names().await.unwrap();
}

#[tokio::test]
async fn a_swallowed_request_costs_one_timeout_and_no_more() {
    let door = cluster(1).await;
    let config = config(&door.bootstrap()).with_request_timeout(Duration::from_millis(200));
    let client =
        Client::connect(config.with_delivery_timeout(Duration::from_secs(5))).await.unwrap();
    door.with(|cluster| {
        cluster.intercept(Intercept::on(ApiKey::Metadata).times(1).with(Fault::Swallow))
    });
    client.topic_names().await.unwrap();
}

#[tokio::test]
async fn a_broker_that_is_gone_is_an_error_at_the_deadline_and_the_others_serve() {
    let door = cluster(2).await;
    let client = client(&door).await;
    door.with(|cluster| cluster.kill(2));
    client.topic_names().await.unwrap();
    let gone = async {
        loop {
            let deadline = Instant::now() + Duration::from_secs(2);
            if let Err(error) = client.cluster().broker(2, deadline).await {
                return error;
            }
            client.cluster().refresh(soon()).await.unwrap();
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(20), gone).await.expect("in time");
    assert!(error.is_retriable(), "{error:?}");
    door.with(|cluster| cluster.revive(2));
    client.cluster().refresh(soon()).await.unwrap();
    let handle = client.cluster().broker(2, soon()).await;
    assert!(handle.is_ok(), "{handle:?}");
}

#[tokio::test]
async fn a_broker_that_sends_the_client_back_to_the_start_is_obeyed() {
    let door = cluster(2).await;
    let client = client(&door).await;
    client.topic_names().await.unwrap();
    let again = Intercept::on(ApiKey::Metadata).times(2).fail(ErrorCode::REBOOTSTRAP_REQUIRED);
    let rule = door.with(|cluster| cluster.intercept(again));
    client.cluster().refresh(soon()).await.unwrap();
    let connections: Vec<u64> = door.with(|cluster| {
        cluster.control().observed(rule).map(|request| request.connection).collect()
    });
    let [first, second, third] = connections[..] else { panic!("{connections:?}") };
    assert!(first != second && second != third, "asked anew over {connections:?}");
}

#[tokio::test]
async fn those_who_wait_for_a_dead_broker_fail_together() {
    let door = cluster(2).await;
    let config = config(&door.bootstrap()).with_reconnect_backoff(Duration::from_secs(1));
    let client = Client::connect(config).await.unwrap();
    door.with(|cluster| cluster.kill(2));
    let deadline = Instant::now() + Duration::from_secs(15);
    let waits: Vec<_> = (0..200)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.cluster().broker(2, deadline).await.map(drop) })
        })
        .collect();
    for wait in waits {
        let error = wait.await.unwrap().unwrap_err();
        assert_ne!(error.kind(), ErrorKind::TimedOut, "{error}");
    }
}

#[tokio::test]
async fn a_hung_broker_costs_its_own_connection_and_nothing_else() {
    let door = cluster(2).await;
    let config = config(&door.bootstrap())
        .with_request_timeout(Duration::from_millis(300))
        .with_delivery_timeout(Duration::from_secs(5));
    let client = Client::connect(config).await.unwrap();
    let hung = client.cluster().broker(2, soon()).await.unwrap();
    let well = client.cluster().broker(1, soon()).await.unwrap();
    door.with(|cluster| cluster.intercept(Intercept::any().at(2).with(Fault::Swallow)));
    let request = MetadataRequest::default();
    let (lost, served) =
        tokio::join!(hung.request(&request, soon()), well.request(&request, soon()));
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert!(served.is_ok() && well.is_open() && !hung.is_open());
}

#[tokio::test]
async fn dedicated_connections_are_the_callers_own() {
    let door = cluster(1).await;
    let client = client(&door).await;
    let shared = client.cluster().broker(1, soon()).await.unwrap();
    let one = client.cluster().dedicated(1, soon()).await.unwrap();
    let other = client.cluster().dedicated(1, soon()).await.unwrap();
    assert_eq!(door.connections(), 3);
    door.with(|cluster| cluster.intercept(Intercept::any().times(1).with(Fault::Cut)));
    one.request(&MetadataRequest::default(), soon()).await.unwrap_err();
    assert!(!one.is_open() && other.is_open() && shared.is_open());
}

#[tokio::test]
async fn the_last_clone_takes_everything_with_it() {
    let door = cluster(2).await;
    let client = client(&door).await;
    client.cluster().broker(1, soon()).await.unwrap();
    let other = client.clone();
    drop(client);
    assert!(other.topic_names().await.is_ok());
    drop(other);
    let gone = async {
        while door.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("connections end");
}

#[tokio::test]
async fn a_coordinator_being_elected_is_retriable() {
    let door = cluster(1).await;
    let client = client(&door).await;
    let busy =
        Intercept::on(ApiKey::FindCoordinator).times(1).fail(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    door.with(|cluster| cluster.intercept(busy));
    let find = || client.cluster().coordinator(CoordinatorKind::Group, "g", soon());
    assert!(find().await.unwrap_err().is_retriable());
    assert!(find().await.is_ok());
}

#[tokio::test]
async fn old_brokers_are_spoken_to_in_their_versions() {
    let door = client_with::old_cluster().await;
    door.with(|cluster| cluster.create_topic("t", 2, 1)).unwrap();
    let client = client(&door).await;
    let topic = client.cluster().topic("t", soon()).await.unwrap();
    assert!(topic.id.is_zero() && topic.partitions.len() == 2);
    assert!(client.cluster().coordinator(CoordinatorKind::Group, "g", soon()).await.is_ok());
}

#[tokio::test]
async fn a_client_dropped_while_connecting_leaves_nothing() {
    let door = cluster(1).await;
    for polls in 0..12 {
        let mut connecting = Box::pin(Client::connect(config(&door.bootstrap())));
        for _ in 0..polls {
            tokio::select! {
                biased;
                _ = &mut connecting => break,
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
    }
    let gone = async {
        while door.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("connections end");
}
