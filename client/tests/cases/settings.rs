//! Settings, quotas, features, and records deleted.

use klamm_client::admin::{
    ConfigChanges, ConfigDetail, ConfigEntry, ConfigResource, ConfigSource, DeleteBefore, Effect,
    FeatureUpdate, OffsetSpec, QuotaChange, QuotaEntity, QuotaFilter, QuotaMatch,
};
use klamm_client::config::Isolation;
use klamm_client::{Client, ErrorKind};
use klamm_protocol::code::ErrorCode;

use super::{at, refused, settled, topic, write};

async fn entry(client: &Client, resource: &ConfigResource, name: &str) -> Option<ConfigEntry> {
    let detail = ConfigDetail::default().with_names([name]).with_synonyms().with_documentation();
    let resources = std::slice::from_ref(resource);
    let mut entries = client.describe_configs(resources, &detail).await.remove(0).unwrap();
    assert!(entries.len() <= 1, "one setting was asked for: {entries:?}");
    entries.pop()
}

async fn value(client: &Client, resource: &ConfigResource, name: &str) -> Option<String> {
    entry(client, resource, name).await.and_then(|entry| entry.value)
}

/// Changes and waits until everybody sees it.
async fn alter(client: &Client, changes: ConfigChanges, name: &str, wanted: Option<&str>) {
    let resource = changes.resource().clone();
    client.alter_configs(&[changes], Effect::Apply).await.remove(0).unwrap();
    settled(async || (value(client, &resource, name).await.as_deref() == wanted).then_some(()))
        .await;
}

pub async fn settings_of_topics_are_set_unset_appended_and_taken_away(client: &Client) {
    topic(client, "settings", 1, 1).await;
    let resource = ConfigResource::topic("settings");
    let before = entry(client, &resource, "retention.ms").await.unwrap();
    assert_eq!(
        (before.value.as_deref(), before.source),
        (Some("604800000"), ConfigSource::Default)
    );
    assert!(before.documentation.is_some() && !before.sensitive && !before.read_only, "{before:?}");

    let set = || ConfigChanges::new(resource.clone()).set("retention.ms", "60000");
    let checked = client.alter_configs(&[set()], Effect::CheckOnly).await;
    assert!(checked[0].is_ok(), "{checked:?}");
    assert_eq!(value(client, &resource, "retention.ms").await.as_deref(), Some("604800000"));
    alter(client, set(), "retention.ms", Some("60000")).await;
    let after = entry(client, &resource, "retention.ms").await.unwrap();
    assert_eq!(
        (after.source, after.synonyms[0].source),
        (ConfigSource::Topic, ConfigSource::Topic)
    );

    let change = || ConfigChanges::new(resource.clone());
    alter(
        client,
        change().append("cleanup.policy", "compact"),
        "cleanup.policy",
        Some("delete,compact"),
    )
    .await;
    alter(
        client,
        change().append("cleanup.policy", "compact"),
        "cleanup.policy",
        Some("delete,compact"),
    )
    .await;
    alter(client, change().subtract("cleanup.policy", "delete"), "cleanup.policy", Some("compact"))
        .await;
    alter(client, change().unset("retention.ms"), "retention.ms", Some("604800000")).await;
}

pub async fn one_wrong_setting_does_not_spoil_the_others(client: &Client) {
    topic(client, "right", 1, 1).await;
    let right = || ConfigResource::topic("right");
    let changes = [
        ConfigChanges::new(ConfigResource::topic("nowhere")).set("retention.ms", "1"),
        ConfigChanges::new(right()).set("retention.ms", "70000"),
        ConfigChanges::new(right()).set("retention.ms", "soon"),
        ConfigChanges::new(right()).append("retention.ms", "1"),
        ConfigChanges::new(right()).set("no.such.setting", "1"),
    ];
    let altered = client.alter_configs(&changes, Effect::Apply).await;
    assert!(altered[1].is_ok(), "{altered:?}");
    let nowhere = refused(&altered[0]);
    assert_eq!((nowhere.kind(), nowhere.context("topic")), (ErrorKind::Usage, Some("nowhere")));
    for wrong in &altered[2..] {
        let error = refused(wrong);
        assert_eq!(error.code(), Some(ErrorCode::INVALID_CONFIG), "{error}");
        assert!(error.context("broker says").is_some(), "{error}");
    }
    let resources = [ConfigResource::topic("nowhere"), right(), ConfigResource::broker(99)];
    let found = client.describe_configs(&resources, &ConfigDetail::default()).await;
    assert_eq!(refused(&found[0]).kind(), ErrorKind::Usage);
    assert!(found[1].as_ref().unwrap().len() > 20, "{found:?}");
    assert_eq!(refused(&found[2]).kind(), ErrorKind::Unreachable);
}

