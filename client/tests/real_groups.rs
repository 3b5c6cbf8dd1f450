//! Consumer groups of real Apache Kafka, by both protocols: members of ours among themselves, and
//! in one group with Java's. Between them every record is read, and nothing is stored that was not.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use common::reading::{Reading, drive, until_it_has, write_to};
use klamm_client::admin::NewTopic;
use klamm_client::cluster::CoordinatorKind;
use klamm_client::config::{GroupProtocol, OffsetReset};
use klamm_client::consumer::{Consumer, ConsumerOptions};
use klamm_client::{Client, TopicPartition};
use klamm_protocol::assign::Assignor;
use klamm_protocol::code::ErrorCode;
use klamm_testkit::apache::{self, Kafka};
use klamm_testkit::java::Supervised;
use klamm_testkit::outside::Cluster as _;
use tokio::time::timeout;

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(test);
}

/// One way to be a member.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    protocol: GroupProtocol,
    assignor: Assignor,
}

const EAGER: Way =
    Way { name: "eager", protocol: GroupProtocol::Classic, assignor: Assignor::Range };
const COOPERATIVE: Way = Way {
    name: "cooperative",
    protocol: GroupProtocol::Classic,
    assignor: Assignor::CooperativeSticky,
};
const NEXT: Way =
    Way { name: "next", protocol: GroupProtocol::Consumer, assignor: Assignor::Range };

/// One topic and the group that reads it.
struct Scene<'a> {
    kafka: &'a Kafka,
    client: Client,
    way: Way,
    topic: String,
}

impl<'a> Scene<'a> {
    async fn new(kafka: &'a Kafka, way: Way, what: &str, partitions: i32) -> Self {
        Self::replicated(kafka, way, what, partitions, 1).await
    }

    async fn replicated(
        kafka: &'a Kafka,
        way: Way,
        what: &str,
        partitions: i32,
        replicas: i16,
    ) -> Self {
        let config = common::real_config(kafka).with_metadata_max_age(Duration::from_secs(1));
        let client = Client::connect(config).await.unwrap();
        let topic = format!("{what}-{}", way.name);
        let new = NewTopic::new(topic.clone()).with_partitions(partitions);
        let new = new.with_replication(replicas);
        client.create_topics(&[new]).await.remove(0).unwrap();
        Self { kafka, client, way, topic }
    }

    fn group(&self) -> String {
        format!("group-of-{}", self.topic)
    }

    fn member(&self, change: impl FnOnce(&mut ConsumerOptions)) -> Consumer {
        let mut options = ConsumerOptions::from_config(self.client.config());
        options.group = Some(self.group());
        options.protocol = self.way.protocol;
        options.assignors = vec![self.way.assignor];
        options.offset_reset = OffsetReset::Earliest;
        options.heartbeat_interval = Duration::from_millis(500);
        options.auto_commit = Some(Duration::from_millis(200));
        change(&mut options);
        self.client.consumer(options).unwrap()
    }

    fn subscribed(&self, change: impl FnOnce(&mut ConsumerOptions)) -> Consumer {
        let mut consumer = self.member(change);
        consumer.subscribe([self.topic.clone()]).unwrap();
        consumer
    }

    async fn write(&self, partitions: i32, numbers: std::ops::Range<u64>) {
        write_to(&self.client, &self.topic, partitions, numbers).await;
    }

    async fn stored(&self) -> BTreeMap<TopicPartition, i64> {
        let stored = self.client.committed_offsets(&self.group(), None).await.unwrap();
        stored.into_iter().map(|(partition, position)| (partition, position.offset)).collect()
    }
}

/// Members share, one leaves, one is static and restarts, partitions are added.
async fn our_members_share(kafka: &Kafka, way: Way) {
    let scene = Scene::new(kafka, way, "ours", 4).await;
    scene.write(4, 0..200).await;
    let named = |options: &mut ConsumerOptions| options.instance_id = Some("static".to_owned());
    let (mut a, mut b) = (scene.subscribed(|_| {}), scene.subscribed(named));
    let (mut reading_a, mut reading_b) = (Reading::default(), Reading::default());
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |all, sizes| {
        *sizes == [2, 2] && common::reading::together(all) == 800
    })
    .await;
    let (revoked, had) = (reading_a.revoked, b.assignment());
    b.close(SOON).await.unwrap();
    let mut b = scene.subscribed(named);
    let mut reading_b = Reading::default();
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |_, sizes| *sizes == [2, 2])
        .await;
    assert_eq!((reading_a.revoked, b.assignment()), (revoked, had), "{}", way.name);
    b.close_for_good(SOON).await.unwrap();
    drive(&mut [(&mut a, &mut reading_a)], |_, sizes| *sizes == [4]).await;
    scene.client.create_partitions(&[(scene.topic.as_str(), 6)]).await.remove(0).unwrap();
    drive(&mut [(&mut a, &mut reading_a)], |_, sizes| *sizes == [6]).await;
    a.close(SOON).await.unwrap();
    let stored = scene.stored().await;
    assert_eq!(stored.values().copied().collect::<Vec<_>>(), [200; 4], "{}", way.name);
}

