//! Producers and transactions: told while they are open, and a hanging one aborted.

use klamm_client::Client;
use klamm_client::admin::{HangingTransaction, OffsetSpec, TransactionFilter};
use klamm_client::cluster::CoordinatorKind;
use klamm_client::config::Isolation;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use klamm_protocol::messages::end_txn::EndTxnRequest;
use klamm_protocol::messages::init_producer_id::InitProducerIdRequest;
use klamm_protocol::records::ProducerStamp;

use super::{at, refused, settled, soon, topic, write};

pub async fn transactions_are_told_and_a_hanging_one_is_aborted(client: &Client) {
    topic(client, "hanging", 1, 1).await;
    let partition = at("hanging", 0);
    let init = InitProducerIdRequest {
        transactional_id: Some("txn".to_owned()),
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    let (handle, begun) = settled(async || {
        let handle =
            client.cluster().coordinator(CoordinatorKind::Transaction, "txn", soon()).await.ok()?;
        let begun = handle.request(&init, soon()).await.unwrap();
        begun.error_code.is_ok().then_some((handle, begun))
    })
    .await;
    let added = AddPartitionsToTxnTopic { name: "hanging".to_owned(), partitions: vec![0] };
    let add = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: "txn".to_owned(),
        v3_and_below_producer_id: begun.producer_id,
        v3_and_below_producer_epoch: begun.producer_epoch,
        v3_and_below_topics: vec![added],
        ..AddPartitionsToTxnRequest::default()
    };
    settled(async || {
        let answer = handle.request_in(&add, 3, soon()).await.unwrap();
        let told = &answer.results_by_topic_v3_and_below[0].results_by_partition[0];
        told.partition_error_code.is_ok().then_some(())
    })
    .await;
    let stamp = ProducerStamp {
        producer_id: begun.producer_id,
        epoch: begun.producer_epoch,
        base_sequence: 0,
        transactional: true,
    };
    write(client, &partition, 2, Some(stamp)).await;

    let described = client.describe_transactions(&["txn", "nobody"]).await;
    let open = described[0].as_ref().unwrap();
    assert_eq!((open.state.as_str(), open.producer_id), ("Ongoing", begun.producer_id));
    assert_eq!((&open.partitions[..], open.timeout.as_secs()), (&[partition.clone()][..], 60));
    let nobody = refused(&described[1]);
    assert_eq!(nobody.code(), Some(ErrorCode::TRANSACTIONAL_ID_NOT_FOUND), "{nobody}");
    assert_eq!(nobody.context("transactional id"), Some("nobody"));
    let list = async |filter: TransactionFilter| {
        client.list_transactions(&filter).await.unwrap().complete().unwrap().len()
    };
    assert_eq!(list(TransactionFilter::default().with_state("Ongoing")).await, 1);
    assert_eq!(list(TransactionFilter::default().with_producer(begun.producer_id)).await, 1);
    assert_eq!(list(TransactionFilter::default().with_state("Empty")).await, 0);
    let wrong = TransactionFilter::default().with_state("Sleeping");
    let wrong = client.list_transactions(&wrong).await.unwrap();
    assert!(wrong.failed[0].1.to_string().contains("(state Sleeping"), "{wrong:?}");

    let producers = client.describe_producers(&[partition.clone(), at("hanging", 7)]).await;
    let writer = producers[0].as_ref().unwrap()[0];
    assert_eq!((writer.producer_id, writer.transaction_start), (begun.producer_id, Some(0)));
    assert_eq!(writer.last_sequence, Some(1));
    assert!(writer.last_timestamp.is_some(), "{writer:?}");
    assert_eq!(refused(&producers[1]).context("partition"), Some("7"));
    let stable = async || {
        let wanted = [(partition.clone(), OffsetSpec::Latest)];
        client.list_offsets(&wanted, Isolation::ReadCommitted).await[0].1.as_ref().unwrap().offset
    };
    assert_eq!(stable().await, Some(0));
    let hanging = HangingTransaction {
        partition: partition.clone(),
        producer_id: begun.producer_id,
        epoch: begun.producer_epoch,
        coordinator_epoch: writer.coordinator_epoch.unwrap_or(0),
    };
    client.abort_transaction(&hanging).await.unwrap();
    settled(async || (stable().await == Some(3)).then_some(())).await;
    let producers = client.describe_producers(&[partition]).await.remove(0).unwrap();
    assert_eq!(producers[0].transaction_start, None);
    let end = EndTxnRequest {
        transactional_id: "txn".to_owned(),
        producer_id: begun.producer_id,
        producer_epoch: begun.producer_epoch,
        committed: false,
    };
    let version = handle.version_up_to::<EndTxnRequest>(4).unwrap();
    let ended = handle.request_in(&end, version, soon()).await.unwrap();
    assert!(ended.error_code.is_ok(), "{ended:?}");
}
