//! Who may do what, and how much of it: access rules, credentials, quotas. Names are new each time,
//! since all checks share one cluster.

use std::slice::from_ref;
use std::time::{Duration, Instant};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::alter_client_quotas::{
    AlterClientQuotasRequest, EntityData, EntryData, OpData,
};
use klamm_protocol::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use klamm_protocol::messages::create_acls::{AclCreation, CreateAclsRequest};
use klamm_protocol::messages::delete_acls::{DeleteAclsFilter, DeleteAclsRequest};
use klamm_protocol::messages::describe_acls::DescribeAclsRequest;
use klamm_protocol::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest,
};
use klamm_protocol::messages::describe_user_scram_credentials::{
    DescribeUserScramCredentialsRequest, UserName,
};

use super::wire::{Wire, fresh_name};
use crate::outside::Cluster;

pub(super) fn rules(cluster: &dyn Cluster) {
    let Some(mut wire) = with_rules(cluster) else { return };
    let name = fresh_name();
    let prefix = &name[..name.len() - 1];
    let user = format!("User:{name}");
    let rule = |resource_name: &str, pattern, operation| AclCreation {
        resource_type: TOPIC,
        resource_name: resource_name.to_owned(),
        resource_pattern_type: pattern,
        principal: user.clone(),
        host: "*".to_owned(),
        operation,
        permission_type: ALLOW,
    };
    let creations = vec![
        rule(&name, LITERAL, 3),
        rule(prefix, PREFIXED, 4),
        rule("*", LITERAL, 8),
        rule("other", LITERAL, 3),
    ];
    assert_eq!(create(&mut wire, creations.clone()), [ErrorCode::NONE; 4]);
    let again = create(&mut wire, creations[..1].to_vec());
    assert_eq!(again, [ErrorCode::NONE], "what is there already is no error");
    let mut find = |resource: Option<&str>, pattern| {
        let request = DescribeAclsRequest {
            resource_type_filter: TOPIC,
            resource_name_filter: resource.map(str::to_owned),
            pattern_type_filter: pattern,
            principal_filter: Some(user.clone()),
            host_filter: None,
            operation: ANY,
            permission_type: ANY,
        };
        let response = wire.request(&request);
        assert_eq!(response.error_code, ErrorCode::NONE);
        let rules = response.resources.iter().map(|one| one.acls.len());
        rules.sum::<usize>()
    };
    eventually(|| find(None, ANY) == 4);
    assert_eq!(find(Some(&name), ANY), 1, "by its very name");
    assert_eq!(find(Some(&name), MATCH), 3, "by name, prefix and for all");
    assert_eq!(find(Some(&name), PREFIXED), 0);
    assert_eq!(find(Some(prefix), PREFIXED), 1);
    assert_eq!(find(Some("another"), MATCH), 1, "only what is for all");
    let filter = |resource: Option<&str>| DeleteAclsFilter {
        resource_type_filter: ANY,
        resource_name_filter: resource.map(str::to_owned),
        pattern_type_filter: ANY,
        principal_filter: Some(user.clone()),
        host_filter: Some("*".to_owned()),
        operation: ANY,
        permission_type: ALLOW,
    };
    let filters = vec![filter(Some("nothing")), filter(Some(&name))];
    let mut wire = Wire::to(cluster);
    let deleted = wire.request(&DeleteAclsRequest { filters }).filter_results;
    assert_eq!((deleted[0].error_code, deleted[0].matching_acls.len()), (ErrorCode::NONE, 0));
    assert_eq!(deleted[1].matching_acls[0].resource_name, name);
    let rest = wire.request(&DeleteAclsRequest { filters: vec![filter(None)] });
    assert_eq!(rest.filter_results[0].matching_acls.len(), 3);
}

pub(super) fn wrong_rules(cluster: &dyn Cluster) {
    let Some(mut wire) = with_rules(cluster) else { return };
    let right = AclCreation {
        resource_type: TOPIC,
        resource_name: fresh_name(),
        resource_pattern_type: LITERAL,
        principal: "User:somebody".to_owned(),
        host: "*".to_owned(),
        operation: 3,
        permission_type: ALLOW,
    };
    // Numbers that mean nothing in a rule are more than Kafka has a code for.
    let strange = [
        AclCreation { resource_type: ANY, ..right.clone() },
        AclCreation { resource_pattern_type: MATCH, ..right.clone() },
        AclCreation { operation: ANY, ..right.clone() },
        AclCreation { permission_type: ANY, ..right.clone() },
    ];
    for rule in strange {
        let code = create(&mut wire, vec![rule.clone()]);
        assert_eq!(code, [ErrorCode::UNKNOWN_SERVER_ERROR], "{rule:?}");
    }
    let wrong = [
        AclCreation { principal: "somebody".to_owned(), ..right.clone() },
        AclCreation { resource_type: CLUSTER, ..right.clone() },
        AclCreation { resource_name: String::new(), ..right },
    ];
    for rule in wrong {
        let code = create(&mut wire, vec![rule.clone()]);
        assert_eq!(code, [ErrorCode::INVALID_REQUEST], "{rule:?}");
    }
}