pub async fn settings_of_brokers_come_from_where_they_were_set(client: &Client) {
    let (one, all) = (ConfigResource::broker(1), ConfigResource::all_brokers());
    let set = |resource: &ConfigResource, value: &str| {
        ConfigChanges::new(resource.clone()).set("log.retention.ms", value)
    };
    let source = async |resource: &ConfigResource| {
        entry(client, resource, "log.retention.ms").await.map(|entry| entry.source)
    };
    alter(client, set(&all, "7000000"), "log.retention.ms", Some("7000000")).await;
    settled(async || (source(&one).await == Some(ConfigSource::Brokers)).then_some(())).await;
    alter(client, set(&one, "8000000"), "log.retention.ms", Some("8000000")).await;
    assert_eq!(source(&one).await, Some(ConfigSource::Broker));
    let unset =
        |resource: &ConfigResource| ConfigChanges::new(resource.clone()).unset("log.retention.ms");
    alter(client, unset(&one), "log.retention.ms", Some("7000000")).await;
    alter(client, unset(&all), "log.retention.ms", None).await;
    let fixed = ConfigChanges::new(one).set("node.id", "7");
    let fixed = client.alter_configs(&[fixed], Effect::Apply).await;
    assert_eq!(refused(&fixed[0]).code(), Some(ErrorCode::INVALID_REQUEST), "{fixed:?}");
}

pub async fn settings_of_groups_are_kept(client: &Client) {
    let group = ConfigResource::group("tuned");
    let set = ConfigChanges::new(group.clone()).set("consumer.session.timeout.ms", "50000");
    alter(client, set, "consumer.session.timeout.ms", Some("50000")).await;
    let found = entry(client, &group, "consumer.session.timeout.ms").await.unwrap();
    assert_eq!(found.source, ConfigSource::Group);
}

pub async fn settings_of_metrics_and_of_loggers_are_kept(client: &Client) {
    let metrics = ConfigResource::client_metrics("sub");
    let set = ConfigChanges::new(metrics.clone()).set("interval.ms", "1000");
    alter(client, set, "interval.ms", Some("1000")).await;
    let logger = ConfigResource::broker_logger(1);
    let level = value(client, &logger, "root").await.unwrap();
    let same = ConfigChanges::new(logger).set("root", level);
    let same = client.alter_configs(&[same], Effect::Apply).await;
    assert!(same[0].is_ok(), "{same:?}");
}

pub async fn records_before_an_offset_go_and_the_log_starts_there(client: &Client) {
    topic(client, "shrinking", 2, 1).await;
    let shrinking = |partition| at("shrinking", partition);
    write(client, &shrinking(0), 5, None).await;
    let deleted = client
        .delete_records(&[
            (shrinking(0), DeleteBefore::Offset(2)),
            (shrinking(7), DeleteBefore::Offset(2)),
            (at("nowhere", 0), DeleteBefore::HighWatermark),
            (shrinking(1), DeleteBefore::Offset(1)),
        ])
        .await;
    assert_eq!(deleted[0].as_ref().ok(), Some(&2), "{deleted:?}");
    assert_eq!(refused(&deleted[1]).kind(), ErrorKind::Usage);
    assert_eq!(refused(&deleted[1]).context("partition"), Some("7"));
    assert_eq!(refused(&deleted[2]).kind(), ErrorKind::Usage);
    assert_eq!(refused(&deleted[3]).code(), Some(ErrorCode::OFFSET_OUT_OF_RANGE));
    let all = client.delete_records(&[(shrinking(0), DeleteBefore::HighWatermark)]).await;
    assert_eq!(all[0].as_ref().ok(), Some(&5), "{all:?}");
    let specs = [OffsetSpec::Earliest, OffsetSpec::EarliestLocal, OffsetSpec::LatestTiered];
    let wanted = specs.map(|spec| (shrinking(0), spec));
    let found = client.list_offsets(&wanted, Isolation::ReadUncommitted).await;
    let found: Vec<_> = found.iter().map(|(_, found)| found.as_ref().unwrap().offset).collect();
    assert_eq!(found, [Some(5), Some(5), None]);
}

pub async fn an_offset_spec_that_is_too_new_spoils_no_other(client: &Client, known: bool) {
    topic(client, "uploads", 2, 1).await;
    let wanted = [
        (at("uploads", 0), OffsetSpec::EarliestPendingUpload),
        (at("uploads", 1), OffsetSpec::Latest),
    ];
    let found = client.list_offsets(&wanted, Isolation::ReadUncommitted).await;
    assert_eq!(found[1].1.as_ref().unwrap().offset, Some(0));
    if known {
        assert_eq!(found[0].1.as_ref().unwrap().offset, None);
    } else {
        let error = refused(&found[0].1);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.context("api"), Some("ListOffsets"));
    }
}

