//! Access rules, users with passwords, delegation tokens.

use std::time::Duration;

use klamm_client::admin::{
    Acl, AclFilter, AclMatch, AclOperation, AclPattern, AclPermission, AclResource, NewToken,
    Principal, ScramChange, ScramMechanism,
};
use klamm_client::{Client, ErrorKind};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::wire::Secret;

use super::{refused, settled};

fn rules() -> [Acl; 4] {
    [
        Acl::allow("User:alice", AclOperation::Read, AclResource::Topic, "orders"),
        Acl::allow("User:alice", AclOperation::Write, AclResource::Topic, "ord")
            .with_pattern(AclPattern::Prefixed),
        Acl::deny("User:bob", AclOperation::All, AclResource::Topic, "*").with_host("10.0.0.1"),
        Acl::allow("User:bob", AclOperation::Read, AclResource::Group, "g"),
    ]
}

pub async fn rules_are_added_found_by_filters_and_removed(client: &Client) {
    let rules = rules();
    let nameless = Acl::allow("alice", AclOperation::Read, AclResource::Topic, "orders");
    let added =
        client.create_acls(&[rules.as_slice(), &[nameless, rules[0].clone()]].concat()).await;
    assert!(added[..4].iter().all(Result::is_ok) && added[5].is_ok(), "{added:?}");
    let error = refused(&added[4]);
    assert_eq!(error.code(), Some(ErrorCode::INVALID_REQUEST), "{error}");
    assert_eq!(error.context("rule for"), Some("alice"));

    let find = async |filter: AclFilter| client.describe_acls(&filter).await.unwrap();
    let all =
        settled(async || Some(find(AclFilter::any()).await).filter(|all| all.len() == 4)).await;
    assert!(rules.iter().all(|rule| all.contains(rule)), "{all:?}");
    let topics = || AclFilter::any().with_resource(AclResource::Topic);
    assert_eq!(find(topics().with_name("orders", AclMatch::Any)).await, [rules[0].clone()]);
    let affecting = find(topics().with_name("orders", AclMatch::Affecting)).await;
    assert_eq!(affecting.len(), 3, "{affecting:?}");
    let prefixed = topics().with_name("ord", AclMatch::Exactly(AclPattern::Prefixed));
    assert_eq!(find(prefixed).await, [rules[1].clone()]);
    let denied = find(AclFilter::any().with_permission(AclPermission::Deny)).await;
    assert_eq!(denied, [rules[2].clone()]);
    let by_hand = AclFilter::any()
        .with_principal("User:bob")
        .with_host("10.0.0.1")
        .with_operation(AclOperation::All);
    assert_eq!(find(by_hand).await, [rules[2].clone()]);
    assert_eq!(find(AclFilter::from(&rules[3])).await, [rules[3].clone()]);

    let alices = AclFilter::any().with_principal("User:alice");
    let nobodys = AclFilter::any().with_principal("User:nobody");
    let removed = client.delete_acls(&[nobodys, alices]).await;
    assert!(removed[0].as_ref().unwrap().is_empty(), "{removed:?}");
    let gone = removed[1].as_ref().unwrap();
    assert_eq!(gone.len(), 2, "{gone:?}");
    assert!(gone.iter().all(|(rule, gone)| rule.principal == "User:alice" && gone.is_ok()));
    settled(async || (find(AclFilter::any()).await.len() == 2).then_some(())).await;
    let rest = client.delete_acls(&[AclFilter::any()]).await;
    assert_eq!(rest[0].as_ref().unwrap().len(), 2, "{rest:?}");
}

pub async fn a_cluster_without_rules_says_so(client: &Client) {
    let error = client.describe_acls(&AclFilter::any()).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::SECURITY_DISABLED), "{error}");
    let added = client.create_acls(&rules()[..1]).await;
    assert_eq!(refused(&added[0]).code(), Some(ErrorCode::SECURITY_DISABLED), "{added:?}");
    let removed = client.delete_acls(&[AclFilter::any()]).await;
    assert_eq!(refused(&removed[0]).code(), Some(ErrorCode::SECURITY_DISABLED), "{removed:?}");
}