pub(super) fn credentials(cluster: &dyn Cluster) {
    let mut wire = Wire::to(cluster);
    let name = fresh_name();
    let set = |mechanism, iterations| ScramCredentialUpsertion {
        name: name.clone(),
        mechanism,
        iterations,
        salt: b"salt"[..].into(),
        salted_password: vec![7; 32].into(),
    };
    let drop = |mechanism| ScramCredentialDeletion { name: name.clone(), mechanism };
    let mut alter = |deletions: Vec<_>, upsertions: Vec<_>| {
        let request = AlterUserScramCredentialsRequest { deletions, upsertions };
        let results = wire.request(&request).results;
        assert_eq!(results.len(), 1, "one result a user: {results:?}");
        results[0].error_code
    };
    assert_eq!(alter(vec![], vec![set(1, 4095)]), ErrorCode::UNACCEPTABLE_CREDENTIAL);
    assert_eq!(alter(vec![], vec![set(1, 16_385)]), ErrorCode::UNACCEPTABLE_CREDENTIAL);
    assert_eq!(alter(vec![], vec![set(9, 4096)]), ErrorCode::UNSUPPORTED_SASL_MECHANISM);
    let twice = vec![set(1, 4096), set(2, 8192)];
    assert_eq!(alter(vec![], twice), ErrorCode::DUPLICATE_RESOURCE, "a user may come once");
    assert_eq!(alter(vec![drop(1)], vec![]), ErrorCode::RESOURCE_NOT_FOUND);
    assert_eq!(alter(vec![], vec![set(1, 4096)]), ErrorCode::NONE);
    assert_eq!(alter(vec![], vec![set(2, 8192)]), ErrorCode::NONE);
    let told = || {
        let users = Some(vec![UserName { name: name.clone() }]);
        let request = DescribeUserScramCredentialsRequest { users };
        let one = Wire::to(cluster).request(&request).results.remove(0);
        let infos = one.credential_infos.iter().map(|info| (info.mechanism, info.iterations));
        let mut infos: Vec<_> = infos.collect();
        infos.sort_unstable();
        (one.error_code, infos)
    };
    eventually(|| told() == (ErrorCode::NONE, vec![(1, 4096), (2, 8192)]));
    assert_eq!(alter(vec![drop(1)], vec![]), ErrorCode::NONE);
    assert_eq!(alter(vec![], vec![set(2, 4096)]), ErrorCode::NONE);
    eventually(|| told() == (ErrorCode::NONE, vec![(2, 4096)]));
    assert_eq!(alter(vec![drop(2)], vec![]), ErrorCode::NONE);
    eventually(|| told() == (ErrorCode::RESOURCE_NOT_FOUND, vec![]));
}

pub(super) fn quotas(cluster: &dyn Cluster) {
    let name = fresh_name();
    let user = ("user", Some(name.as_str()));
    let one = ("client-id", Some("one"));
    let changes = [
        entry(&[user], "producer_byte_rate", Some(1000.0)),
        entry(&[user, one], "consumer_byte_rate", Some(7.0)),
        entry(&[user, ("client-id", None)], "request_percentage", Some(12.5)),
    ];
    assert_eq!(alter(cluster, &changes, true), [ErrorCode::NONE; 3]);
    let named = component("user", 0, Some(&name));
    assert_eq!(find(cluster, from_ref(&named), false), 0, "that was only a check");
    assert_eq!(alter(cluster, &changes, false), [ErrorCode::NONE; 3]);
    eventually(|| find(cluster, from_ref(&named), false) == 3);
    assert_eq!(find(cluster, from_ref(&named), true), 1);
    let parts = |match_type, name| [named.clone(), component("client-id", match_type, name)];
    assert_eq!(find(cluster, &parts(0, Some("one")), true), 1);
    assert_eq!(find(cluster, &parts(1, None), true), 1);
    assert_eq!(find(cluster, &parts(2, None), true), 2);
    assert_eq!(find(cluster, &parts(0, Some("two")), false), 0);
    let remove = [
        entry(&[user], "producer_byte_rate", None),
        entry(&[user, one], "consumer_byte_rate", None),
        entry(&[user, ("client-id", None)], "request_percentage", None),
    ];
    assert_eq!(alter(cluster, &remove, false), [ErrorCode::NONE; 3]);
    eventually(|| find(cluster, from_ref(&named), false) == 0);
}

