//! Access rules (KIP-11, KIP-140, KIP-290). In: rules, or filters for them; out: the rules that
//! there are, and for each order whether it was carried out.

use klamm_protocol::messages::create_acls::{AclCreation, CreateAclsRequest};
use klamm_protocol::messages::delete_acls::{
    DeleteAclsFilter, DeleteAclsFilterResult, DeleteAclsRequest,
};
use klamm_protocol::messages::describe_acls::{DescribeAclsRequest, DescribeAclsResource};

use crate::client::Client;
use crate::cluster::Repeat;
use crate::error::{Error, Result};

use super::each::{Call, Each, Item, Node, To, Told, about, verdict};
use super::kinds::kinds;

kinds! {
    /// What a rule is about.
    AclResource("resource") {
        /// Topics.
        2 Topic "topic";
        /// Groups.
        3 Group "group";
        /// The cluster; its name is `kafka-cluster`.
        4 Cluster "cluster";
        /// Transactional ids.
        5 TransactionalId "transactional-id";
        /// Delegation tokens, by their ids.
        6 DelegationToken "delegation-token";
        /// Users, such as `User:alice`, whose tokens others may create (KIP-373).
        7 User "user";
    }
}

kinds! {
    /// How the name in a rule is meant (KIP-290).
    AclPattern("pattern") {
        /// As it stands; `*` means all.
        3 Literal "literal";
        /// As the beginning of names.
        4 Prefixed "prefixed";
    }
}

kinds! {
    /// What somebody does.
    AclOperation("operation") {
        /// Everything.
        2 All "all";
        /// Reads records, or is a member of a group.
        3 Read "read";
        /// Writes records.
        4 Write "write";
        /// Makes topics.
        5 Create "create";
        /// Deletes.
        6 Delete "delete";
        /// Changes what is no setting.
        7 Alter "alter";
        /// Sees that it is there.
        8 Describe "describe";
        /// What brokers do.
        9 ClusterAction "cluster-action";
        /// Sees settings.
        10 DescribeConfigs "describe-configs";
        /// Changes settings.
        11 AlterConfigs "alter-configs";
        /// Writes idempotently; since 2.8 whoever may write may do it so.
        12 IdempotentWrite "idempotent-write";
        /// Creates tokens for another user (KIP-373).
        13 CreateTokens "create-tokens";
        /// Sees tokens of another user (KIP-373).
        14 DescribeTokens "describe-tokens";
        /// Takes part in a commit of two phases (KIP-939).
        15 TwoPhaseCommit "two-phase-commit";
    }
}

kinds! {
    /// What a rule says about an operation.
    AclPermission("permission") {
        /// It must not be done, whatever other rules say.
        2 Deny "deny";
        /// It may be done.
        3 Allow "allow";
    }
}

/// A rule: who may, or may not, do what to which resource.
///
/// ```
/// use klamm_client::admin::{Acl, AclFilter, AclOperation, AclPattern, AclResource};
///
/// let rule = Acl::allow("User:alice", AclOperation::Read, AclResource::Topic, "orders-")
///     .with_pattern(AclPattern::Prefixed)
///     .with_host("10.0.0.7");
/// let exactly = AclFilter::from(&rule);
/// let hers = AclFilter::any().with_principal("User:alice");
/// assert_eq!((exactly.name.as_deref(), hers.name), (Some("orders-"), None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Acl {
    /// The kind of resource.
    pub resource: AclResource,
    /// Its name, `*` for all of the kind.
    pub name: String,
    /// How the name is meant.
    pub pattern: AclPattern,
    /// Whom it is about, such as `User:alice`; `User:*` is everybody.
    pub principal: String,
    /// From which address; `*` is anywhere.
    pub host: String,
    /// What is done.
    pub operation: AclOperation,
    /// Whether it may be done.
    pub permission: AclPermission,
}

