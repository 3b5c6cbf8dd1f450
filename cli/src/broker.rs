//! `klamm broker`: the embedded broker as a process. Addresses and topics in, `listening on ADDR` out; it serves until
//! it is told to stop, and keeps nothing.

use std::net::{SocketAddr, ToSocketAddrs as _};

use klamm_testkit::broker::ClusterConfig;
use klamm_testkit::door::{DoorConfig, EmbeddedCluster};
use klamm_testkit::log::LogRules;

use crate::args::BrokerArgs;
use crate::failure::Failure;
use crate::output::print_line;
use crate::signals::Stop;

pub(crate) async fn run(args: BrokerArgs) -> Result<(), Failure> {
    let listen = resolve(&args.listen)?;
    let log = LogRules { max_bytes: Some(args.retention_bytes), ..LogRules::default() };
    let cluster =
        ClusterConfig { brokers: args.brokers, auto_create: true, log, ..ClusterConfig::default() };
    let door = DoorConfig { listen: vec![listen], ..DoorConfig::from(cluster) };
    let mut stop = Stop::listen()?;
    let embedded = EmbeddedCluster::start(door).await.map_err(|error| {
        Failure::failed(format!(
            "can't listen on {listen}: {error}; give another --listen, or port 0 for a free one"
        ))
        .because(error)
    })?;
    for (name, partitions) in &args.topics {
        create(&embedded, name, *partitions)?;
    }
    for address in embedded.addresses() {
        print_line(&format!("listening on {address}"))?;
    }
    stop.asked().await;
    embedded.stop().await;
    Ok(())
}

fn create(embedded: &EmbeddedCluster, name: &str, partitions: i32) -> Result<(), Failure> {
    let made = embedded.with(|cluster| cluster.create_topic(name, partitions, 1));
    made.map_err(|refusal| {
        Failure::usage(format!("topic {name} can't be created: {}", refusal.code.meaning()))
    })
}

fn resolve(listen: &str) -> Result<SocketAddr, Failure> {
    let mut found = listen
        .to_socket_addrs()
        .map_err(|error| Failure::usage(format!("--listen {listen}: {error}; give HOST:PORT")))?;
    found.next().ok_or_else(|| Failure::usage(format!("--listen {listen} has no address")))
}
