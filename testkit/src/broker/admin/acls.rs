//! Access rules (KIP-140, KIP-290): kept, found by filters, removed. They are not enforced.

use std::collections::BTreeSet;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::create_acls::{
    AclCreation, AclCreationResult, CreateAclsRequest, CreateAclsResponse,
};
use klamm_protocol::messages::delete_acls::{
    DeleteAclsFilter, DeleteAclsFilterResult, DeleteAclsMatchingAcl, DeleteAclsRequest,
    DeleteAclsResponse,
};
use klamm_protocol::messages::describe_acls::{
    AclDescription, DescribeAclsRequest, DescribeAclsResource, DescribeAclsResponse,
};

use super::MOST_KEPT;
use crate::log::Refusal;

/// All rules, ordered by what they are about.
#[derive(Debug, Default)]
pub(crate) struct Acls {
    rules: BTreeSet<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    resource: i8,
    name: String,
    pattern: i8,
    principal: String,
    host: String,
    operation: i8,
    permission: i8,
}

impl Acls {
    /// Answers DescribeAcls.
    pub(crate) fn describe(&self, request: &DescribeAclsRequest) -> DescribeAclsResponse {
        let filter = DeleteAclsFilter {
            resource_type_filter: request.resource_type_filter,
            resource_name_filter: request.resource_name_filter.clone(),
            pattern_type_filter: request.pattern_type_filter,
            principal_filter: request.principal_filter.clone(),
            host_filter: request.host_filter.clone(),
            operation: request.operation,
            permission_type: request.permission_type,
        };
        if let Err(refusal) = check_filter(&filter) {
            return refuse_describe(refusal.code, Some(refusal.message));
        }
        let mut resources: Vec<DescribeAclsResource> = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.matches(&filter)) {
            let acl = AclDescription {
                principal: rule.principal.clone(),
                host: rule.host.clone(),
                operation: rule.operation,
                permission_type: rule.permission,
            };
            match resources.last_mut().filter(|last| rule.is_about(last)) {
                Some(last) => last.acls.push(acl),
                None => resources.push(DescribeAclsResource {
                    resource_type: rule.resource,
                    resource_name: rule.name.clone(),
                    pattern_type: rule.pattern,
                    acls: vec![acl],
                }),
            }
        }
        DescribeAclsResponse { resources, ..DescribeAclsResponse::default() }
    }

    /// Answers CreateAcls. A rule that is there already is no error.
    pub(crate) fn create(&mut self, request: &CreateAclsRequest) -> CreateAclsResponse {
        let results = request.creations.iter().map(|creation| {
            let outcome = check(creation).and_then(|()| self.add(Rule::of(creation)));
            let refusal = outcome.err();
            AclCreationResult {
                error_code: refusal.as_ref().map_or(ErrorCode::NONE, |refusal| refusal.code),
                error_message: refusal.map(|refusal| refusal.message),
            }
        });
        CreateAclsResponse { results: results.collect(), ..CreateAclsResponse::default() }
    }

    /// Answers DeleteAcls.
    pub(crate) fn delete(&mut self, request: &DeleteAclsRequest) -> DeleteAclsResponse {
        let results = request.filters.iter().map(|filter| match check_filter(filter) {
            Err(refusal) => DeleteAclsFilterResult {
                error_code: refusal.code,
                error_message: Some(refusal.message),
                ..DeleteAclsFilterResult::default()
            },
            Ok(()) => {
                let found = self.rules.extract_if(.., |rule| rule.matches(filter));
                let matching_acls = found.map(Rule::into_deleted).collect();
                DeleteAclsFilterResult { matching_acls, ..DeleteAclsFilterResult::default() }
            }
        });
        DeleteAclsResponse { filter_results: results.collect(), ..DeleteAclsResponse::default() }
    }

    fn add(&mut self, rule: Rule) -> Result<(), Refusal> {
        if self.rules.len() >= MOST_KEPT && !self.rules.contains(&rule) {
            return Err(invalid(format!("this cluster keeps at most {MOST_KEPT} access rules")));
        }
        self.rules.insert(rule);
        Ok(())
    }
}

/// DescribeAcls refused with `code`.
pub(crate) fn refuse_describe(code: ErrorCode, message: Option<String>) -> DescribeAclsResponse {
    DescribeAclsResponse {
        error_code: code,
        error_message: message,
        ..DescribeAclsResponse::default()
    }
}

/// Every rule of the request refused with `code`.
pub(crate) fn refuse_create(request: &CreateAclsRequest, code: ErrorCode) -> CreateAclsResponse {
    let one = |_: &AclCreation| AclCreationResult { error_code: code, error_message: None };
    CreateAclsResponse {
        results: request.creations.iter().map(one).collect(),
        ..CreateAclsResponse::default()
    }
}

