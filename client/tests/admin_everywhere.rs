//! Every admin call on the embedded cluster and on real Apache Kafka, the newest version and the
//! line before, by the same cases.

mod cases;
mod common;

use cases::{access, groups, replicas, settings, transactions};
use common::{client, cluster, connect};
use klamm_client::Client;
use klamm_testkit::apache::{self, Kafka, KafkaConfig};
use klamm_testkit::outside::in_test;

async fn everywhere(client: &Client, brokers: usize) {
    settings::settings_of_topics_are_set_unset_appended_and_taken_away(client).await;
    settings::one_wrong_setting_does_not_spoil_the_others(client).await;
    settings::settings_of_brokers_come_from_where_they_were_set(client).await;
    settings::settings_of_metrics_and_of_loggers_are_kept(client).await;
    settings::records_before_an_offset_go_and_the_log_starts_there(client).await;
    settings::quotas_are_set_found_by_parts_and_removed(client).await;
    settings::the_cluster_and_its_features_are_told(client, brokers).await;
    access::users_get_passwords_and_lose_them(client).await;
    groups::groups_are_listed_described_and_deleted(client).await;
    groups::members_are_told_and_removed(client).await;
    replicas::topics_are_placed_as_told_and_described_with_rights(client).await;
    replicas::log_directories_tell_the_sizes_of_replicas(client).await;
    replicas::elections_and_moves_that_are_not_needed_say_so(client).await;
    transactions::transactions_are_told_and_a_hanging_one_is_aborted(client).await;
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(test);
}

fn with_rules(version: &str, brokers: usize) -> Option<Kafka> {
    in_test(Kafka::start(KafkaConfig::version(version).brokers(brokers).access_rules()))
}

async fn embedded(brokers: i32) {
    let door = cluster(brokers).await;
    let client = client(&door).await;
    everywhere(&client, brokers as usize).await;
    access::rules_are_added_found_by_filters_and_removed(&client).await;
    access::a_token_is_made_renewed_and_ended(&client).await;
    settings::settings_of_groups_are_kept(&client).await;
    groups::groups_whose_broker_assigns_are_described_as_such(&client).await;
    settings::an_offset_spec_that_is_too_new_spoils_no_other(&client, true).await;
    settings::a_feature_changes_its_level(&client, "transaction.version", 1).await;
}

#[tokio::test]
async fn an_embedded_broker_answers_every_call() {
    embedded(1).await;
}

#[tokio::test]
async fn embedded_brokers_answer_every_call_together() {
    embedded(3).await;
}

#[tokio::test]
async fn embedded_replicas_move_and_the_preferred_one_leads_again() {
    let door = cluster(3).await;
    let client = client(&door).await;
    let stop = |node| assert!(door.with(|cluster| cluster.kill(node)));
    let start = |node| assert!(door.with(|cluster| cluster.revive(node)));
    replicas::replicas_move_and_the_preferred_one_leads_again(&client, stop, start).await;
}

#[test]
fn the_newest_version_answers_every_call() {
    let Some(kafka) = with_rules(apache::NEWEST, 1) else { return };
    run(async {
        let client = connect(&kafka).await;
        everywhere(&client, 1).await;
        access::rules_are_added_found_by_filters_and_removed(&client).await;
        access::a_token_is_refused_without_a_login(&client).await;
        settings::settings_of_groups_are_kept(&client).await;
        groups::groups_whose_broker_assigns_are_described_as_such(&client).await;
        settings::an_offset_spec_that_is_too_new_spoils_no_other(&client, true).await;
        settings::a_feature_changes_its_level(&client, "transaction.version", 1).await;
    });
}

#[test]
fn the_line_before_answers_every_call() {
    let Some(kafka) = with_rules(apache::PREVIOUS, 1) else { return };
    run(async {
        let client = connect(&kafka).await;
        everywhere(&client, 1).await;
        access::rules_are_added_found_by_filters_and_removed(&client).await;
        access::a_token_is_refused_without_a_login(&client).await;
        settings::an_offset_spec_that_is_too_new_spoils_no_other(&client, false).await;
    });
}

#[test]
fn three_brokers_answer_every_call_together() {
    let Some(kafka) = with_rules(apache::NEWEST, 3) else { return };
    run(async {
        let client = connect(&kafka).await;
        everywhere(&client, 3).await;
        access::rules_are_added_found_by_filters_and_removed(&client).await;
        settings::settings_of_groups_are_kept(&client).await;
        groups::groups_whose_broker_assigns_are_described_as_such(&client).await;
    });
}

#[test]
fn real_replicas_move_and_the_preferred_one_leads_again() {
    let Some(kafka) = apache::for_test(apache::NEWEST, 3) else { return };
    run(async {
        let client = connect(&kafka).await;
        access::a_cluster_without_rules_says_so(&client).await;
        let stop = |node| kafka.kill(node).unwrap();
        let start = |node| kafka.restart(node).unwrap();
        replicas::replicas_move_and_the_preferred_one_leads_again(&client, stop, start).await;
    });
}