/// A second member of the same name: the classic protocol lets it in and fences the first, the
/// newer one keeps it out while the first lives.
async fn a_name_is_used_twice(kafka: &Kafka, way: Way) {
    let scene = Scene::new(kafka, way, "fenced", 2).await;
    let named = |options: &mut ConsumerOptions| options.instance_id = Some("same".to_owned());
    let mut a = scene.subscribed(named);
    until_it_has(&mut a, 2).await;
    let mut b = scene.subscribed(named);
    let (mut loser, code) = match way.protocol {
        GroupProtocol::Classic => {
            until_it_has(&mut b, 2).await;
            (a, ErrorCode::FENCED_INSTANCE_ID)
        }
        GroupProtocol::Consumer => (b, ErrorCode::UNRELEASED_INSTANCE_ID),
    };
    let told = async {
        loop {
            if let Err(error) = loser.next().await.expect("a word about it") {
                break error;
            }
        }
    };
    let error = timeout(SOON, told).await.unwrap();
    assert_eq!(error.code(), Some(code), "{error}");
    assert!(loser.next().await.is_none());
}

async fn a_pattern_takes_up_new_topics(kafka: &Kafka, way: Way) {
    let scene = Scene::new(kafka, way, "pattern-one", 1).await;
    let mut a = scene.member(|_| {});
    a.subscribe_pattern(&format!("pattern-.*-{}", way.name)).unwrap();
    until_it_has(&mut a, 1).await;
    let second = NewTopic::new(format!("pattern-two-{}", way.name)).with_partitions(2);
    scene.client.create_topics(&[second]).await.remove(0).unwrap();
    timeout(Duration::from_secs(60), until_it_has(&mut a, 3)).await.unwrap();
    a.close(SOON).await.unwrap();
}

async fn a_consumer_that_sleeps_is_left_out_and_comes_back(kafka: &Kafka, way: Way) {
    let scene = Scene::new(kafka, way, "sleeper", 2).await;
    scene.write(2, 0..10).await;
    let mut a = scene.subscribed(|options| options.max_poll_interval = Duration::from_secs(2));
    let held = common::reading::records(&mut a).await;
    let mut b = scene.subscribed(|_| {});
    let (mut reading_a, mut reading_b) = (Reading::default(), Reading::default());
    drive(&mut [(&mut b, &mut reading_b)], |all, sizes| sizes[0] == 2 && all[0].count() == 20)
        .await;
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |_, sizes| *sizes == [1, 1])
        .await;
    assert_eq!(reading_a.lost, 2);
    assert!(!a.ack(&held.receipt()));
}

/// A Java consumer, and what it says.
struct Java {
    process: Supervised,
    said: PathBuf,
    _folder: tempfile::TempDir,
}

impl Java {
    fn start(scene: &Scene<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said");
        let mut command = scene.kafka.tools().command("VerifiableConsumer").unwrap();
        let (bootstrap, group) = (scene.kafka.bootstrap(), scene.group());
        command.args(["--bootstrap-server", &bootstrap, "--topic", &scene.topic]);
        command.args(["--group-id", &group, "--reset-policy", "earliest"]);
        match scene.way.protocol {
            GroupProtocol::Classic => {
                let class = match scene.way.assignor {
                    Assignor::Range => "RangeAssignor",
                    _ => "CooperativeStickyAssignor",
                };
                let class = format!("org.apache.kafka.clients.consumer.{class}");
                command.args(["--session-timeout", "10000", "--assignment-strategy", &class]);
            }
            GroupProtocol::Consumer => {
                command.args(["--group-protocol", "consumer"]);
            }
        }
        command.stdout(File::create(&said).unwrap());
        let process = Supervised::spawn(&mut command).unwrap();
        Self { process, said, _folder: folder }
    }