pub(super) fn wrong_quotas(cluster: &dyn Cluster) {
    let name = fresh_name();
    let (user, ip) = (("user", Some(name.as_str())), ("ip", Some("10.0.0.1")));
    let wrong = [
        entry(&[user], "no_such_quota", Some(1.0)),
        entry(&[user], "connection_creation_rate", Some(1.0)),
        entry(&[ip], "producer_byte_rate", Some(1.0)),
        entry(&[user, ip], "producer_byte_rate", Some(1.0)),
        entry(&[("team", Some("a"))], "producer_byte_rate", Some(1.0)),
        entry(&[user], "producer_byte_rate", Some(1.5)),
        entry(&[], "producer_byte_rate", Some(1.0)),
    ];
    for entry in wrong {
        let code = alter(cluster, from_ref(&entry), false);
        assert_eq!(code, [ErrorCode::INVALID_REQUEST], "{entry:?}");
    }
}

/// A connection, if the cluster has access rules; without, every request about them says so.
fn with_rules(cluster: &dyn Cluster) -> Option<Wire> {
    let mut wire = Wire::to(cluster);
    let everything = DeleteAclsFilter {
        resource_type_filter: ANY,
        pattern_type_filter: ANY,
        principal_filter: Some("User:nobody-at-all".to_owned()),
        resource_name_filter: None,
        host_filter: None,
        operation: ANY,
        permission_type: ANY,
    };
    let request = DescribeAclsRequest {
        resource_type_filter: ANY,
        pattern_type_filter: ANY,
        principal_filter: everything.principal_filter.clone(),
        resource_name_filter: None,
        host_filter: None,
        operation: ANY,
        permission_type: ANY,
    };
    if wire.request(&request).error_code != ErrorCode::SECURITY_DISABLED {
        return Some(wire);
    }
    let deleted = wire.request(&DeleteAclsRequest { filters: vec![everything] });
    assert_eq!(deleted.filter_results[0].error_code, ErrorCode::SECURITY_DISABLED);
    None
}

fn create(wire: &mut Wire, creations: Vec<AclCreation>) -> Vec<ErrorCode> {
    let response = wire.request(&CreateAclsRequest { creations });
    response.results.iter().map(|one| one.error_code).collect()
}

type Part<'a> = (&'a str, Option<&'a str>);

fn entry(parts: &[Part<'_>], quota: &str, value: Option<f64>) -> EntryData {
    let part = |(kind, name): &Part<'_>| EntityData {
        entity_type: (*kind).to_owned(),
        entity_name: name.map(str::to_owned),
    };
    let op =
        OpData { key: quota.to_owned(), value: value.unwrap_or_default(), remove: value.is_none() };
    EntryData { entity: parts.iter().map(part).collect(), ops: vec![op] }
}

fn alter(cluster: &dyn Cluster, entries: &[EntryData], validate_only: bool) -> Vec<ErrorCode> {
    let request = AlterClientQuotasRequest { entries: entries.to_vec(), validate_only };
    let response = Wire::to(cluster).request(&request);
    response.entries.iter().map(|one| one.error_code).collect()
}

fn component(kind: &str, match_type: i8, name: Option<&str>) -> ComponentData {
    ComponentData { entity_type: kind.to_owned(), match_type, r#match: name.map(str::to_owned) }
}

fn find(cluster: &dyn Cluster, components: &[ComponentData], strict: bool) -> usize {
    let request = DescribeClientQuotasRequest { components: components.to_vec(), strict };
    let response = Wire::to(cluster).request(&request);
    assert_eq!(response.error_code, ErrorCode::NONE, "{response:?}");
    response.entries.map_or(0, |entries| entries.len())
}

/// Brokers learn of changes a moment after the controller.
fn eventually(mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < until, "it never came about");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const TOPIC: i8 = 2;
const CLUSTER: i8 = 4;
const ANY: i8 = 1;
const MATCH: i8 = 2;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const ALLOW: i8 = 3;