pub async fn users_get_passwords_and_lose_them(client: &Client) {
    let changes = [
        ScramChange::set("carol", ScramMechanism::Sha256, "wonderland"),
        ScramChange::set("carol", ScramMechanism::Sha512, "wonderland").with_iterations(8192),
        ScramChange::set("dave", ScramMechanism::Sha512, "wonderland").with_iterations(1),
        ScramChange::delete("nobody", ScramMechanism::Sha256),
        ScramChange::set("dave", ScramMechanism::Sha512, "wonderland").with_iterations(16_384),
    ];
    let done = client.alter_scram_users(&changes).await;
    assert!([0, 1, 4].iter().all(|index| done[*index].is_ok()), "{done:?}");
    assert_eq!(refused(&done[2]).kind(), ErrorKind::Usage);
    let nobody = refused(&done[3]);
    assert_eq!(nobody.code(), Some(ErrorCode::RESOURCE_NOT_FOUND), "{nobody}");
    assert_eq!(nobody.context("user"), Some("nobody"));
    assert!(!format!("{done:?}").contains("wonderland"), "{done:?}");

    let users = settled(async || {
        let users = client.scram_users().await.unwrap();
        Some(users).filter(|users| users.values().map(Vec::len).sum::<usize>() == 3)
    })
    .await;
    let mut carols: Vec<_> =
        users["carol"].iter().map(|one| (one.mechanism, one.iterations)).collect();
    carols.sort();
    assert_eq!(carols, [(ScramMechanism::Sha256, 4096), (ScramMechanism::Sha512, 8192)]);
    let found = client.describe_scram_users(&["dave", "nobody"]).await;
    assert_eq!(found[0].as_ref().unwrap()[0].iterations, 16_384);
    assert_eq!(refused(&found[1]).code(), Some(ErrorCode::RESOURCE_NOT_FOUND));

    let gone = client
        .alter_scram_users(&[
            ScramChange::delete("carol", ScramMechanism::Sha256),
            ScramChange::delete("carol", ScramMechanism::Sha512),
            ScramChange::delete("dave", ScramMechanism::Sha512),
        ])
        .await;
    assert!(gone.iter().all(Result::is_ok), "{gone:?}");
    settled(async || client.scram_users().await.unwrap().is_empty().then_some(())).await;
}

pub async fn a_token_is_made_renewed_and_ended(client: &Client) {
    let token = NewToken::default()
        .with_renewer(Principal::user("scheduler"))
        .with_max_lifetime(Duration::from_secs(7200));
    let made = client.create_token(&token).await.unwrap();
    assert_eq!(made.max_ms, made.issued_ms + 7_200_000);
    assert!(made.expires_ms <= made.max_ms && !made.hmac.0.is_empty(), "{made:?}");
    assert!(format!("{made:?}").contains("Secret(..)"));
    let hour = Duration::from_secs(3600);
    let renewed = client.renew_token(&made.hmac, Some(hour)).await.unwrap();
    assert!(renewed < made.max_ms, "{renewed} of {}", made.max_ms);
    let found = client.describe_tokens(None).await.unwrap();
    assert_eq!((found[0].id.as_str(), found[0].expires_ms), (made.id.as_str(), renewed));
    assert_eq!(found[0].renewers, [Principal::user("scheduler")]);
    assert_eq!(found[0].hmac, made.hmac);
    let nobodys = client.describe_tokens(Some(&[Principal::user("nobody")])).await.unwrap();
    assert!(nobodys.is_empty(), "{nobodys:?}");
    client.expire_token(&made.hmac, None).await.unwrap();
    assert!(client.describe_tokens(None).await.unwrap().is_empty());
    let again = client.renew_token(&made.hmac, None).await;
    assert_eq!(refused(&again).code(), Some(ErrorCode::DELEGATION_TOKEN_NOT_FOUND));
    let other = NewToken::default().with_renewer("Team:all".parse().unwrap());
    let error = client.create_token(&other).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_PRINCIPAL_TYPE), "{error}");
}

/// Kafka gives tokens only to who has logged in, and these tests do not.
pub async fn a_token_is_refused_without_a_login(client: &Client) {
    let code = ErrorCode::DELEGATION_TOKEN_REQUEST_NOT_ALLOWED;
    let secret = Secret::from(&b"not to be told"[..]);
    let error = client.create_token(&NewToken::default()).await.unwrap_err();
    assert_eq!(error.code(), Some(code), "{error}");
    assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{error}");
    for outcome in [
        client.renew_token(&secret, None).await,
        client.expire_token(&secret, Some(Duration::from_secs(1))).await,
    ] {
        let error = refused(&outcome);
        assert_eq!(error.code(), Some(code), "{error}");
        assert!(!format!("{error:?}").contains("not to be told"), "{error:?}");
    }
    let error = client.describe_tokens(None).await.unwrap_err();
    assert_eq!(error.code(), Some(code), "{error}");
}