/// Which rules are meant; what is `None` matches everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct AclFilter {
    /// The kind of resource.
    pub resource: Option<AclResource>,
    /// The name of the resource, as `pattern` understands it.
    pub name: Option<String>,
    /// Which rules the name finds.
    pub pattern: AclMatch,
    /// Whom they are about.
    pub principal: Option<String>,
    /// From which address.
    pub host: Option<String>,
    /// What is done.
    pub operation: Option<AclOperation>,
    /// Whether it may be done.
    pub permission: Option<AclPermission>,
}

/// Which rules a name in a filter finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AclMatch {
    /// Those with this very name, however it is meant there.
    Any,
    /// Those that apply to a resource of this name: by it, by a beginning of it, or by `*`.
    Affecting,
    /// Those with this very name in this kind of pattern.
    Exactly(AclPattern),
}

impl Acl {
    /// Allows an operation on a resource of this very name, from anywhere.
    pub fn allow(
        principal: impl Into<String>,
        operation: AclOperation,
        resource: AclResource,
        name: impl Into<String>,
    ) -> Self {
        Self {
            resource,
            name: name.into(),
            pattern: AclPattern::Literal,
            principal: principal.into(),
            host: "*".to_owned(),
            operation,
            permission: AclPermission::Allow,
        }
    }

    /// Denies an operation on a resource of this very name, from anywhere.
    pub fn deny(
        principal: impl Into<String>,
        operation: AclOperation,
        resource: AclResource,
        name: impl Into<String>,
    ) -> Self {
        let permission = AclPermission::Deny;
        Self { permission, ..Self::allow(principal, operation, resource, name) }
    }

    /// Says how the name is meant.
    #[must_use]
    pub fn with_pattern(mut self, pattern: AclPattern) -> Self {
        self.pattern = pattern;
        self
    }

    /// Limits it to requests from this address.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }
}

impl AclFilter {
    /// Matches all rules.
    pub fn any() -> Self {
        Self {
            resource: None,
            name: None,
            pattern: AclMatch::Any,
            principal: None,
            host: None,
            operation: None,
            permission: None,
        }
    }

    /// Only rules about this kind of resource.
    #[must_use]
    pub fn with_resource(mut self, resource: AclResource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Only rules that this name finds.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>, pattern: AclMatch) -> Self {
        self.name = Some(name.into());
        self.pattern = pattern;
        self
    }