/// Every filter of the request refused with `code`.
pub(crate) fn refuse_delete(request: &DeleteAclsRequest, code: ErrorCode) -> DeleteAclsResponse {
    let one = |_: &DeleteAclsFilter| DeleteAclsFilterResult {
        error_code: code,
        ..DeleteAclsFilterResult::default()
    };
    DeleteAclsResponse {
        filter_results: request.filters.iter().map(one).collect(),
        ..DeleteAclsResponse::default()
    }
}

impl Rule {
    fn of(creation: &AclCreation) -> Self {
        Self {
            resource: creation.resource_type,
            name: creation.resource_name.clone(),
            pattern: creation.resource_pattern_type,
            principal: creation.principal.clone(),
            host: creation.host.clone(),
            operation: creation.operation,
            permission: creation.permission_type,
        }
    }

    fn is_about(&self, resource: &DescribeAclsResource) -> bool {
        (self.resource, self.name.as_str(), self.pattern)
            == (resource.resource_type, resource.resource_name.as_str(), resource.pattern_type)
    }

    fn matches(&self, filter: &DeleteAclsFilter) -> bool {
        let number = |wanted: i8, is: i8| wanted == ANY || wanted == is;
        let text = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        number(filter.resource_type_filter, self.resource)
            && self.is_named(filter)
            && text(&filter.principal_filter, &self.principal)
            && text(&filter.host_filter, &self.host)
            && number(filter.operation, self.operation)
            && number(filter.permission_type, self.permission)
    }

    fn is_named(&self, filter: &DeleteAclsFilter) -> bool {
        let name = filter.resource_name_filter.as_deref();
        match filter.pattern_type_filter {
            MATCH => name.is_none_or(|name| match self.pattern {
                PREFIXED => name.starts_with(&self.name),
                _ => self.name == name || self.name == "*",
            }),
            pattern => {
                (pattern == ANY || pattern == self.pattern)
                    && name.is_none_or(|name| self.name == name)
            }
        }
    }

    fn into_deleted(self) -> DeleteAclsMatchingAcl {
        DeleteAclsMatchingAcl {
            resource_type: self.resource,
            resource_name: self.name,
            pattern_type: self.pattern,
            principal: self.principal,
            host: self.host,
            operation: self.operation,
            permission_type: self.permission,
            ..DeleteAclsMatchingAcl::default()
        }
    }
}

/// Whether a rule makes sense to Kafka.
fn check(creation: &AclCreation) -> Result<(), Refusal> {
    let known = |what: &str, number: i8, known: std::ops::RangeInclusive<i8>| {
        let message = format!("{what} {number} cannot stand in a rule");
        if known.contains(&number) {
            return Ok(());
        }
        // So Kafka says it, too.
        Err(Refusal::new(ErrorCode::UNKNOWN_SERVER_ERROR, message))
    };
    known("Resource type", creation.resource_type, 2..=7)?;
    known("Pattern type", creation.resource_pattern_type, LITERAL..=PREFIXED)?;
    known("Operation", creation.operation, 2..=15)?;
    known("Permission type", creation.permission_type, 2..=3)?;
    if creation.resource_name.is_empty() {
        return Err(invalid("Resource name should not be empty".to_owned()));
    }
    if creation.resource_type == CLUSTER && creation.resource_name != CLUSTER_NAME {
        let message = format!("The only valid name for the CLUSTER resource is {CLUSTER_NAME}");
        return Err(invalid(message));
    }
    if creation.principal.split_once(':').is_none_or(|(kind, _)| kind.is_empty()) {
        let message = format!("Could not parse principal from `{}`", creation.principal);
        return Err(invalid(message));
    }
    Ok(())
}

/// A filter by a number that nobody knows could match rules that its sender does not mean.
fn check_filter(filter: &DeleteAclsFilter) -> Result<(), Refusal> {
    let known = (ANY..=7).contains(&filter.resource_type_filter)
        && (ANY..=PREFIXED).contains(&filter.pattern_type_filter)
        && (ANY..=15).contains(&filter.operation)
        && (ANY..=3).contains(&filter.permission_type);
    if known { Ok(()) } else { Err(invalid("The filter has an unknown component".to_owned())) }
}

fn invalid(message: String) -> Refusal {
    Refusal::new(ErrorCode::INVALID_REQUEST, message)
}

const ANY: i8 = 1;
const MATCH: i8 = 2;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const CLUSTER: i8 = 4;
const CLUSTER_NAME: &str = "kafka-cluster";