pub async fn quotas_are_set_found_by_parts_and_removed(client: &Client) {
    let alice = QuotaEntity::user("alice");
    let both = QuotaEntity::user("alice").and_client_id("a");
    let changes = [
        QuotaChange::new(alice.clone())
            .set("producer_byte_rate", 1000.0)
            .set("request_percentage", 50.0),
        QuotaChange::new(both.clone()).set("consumer_byte_rate", 7.0),
        QuotaChange::new(QuotaEntity::any_client_id()).set("consumer_byte_rate", 9.0),
        QuotaChange::new(QuotaEntity::ip("10.0.0.1")).set("connection_creation_rate", 3.0),
        QuotaChange::new(QuotaEntity::user("bob")).set("no_such_quota", 3.0),
    ];
    let checked = client.alter_quotas(&changes[..1], Effect::CheckOnly).await;
    assert!(checked[0].is_ok(), "{checked:?}");
    assert!(client.describe_quotas(&QuotaFilter::all()).await.unwrap().is_empty());
    let set = client.alter_quotas(&changes, Effect::Apply).await;
    assert!(set[..4].iter().all(Result::is_ok), "{set:?}");
    let error = refused(&set[4]);
    assert_eq!(error.code(), Some(ErrorCode::INVALID_REQUEST), "{error}");
    assert_eq!(error.context("quotas of"), Some("user bob"));

    let find = async |filter: QuotaFilter| client.describe_quotas(&filter).await.unwrap();
    settled(async || (find(QuotaFilter::all()).await.len() == 4).then_some(())).await;
    let named = QuotaFilter::all().with_user(QuotaMatch::Named("alice".to_owned()));
    let loose = find(named.clone()).await;
    assert_eq!(loose.keys().collect::<Vec<_>>(), [&both, &alice]);
    let strict = find(named.strict()).await;
    assert_eq!(strict.keys().collect::<Vec<_>>(), [&alice]);
    assert_eq!(strict[&alice]["producer_byte_rate"], 1000.0);
    let by_default = find(QuotaFilter::all().with_client_id(QuotaMatch::Default)).await;
    assert_eq!(by_default.into_keys().collect::<Vec<_>>(), [QuotaEntity::any_client_id()]);

    let remove = [
        QuotaChange::new(alice.clone()).remove("producer_byte_rate"),
        QuotaChange::new(both).remove("consumer_byte_rate"),
        QuotaChange::new(QuotaEntity::any_client_id()).remove("consumer_byte_rate"),
        QuotaChange::new(QuotaEntity::ip("10.0.0.1")).remove("connection_creation_rate"),
    ];
    let removed = client.alter_quotas(&remove, Effect::Apply).await;
    assert!(removed.iter().all(Result::is_ok), "{removed:?}");
    let left =
        settled(async || Some(find(QuotaFilter::all()).await).filter(|left| left.len() == 1)).await;
    assert_eq!(left[&alice].keys().collect::<Vec<_>>(), ["request_percentage"]);
    let last = QuotaChange::new(alice).remove("request_percentage");
    client.alter_quotas(&[last], Effect::Apply).await.remove(0).unwrap();
}

pub async fn the_cluster_and_its_features_are_told(client: &Client, brokers: usize) {
    let cluster = client.describe_cluster().await.unwrap();
    assert_eq!(cluster.brokers.iter().map(|broker| broker.id).max(), Some(brokers as i32));
    assert!(cluster.id.is_some() && cluster.controller.is_some(), "{cluster:?}");
    assert!(cluster.authorized.is_some_and(|may| !may.is_empty()));
    let features = client.features().await.unwrap();
    assert!(!features.finalized.is_empty() && features.epoch.is_some(), "{features:?}");
    let (name, levels) = features.supported.iter().next().expect("some feature");
    let beyond = FeatureUpdate::upgrade(name.as_str(), levels.max + 1);
    let updated = client.update_features(&[beyond], Effect::Apply).await;
    let error = refused(&updated[0]);
    assert_eq!(error.code(), Some(ErrorCode::INVALID_UPDATE_VERSION), "{error}");
    assert_eq!(error.context("feature"), Some(name.as_str()));
}

pub async fn a_feature_changes_its_level(client: &Client, feature: &str, to: i16) {
    let level = async || {
        client.features().await.unwrap().finalized.get(feature).map_or(0, |range| range.max)
    };
    let before = level().await;
    assert_ne!(before, to);
    let down = FeatureUpdate::safe_downgrade(feature, to);
    let checked = client.update_features(std::slice::from_ref(&down), Effect::CheckOnly).await;
    assert!(checked[0].is_ok(), "{checked:?}");
    assert_eq!(level().await, before);
    client.update_features(&[down], Effect::Apply).await.remove(0).unwrap();
    settled(async || (level().await == to).then_some(())).await;
    let up = FeatureUpdate::upgrade(feature, before);
    client.update_features(&[up], Effect::Apply).await.remove(0).unwrap();
    settled(async || (level().await == before).then_some(())).await;
}