    /// Only rules about this principal, such as `User:alice`.
    #[must_use]
    pub fn with_principal(mut self, principal: impl Into<String>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// Only rules about this address.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Only rules about this operation.
    #[must_use]
    pub fn with_operation(mut self, operation: AclOperation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only rules that allow, or that deny.
    #[must_use]
    pub fn with_permission(mut self, permission: AclPermission) -> Self {
        self.permission = Some(permission);
        self
    }
}

impl Default for AclFilter {
    fn default() -> Self {
        Self::any()
    }
}

/// Finds this very rule.
impl From<&Acl> for AclFilter {
    fn from(acl: &Acl) -> Self {
        Self {
            resource: Some(acl.resource),
            name: Some(acl.name.clone()),
            pattern: AclMatch::Exactly(acl.pattern),
            principal: Some(acl.principal.clone()),
            host: Some(acl.host.clone()),
            operation: Some(acl.operation),
            permission: Some(acl.permission),
        }
    }
}

/// A rule that a filter found, and whether it is gone.
pub type DeletedAcl = (Acl, Result<()>);

impl Client {
    /// The rules that a filter finds, in order.
    ///
    /// # Errors
    ///
    /// The broker's code with its own words: `SECURITY_DISABLED` where the cluster runs without an
    /// authorizer, `CLUSTER_AUTHORIZATION_FAILED` where the user may not know the rules.
    /// [`TimedOut`](crate::ErrorKind::TimedOut) after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn describe_acls(&self, filter: &AclFilter) -> Result<Vec<Acl>> {
        let request = &describe_request(filter);
        let mut found = self
            .question(Node::Any, Repeat::Harmless, |handle, deadline| async move {
                let response = handle.request(request, deadline).await?;
                verdict(response.error_code, response.error_message)?;
                Ok(response.resources.into_iter().flat_map(rules).collect::<Vec<_>>())
            })
            .await?;
        found.sort();
        Ok(found)
    }

    /// Adds rules. The results stand in the order of the rules; one that is there already is no
    /// error, so what got no answer is ordered again. Other brokers may learn of a rule a moment
    /// later.
    ///
    /// # Errors
    ///
    /// For each as [`Client::describe_acls`], or `INVALID_REQUEST` where the rule makes no sense.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: rules may or may not be added.
    pub async fn create_acls(&self, acls: &[Acl]) -> Vec<Result<()>> {
        let to = To::Node(|_: &Acl| Node::Controller);
        Each { client: self, items: acls, to, repeat: Repeat::Harmless }.ask(create).await
    }

    /// Removes the rules that filters find. For each filter, in their order: the rules found, each
    /// with whether it is gone. A rule that two filters find is told for both or for one of them.
    ///
    /// # Errors
    ///
    /// For each filter as [`Client::describe_acls`], or
    /// [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) where the request got no answer; it is
    /// not repeated, since a second answer would not tell the rules.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: rules may or may not be removed.
    pub async fn delete_acls(&self, filters: &[AclFilter]) -> Vec<Result<Vec<DeletedAcl>>> {
        let to = To::Node(|_: &AclFilter| Node::Controller);
        Each { client: self, items: filters, to, repeat: Repeat::Harmful }.ask(delete).await
    }
}

impl Item for Acl {
    type Key = Self;

    fn key(&self) -> Self {
        self.clone()
    }

    fn named(&self, error: Error) -> Error {
        let error = about(error, "rule for", &self.principal);
        let error = about(error, "operation", self.operation);
        about(error, "resource", format!("{} {}", self.resource, self.name))
    }
}

impl Item for AclFilter {
    type Key = Self;

    fn key(&self) -> Self {
        self.clone()
    }

