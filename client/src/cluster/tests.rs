//! The cluster over streams in memory with the clock paused: when it dials, whom, and for how long.
//! What takes five minutes takes none.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker,
};
use tokio::io::{DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use super::Cluster;
use crate::config::{Config, MetadataRecovery};
use crate::error::ErrorKind;
use crate::net::dial::{BoxStream, Dial, Dialling};
use crate::net::peer::Peer;

const MS: Duration = Duration::from_millis(1);

/// What stands behind a port.
#[derive(Clone)]
enum Behind {
    /// Nobody.
    Nobody,
    /// A host that swallows every packet.
    Swallower,
    /// A broker that greets and hangs up.
    Fickle,
    /// A broker that answers each question about metadata with this.
    Broker(MetadataResponse),
}

/// A network of ports on one host, and when each was dialled.
#[derive(Default)]
struct Stage {
    ports: Mutex<HashMap<u16, Behind>>,
    dialled: Mutex<Vec<(u16, Instant)>>,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stage")
    }
}

impl Stage {
    fn set(&self, port: u16, behind: Behind) {
        self.ports.lock().unwrap().insert(port, behind);
    }

    /// When this port was dialled.
    fn dialled(&self, port: u16) -> Vec<Instant> {
        let all = self.dialled.lock().unwrap();
        all.iter().filter(|(one, _)| *one == port).map(|(_, at)| *at).collect()
    }

    fn behind(&self, port: u16) -> Behind {
        self.ports.lock().unwrap().get(&port).cloned().unwrap_or(Behind::Nobody)
    }
}

/// The network as a client sees it.
#[derive(Debug)]
struct Network(Arc<Stage>);

impl Dial for Network {
    fn dial<'a>(&'a self, _: &'a str, port: u16) -> Dialling<'a> {
        Box::pin(async move {
            self.0.dialled.lock().unwrap().push((port, Instant::now()));
            match self.0.behind(port) {
                Behind::Nobody => Err(io::ErrorKind::ConnectionRefused.into()),
                Behind::Swallower => std::future::pending().await,
                Behind::Fickle | Behind::Broker(_) => {
                    let (near, far) = duplex(4096);
                    tokio::spawn(serve(Arc::clone(&self.0), port, far));
                    Ok(Box::new(near) as BoxStream)
                }
            }
        })
    }
}

/// A broker as it is behind this port now.
async fn serve(stage: Arc<Stage>, port: u16, stream: DuplexStream) {
    let mut peer = Peer(stream);
    peer.shake_hands().await;
    while let Behind::Broker(_) = stage.behind(port) {
        let Some(header) = peer.hear().await else { return };
        assert_eq!(header.api_key, ApiKey::Metadata);
        let Behind::Broker(answer) = stage.behind(port) else { return };
        peer.answer::<MetadataRequest>(&header, &answer).await;
    }
}

/// A cluster of this id, and where its brokers listen.
fn answer(id: &str, brokers: &[(i32, u16)]) -> MetadataResponse {
    let broker = |(node_id, port): &(i32, u16)| MetadataResponseBroker {
        node_id: *node_id,
        host: "h".to_owned(),
        port: i32::from(*port),
        rack: None,
    };
    let brokers = brokers.iter().map(broker).collect();
    MetadataResponse { brokers, cluster_id: Some(id.to_owned()), ..Default::default() }
}

fn of_cluster(id: &str, brokers: &[(i32, u16)]) -> Behind {
    Behind::Broker(answer(id, brokers))
}

/// A broker that answers, and refuses.
fn refusing(code: ErrorCode) -> Behind {
    Behind::Broker(MetadataResponse { error_code: code, ..answer("a", &[(1, 1)]) })
}

fn config() -> Config {
    let config = Config::new("h:9").expect("an address");
    config
        .with_reconnect_backoff(100 * MS)
        .with_reconnect_backoff_max(1000 * MS)
        .with_connect_timeout(1000 * MS)
        .with_connect_timeout_max(4000 * MS)
}

async fn connect(stage: &Arc<Stage>, config: Config) -> Cluster {
    let dial = Arc::new(Network(Arc::clone(stage)));
    Cluster::connect(Arc::new(config), dial, None).await.expect("a broker answers")
}

/// A cluster of one broker at port 1, met at the bootstrap server at port 9.
async fn staged(config: Config) -> (Arc<Stage>, Cluster) {
    let stage = Arc::<Stage>::default();
    for port in [1, 9] {
        stage.set(port, of_cluster("a", &[(1, 1)]));
    }
    let cluster = connect(&stage, config).await;
    (stage, cluster)
}