    /// Every whole line that it has said.
    fn lines(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&self.said).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn read(&self) -> BTreeMap<TopicPartition, BTreeSet<i64>> {
        let mut read: BTreeMap<TopicPartition, BTreeSet<i64>> = BTreeMap::new();
        for line in self.lines().iter().filter(|line| line["name"] == "records_consumed") {
            for part in line["partitions"].as_array().unwrap() {
                let (first, last) =
                    (part["minOffset"].as_i64().unwrap(), part["maxOffset"].as_i64().unwrap());
                read.entry(place(part)).or_default().extend(first..=last);
            }
        }
        read
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.said).unwrap();
        text.get(text.len().saturating_sub(500)..).unwrap_or_default().to_owned()
    }

    fn has(&self) -> BTreeSet<TopicPartition> {
        let mut has = BTreeSet::new();
        for line in self.lines() {
            let places = line["partitions"].as_array().cloned().unwrap_or_default();
            let places: Vec<_> = places.iter().map(place).collect();
            match line["name"].as_str() {
                Some("partitions_assigned") => has.extend(places),
                Some("partitions_revoked" | "partitions_lost") => {
                    places.iter().for_each(|place| assert!(has.remove(place), "{place}"));
                }
                _ => {}
            }
        }
        has
    }
}

fn place(json: &serde_json::Value) -> TopicPartition {
    let number = json["partition"].as_i64().unwrap() as i32;
    TopicPartition::new(json["topic"].as_str().unwrap(), number)
}

/// Takes our consumer's events until `done`, checking that nothing is stored that nobody read.
async fn with_java(
    scene: &Scene<'_>,
    consumer: &mut Consumer,
    reading: &mut Reading,
    javas: &[&Java],
    done: impl Fn(&Consumer, &BTreeMap<TopicPartition, BTreeSet<i64>>) -> bool,
) {
    let all = async {
        loop {
            for _ in 0..20 {
                if !reading.step(consumer).await {
                    break;
                }
            }
            let stored = scene.stored().await;
            let read = all_read(reading, javas);
            for (partition, offset) in stored {
                let read = read.get(&partition).cloned().unwrap_or_default();
                let ahead = (0..offset).find(|offset| !read.contains(offset));
                assert_eq!(ahead, None, "{partition} is stored up to {offset}");
            }
            if done(consumer, &read) {
                return;
            }
        }
    };
    if timeout(Duration::from_secs(60), all).await.is_err() {
        let java: Vec<_> = javas.iter().map(|java| (java.has(), java.last_words())).collect();
        let read = count(&all_read(reading, javas));
        panic!(
            "{}: {read} records, ours {:?}, Java's {java:?}",
            scene.way.name,
            consumer.assignment()
        );
    }
}

fn all_read(reading: &Reading, javas: &[&Java]) -> BTreeMap<TopicPartition, BTreeSet<i64>> {
    let mut all = reading.offsets.clone();
    for java in javas {
        for (partition, offsets) in java.read() {
            all.entry(partition).or_default().extend(offsets);
        }
    }
    all
}

/// One of ours and one of Java's share, ours leaves and comes back, Java's leaves.
async fn ours_and_javas_share(kafka: &Kafka, way: Way) {
    let scene = Scene::new(kafka, way, "both", 6).await;
    scene.write(6, 0..300).await;
    let mut java = Java::start(&scene);
    let mut ours = scene.subscribed(|_| {});
    let mut reading = Reading::default();
    with_java(&scene, &mut ours, &mut reading, &[&java], |ours, _| {
        let (has, javas) = (ours.assignment(), java.has());
        has.len() == 3 && javas.len() == 3 && has.iter().all(|one| !javas.contains(one))
    })
    .await;
    scene.write(6, 300..600).await;
    with_java(&scene, &mut ours, &mut reading, &[&java], |_, read| count(read) == 3600).await;
    ours.close(SOON).await.unwrap();
    let wait = async {
        while java.has().len() != 6 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(60), wait).await.expect("Java's takes over what ours has left");
    let mut ours = scene.subscribed(|_| {});
    scene.write(6, 600..900).await;
    with_java(&scene, &mut ours, &mut reading, &[&java], |ours, _| {
        ours.assignment().len() == 3 && java.has().len() == 3
    })
    .await;
    java.process.signal("TERM").unwrap();
    with_java(&scene, &mut ours, &mut reading, &[&java], |ours, read| {
        ours.assignment().len() == 6 && count(read) == 5400
    })
    .await;
    ours.close(SOON).await.unwrap();
    let stored = scene.stored().await;
    assert_eq!(stored.values().copied().collect::<Vec<_>>(), [900; 6], "{}", way.name);
    let _ = java.process.wait_at_most(SOON);
}