    fn named(&self, error: Error) -> Error {
        let or_any = |text: &Option<String>| text.as_deref().unwrap_or("any").to_owned();
        let error = about(error, "rules for", or_any(&self.principal));
        let kind = self.resource.map_or("any", AclResource::name);
        about(error, "resource", format!("{kind} {}", or_any(&self.name)))
    }
}

/// Results of this API have no names: they stand in the order of the request.
async fn create(call: Call<'_, Acl>) -> Told<Acl, ()> {
    let creation = |acl: &&Acl| AclCreation {
        resource_type: acl.resource.to_wire(),
        resource_name: acl.name.clone(),
        resource_pattern_type: acl.pattern.to_wire(),
        principal: acl.principal.clone(),
        host: acl.host.clone(),
        operation: acl.operation.to_wire(),
        permission_type: acl.permission.to_wire(),
    };
    let request = CreateAclsRequest { creations: call.items.iter().map(creation).collect() };
    let results = call.request(&request).await?.results.into_iter();
    let told = call.items.iter().zip(results);
    Ok(told.map(|(acl, one)| (acl.key(), verdict(one.error_code, one.error_message))).collect())
}

/// As [`create`], in the order of the request.
async fn delete(call: Call<'_, AclFilter>) -> Told<AclFilter, Vec<DeletedAcl>> {
    let filters = call.items.iter().map(|filter| delete_filter(filter)).collect();
    let results = call.request(&DeleteAclsRequest { filters }).await?.filter_results.into_iter();
    let told = call.items.iter().zip(results);
    Ok(told.map(|(filter, one)| (filter.key(), deleted(one))).collect())
}

fn deleted(told: DeleteAclsFilterResult) -> Result<Vec<DeletedAcl>> {
    verdict(told.error_code, told.error_message)?;
    let rules = told.matching_acls.into_iter().map(|one| {
        let gone = verdict(one.error_code, one.error_message);
        let acl = Acl {
            resource: AclResource::of_wire(one.resource_type),
            name: one.resource_name,
            pattern: AclPattern::of_wire(one.pattern_type),
            principal: one.principal,
            host: one.host,
            operation: AclOperation::of_wire(one.operation),
            permission: AclPermission::of_wire(one.permission_type),
        };
        let gone = gone.map_err(|error| acl.named(error));
        (acl, gone)
    });
    let mut rules: Vec<DeletedAcl> = rules.collect();
    rules.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(rules)
}

fn rules(resource: DescribeAclsResource) -> impl Iterator<Item = Acl> {
    let DescribeAclsResource { resource_type, resource_name, pattern_type, acls } = resource;
    acls.into_iter().map(move |one| Acl {
        resource: AclResource::of_wire(resource_type),
        name: resource_name.clone(),
        pattern: AclPattern::of_wire(pattern_type),
        principal: one.principal,
        host: one.host,
        operation: AclOperation::of_wire(one.operation),
        permission: AclPermission::of_wire(one.permission_type),
    })
}

fn describe_request(filter: &AclFilter) -> DescribeAclsRequest {
    DescribeAclsRequest {
        resource_type_filter: filter.resource.map_or(ANY, AclResource::to_wire),
        resource_name_filter: filter.name.clone(),
        pattern_type_filter: filter.pattern.to_wire(),
        principal_filter: filter.principal.clone(),
        host_filter: filter.host.clone(),
        operation: filter.operation.map_or(ANY, AclOperation::to_wire),
        permission_type: filter.permission.map_or(ANY, AclPermission::to_wire),
    }
}

fn delete_filter(filter: &AclFilter) -> DeleteAclsFilter {
    DeleteAclsFilter {
        resource_type_filter: filter.resource.map_or(ANY, AclResource::to_wire),
        resource_name_filter: filter.name.clone(),
        pattern_type_filter: filter.pattern.to_wire(),
        principal_filter: filter.principal.clone(),
        host_filter: filter.host.clone(),
        operation: filter.operation.map_or(ANY, AclOperation::to_wire),
        permission_type: filter.permission.map_or(ANY, AclPermission::to_wire),
    }
}

impl AclMatch {
    fn to_wire(self) -> i8 {
        match self {
            Self::Any => ANY,
            Self::Affecting => 2,
            Self::Exactly(pattern) => pattern.to_wire(),
        }
    }
}

/// What the caller may do with something, out of an answer's bit set; `None` where the broker does
/// not tell (KIP-430).
pub(super) fn allowed(bits: i32) -> Option<Vec<AclOperation>> {
    let set = |code: &i8| bits & (1 << *code) != 0;
    (bits != i32::MIN).then(|| (0..31).filter(set).map(AclOperation::of_wire).collect())
}

/// In filters this number matches every kind.
const ANY: i8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_words_that_are_read_back_whatever_their_case() {
        for operation in AclOperation::ALL {
            assert_eq!(
                operation.name().to_uppercase().parse::<AclOperation>().ok(),
                Some(*operation)
            );
            assert_eq!(AclOperation::of_wire(operation.to_wire()), *operation);
        }
        assert_eq!(AclOperation::of_wire(99).to_string(), "unknown (99)");
        let error = "reed".parse::<AclOperation>().unwrap_err().to_string();
        assert!(error.contains("(operation reed); use one of all, read,"), "{error}");
    }

    #[test]
    fn rights_are_read_out_of_their_bit_set() {
        assert_eq!(allowed(i32::MIN), None);
        assert_eq!(allowed(0), Some(Vec::new()));
        assert_eq!(
            allowed(1 << 3 | 1 << 8),
            Some(vec![AclOperation::Read, AclOperation::Describe])
        );
    }
}