fn within(time: Duration) -> Instant {
    Instant::now() + time
}

fn port_of(cluster: &Cluster, node: i32) -> Option<u16> {
    cluster.view().brokers.get(&node).map(|broker| broker.port)
}

/// Whether a time is `middle` moved by up to a fifth.
fn about(time: Duration, middle: Duration) -> bool {
    time >= middle.mul_f64(0.79) && time <= middle.mul_f64(1.21)
}

#[tokio::test(start_paused = true)]
async fn time_for_an_attempt_and_pauses_between_attempts_double_up_to_their_limits() {
    let (stage, cluster) = staged(config()).await;
    stage.set(1, Behind::Swallower);
    let mut pauses = Vec::new();
    let mut times = Vec::new();
    for _ in 0..6 {
        let asked = Instant::now();
        let error = cluster.broker(1, within(60_000 * MS)).await.expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        let begun = *stage.dialled(1).last().expect("dialled");
        pauses.push(begun - asked);
        times.push(Instant::now() - begun);
    }
    assert_eq!(pauses[0], Duration::ZERO);
    for (pause, middle) in pauses[1..].iter().zip([100, 200, 400, 800]) {
        assert!(about(*pause, middle * MS), "{pauses:?}");
    }
    for (time, middle) in times.iter().zip([1000, 2000, 4000, 4000]) {
        assert!(about(*time, middle * MS) && *time <= 4001 * MS, "{times:?}");
    }
    assert!(pauses[5] <= 1001 * MS && times[5] <= 4001 * MS, "{pauses:?} {times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_success_forgets_the_failures_before_it() {
    let (stage, cluster) = staged(config()).await;
    stage.set(1, Behind::Nobody);
    for _ in 0..4 {
        cluster.broker(1, within(60_000 * MS)).await.expect_err("refused");
    }
    stage.set(1, of_cluster("a", &[(1, 1)]));
    drop(cluster.broker(1, within(60_000 * MS)).await.expect("it is back"));
    stage.set(1, Behind::Nobody);
    let asked = Instant::now();
    cluster.dedicated(1, within(60_000 * MS)).await.expect_err("refused");
    assert_eq!(Instant::now(), asked, "no pause is left over");
    cluster.dedicated(1, within(60_000 * MS)).await.expect_err("refused");
    assert!(about(Instant::now() - asked, 100 * MS), "the first pause again");
}

#[tokio::test(start_paused = true)]
async fn a_caller_in_a_hurry_is_no_proof_against_a_broker() {
    let (stage, cluster) = staged(config()).await;
    stage.set(1, Behind::Swallower);
    cluster.broker(1, within(50 * MS)).await.expect_err("no time");
    let asked = Instant::now();
    cluster.broker(1, within(50 * MS)).await.expect_err("no time");
    assert_eq!(stage.dialled(1).last(), Some(&asked), "no pause");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_greets_and_hangs_up_is_not_called_as_fast_as_it_answers() {
    let (stage, cluster) = staged(config()).await;
    stage.set(1, Behind::Fickle);
    for _ in 0..5 {
        let handle = cluster.broker(1, within(60_000 * MS)).await.expect("it greets");
        handle.closed().await;
    }
    let times = stage.dialled(1);
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(gaps.into_iter().all(|gap| gap >= 100 * MS), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_vanished_from_the_view_is_refused_without_a_spin() {
    let (_stage, cluster) = staged(config()).await;
    let asked = Instant::now();
    let error = cluster.dedicated(7, within(60_000 * MS)).await.expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(Instant::now() > asked);
}

#[tokio::test(start_paused = true)]
async fn brokers_that_fail_for_five_minutes_are_forgotten_and_the_first_address_asked_anew() {
    let (stage, cluster) = staged(config()).await;
    stage.set(1, refusing(ErrorCode::UNKNOWN_SERVER_ERROR));
    stage.set(9, of_cluster("a", &[(1, 2)]));
    stage.set(2, of_cluster("a", &[(1, 2)]));
    // An open connection is preferred to a bootstrap server, so nothing else helps.
    drop(cluster.broker(1, within(1000 * MS)).await.expect("it is there"));
    cluster.refresh(within(299_000 * MS)).await.expect_err("it refuses");
    assert_eq!(port_of(&cluster, 1), Some(1));
    cluster.refresh(within(10_000 * MS)).await.expect("the bootstrap server answers");
    assert_eq!(port_of(&cluster, 1), Some(2));
    assert_eq!(cluster.counters().rebootstraps, 1);
}

#[tokio::test(start_paused = true)]
async fn who_never_starts_over_keeps_to_the_brokers_it_knows() {
    let (stage, cluster) = staged(config().with_metadata_recovery(MetadataRecovery::None)).await;
    stage.set(1, Behind::Nobody);
    stage.set(9, of_cluster("a", &[(1, 2)]));
    cluster.refresh(within(3_600_000 * MS)).await.expect_err("nobody is there");
    assert_eq!(port_of(&cluster, 1), Some(1));
    assert_eq!(stage.dialled(9).len(), 1, "once, at the beginning");
    stage.set(1, of_cluster("a", &[(1, 1)]));
    cluster.refresh(within(10_000 * MS)).await.expect("it is back");
    assert_eq!(cluster.counters().rebootstraps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_demands_a_new_start_loses_its_connections() {
    let (stage, cluster) = staged(config()).await;
    let held = cluster.broker(1, within(1000 * MS)).await.expect("it is there");
    stage.set(1, refusing(ErrorCode::REBOOTSTRAP_REQUIRED));
    stage.set(9, of_cluster("a", &[(1, 2)]));
    stage.set(2, of_cluster("a", &[(1, 2)]));
    cluster.refresh(within(10_000 * MS)).await.expect("the bootstrap server answers");
    assert_eq!(port_of(&cluster, 1), Some(2));
    let ended = tokio::time::timeout(1000 * MS, held.closed()).await;
    ended.expect("long before it would be idle");
    let next = cluster.broker(1, within(1000 * MS)).await.expect("the new one is there");
    assert!(next.peer().contains("h:2"), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_went_to_another_cluster_is_not_believed_while_the_own_one_is_found() {
    let (stage, cluster) = staged(config()).await;
    stage.set(1, of_cluster("b", &[(1, 1)]));
    stage.set(9, of_cluster("a", &[(1, 2)]));
    stage.set(2, of_cluster("a", &[(1, 2)]));
    drop(cluster.broker(1, within(1000 * MS)).await.expect("somebody is there"));
    cluster.refresh(within(10_000 * MS)).await.expect("the bootstrap server answers");
    assert_eq!(port_of(&cluster, 1), Some(2));
    let counted = cluster.counters();
    assert_eq!((counted.rebootstraps, counted.cluster_changes), (1, 0));
    assert_eq!(cluster.view().cluster_id.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn attempts_that_fail_are_counted_where_they_went() {
    let stage = Arc::<Stage>::default();
    stage.set(1, of_cluster("a", &[(1, 1)]));
    stage.set(9, of_cluster("a", &[(1, 1)]));
    let config = Config::new("h:8,h:9").expect("two addresses");
    let cluster = connect(&stage, config).await;
    stage.set(1, Behind::Nobody);
    cluster.broker(1, within(1000 * MS)).await.expect_err("refused");
    let counted = cluster.counters().brokers;
    let failed = |address: &str| {
        counted.iter().filter(|one| one.address == address).map(|one| (one.id, one.failed)).next()
    };
    assert_eq!(failed("h:1"), Some((Some(1), 1)));
    assert_eq!(failed("h:9"), Some((None, 0)));
    assert!(failed("h:8").is_none_or(|seen| seen == (None, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_closed_cluster_says_so_to_all_who_wait_and_all_who_come() {
    let (stage, cluster) = staged(config()).await;
    stage.set(1, Behind::Swallower);
    stage.set(9, Behind::Swallower);
    let close = async {
        sleep(100 * MS).await;
        cluster.close(within(1000 * MS)).await;
        Instant::now()
    };
    let (waited, closed) = tokio::join!(cluster.refresh(within(60_000 * MS)), close);
    assert_eq!(waited.expect_err("closed").kind(), ErrorKind::Usage);
    assert!(Instant::now() == closed, "nobody waits in vain");
    let deadline = within(60_000 * MS);
    let kinds = [
        cluster.any(deadline).await.err().map(|error| error.kind()),
        cluster.broker(1, deadline).await.err().map(|error| error.kind()),
        cluster.dedicated(1, deadline).await.err().map(|error| error.kind()),
        cluster.topic("t", deadline).await.err().map(|error| error.kind()),
        cluster.refresh(deadline).await.err().map(|error| error.kind()),
    ];
    assert_eq!(kinds, [Some(ErrorKind::Usage); 5]);
}
