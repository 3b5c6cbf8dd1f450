//! Redpanda through the launcher, on machines where Docker answers; skipped with the reason elsewhere.

use klamm_testkit::apache;
use klamm_testkit::java::Tools;
use klamm_testkit::outside::{Cluster, in_test};
use klamm_testkit::redpanda;

#[test]
fn redpanda_keeps_what_java_writes() {
    let Some(redpanda) = redpanda::for_test() else { return };
    let Some(tools) = in_test(Tools::for_version(apache::NEWEST)) else { return };
    let bootstrap = redpanda.bootstrap();
    let to = ["--bootstrap-server", &bootstrap, "--topic", "kept"];
    tools.succeed("TopicCommand", &[&to[..], &["--create"]].concat(), b"").unwrap();
    tools.succeed("ConsoleProducer", &to, b"one\ntwo\n").unwrap();
    let from = [&to[..], &["--from-beginning", "--max-messages", "2"]].concat();
    assert_eq!(tools.succeed("ConsoleConsumer", &from, b"").unwrap(), b"one\ntwo\n");
}