fn count(read: &BTreeMap<TopicPartition, BTreeSet<i64>>) -> usize {
    read.values().map(BTreeSet::len).sum()
}

/// A member by KIP-848 against a broker that does not let it.
async fn the_newer_protocol_is_missing(kafka: &Kafka) {
    let scene = Scene::new(kafka, NEXT, "missing", 1).await;
    let mut consumer = scene.subscribed(|_| {});
    let error = timeout(SOON, consumer.next()).await.unwrap().unwrap().unwrap_err();
    assert!(error.to_string().contains("group"), "{error}");
    assert!(consumer.next().await.is_none());
}

#[test]
fn the_newest_version_lets_members_share_by_both_protocols() {
    let Some(kafka) = apache::for_test(apache::NEWEST, 1) else { return };
    run(async {
        for way in [EAGER, COOPERATIVE, NEXT] {
            our_members_share(&kafka, way).await;
            a_name_is_used_twice(&kafka, way).await;
            a_pattern_takes_up_new_topics(&kafka, way).await;
            a_consumer_that_sleeps_is_left_out_and_comes_back(&kafka, way).await;
        }
    });
}

#[test]
fn the_line_before_lets_members_share_by_the_classic_protocol() {
    let Some(kafka) = apache::for_test(apache::PREVIOUS, 1) else { return };
    run(async {
        for way in [EAGER, COOPERATIVE] {
            our_members_share(&kafka, way).await;
            a_name_is_used_twice(&kafka, way).await;
            a_pattern_takes_up_new_topics(&kafka, way).await;
        }
        the_newer_protocol_is_missing(&kafka).await;
    });
}

#[test]
fn members_of_ours_and_javas_share_on_the_newest_version() {
    let Some(kafka) = apache::for_test(apache::NEWEST, 1) else { return };
    run(async {
        for way in [EAGER, COOPERATIVE, NEXT] {
            ours_and_javas_share(&kafka, way).await;
        }
    });
}

#[test]
fn members_of_ours_and_javas_share_on_the_line_before() {
    let Some(kafka) = apache::for_test(apache::PREVIOUS, 1) else { return };
    run(async {
        for way in [EAGER, COOPERATIVE] {
            ours_and_javas_share(&kafka, way).await;
        }
    });
}

/// The oldest broker that starts here without ZooKeeper.
#[test]
fn members_of_ours_and_javas_share_on_the_oldest_version() {
    let Some(kafka) = apache::for_test(apache::OLDEST, 1) else { return };
    run(async {
        for way in [EAGER, COOPERATIVE] {
            ours_and_javas_share(&kafka, way).await;
        }
    });
}

#[test]
fn members_outlive_their_coordinator() {
    let Some(kafka) = apache::for_test(apache::NEWEST, 3) else { return };
    run(async {
        for way in [COOPERATIVE, NEXT] {
            their_coordinator_is_killed(&kafka, way).await;
        }
    });
}

async fn their_coordinator_is_killed(kafka: &Kafka, way: Way) {
    let scene = Scene::replicated(kafka, way, "moved", 4, 3).await;
    scene.write(4, 0..100).await;
    let (mut a, mut b) = (scene.subscribed(|_| {}), scene.subscribed(|_| {}));
    let (mut reading_a, mut reading_b) = (Reading::default(), Reading::default());
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |all, sizes| {
        *sizes == [2, 2] && common::reading::together(all) == 400
    })
    .await;
    let (cluster, soon) = (scene.client.cluster(), tokio::time::Instant::now() + SOON);
    let node = cluster.coordinator_node(CoordinatorKind::Group, &scene.group(), soon).await;
    let node = node.unwrap();
    kafka.kill(node).unwrap();
    scene.write(4, 100..200).await;
    drive(&mut [(&mut a, &mut reading_a), (&mut b, &mut reading_b)], |all, sizes| {
        *sizes == [2, 2] && common::reading::together(all) == 800
    })
    .await;
    assert_eq!(reading_a.lost + reading_b.lost, 0, "{}", way.name);
    a.close(SOON).await.unwrap();
    b.close(SOON).await.unwrap();
    assert_eq!(scene.stored().await.values().copied().collect::<Vec<_>>(), [200; 4]);
    kafka.restart(node).unwrap();
}

const SOON: Duration = Duration::from_secs(30);
