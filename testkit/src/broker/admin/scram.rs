//! Users with SCRAM credentials (KIP-554): kept and told, never with salt or password.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    AlterUserScramCredentialsResult, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use klamm_protocol::messages::describe_user_scram_credentials::{
    CredentialInfo, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
};
use klamm_protocol::session::sasl::ScramHash;
use klamm_protocol::wire::Secret;

use super::MOST_KEPT;
use crate::log::Refusal;

/// All users, by name and the number of the mechanism.
#[derive(Debug, Default)]
pub(crate) struct ScramUsers {
    users: BTreeMap<String, BTreeMap<i8, Credential>>,
}

/// What a login by SCRAM is checked against.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    pub(crate) iterations: i32,
    pub(crate) salt: Bytes,
    pub(crate) salted_password: Secret,
}

impl ScramUsers {
    /// Answers DescribeUserScramCredentials.
    pub(crate) fn describe(
        &self,
        request: &DescribeUserScramCredentialsRequest,
    ) -> DescribeUserScramCredentialsResponse {
        let asked = request.users.as_ref().filter(|users| !users.is_empty());
        let names: Vec<&str> = match asked {
            Some(users) => users.iter().map(|user| user.name.as_str()).collect(),
            None => self.users.keys().map(String::as_str).collect(),
        };
        let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
        for name in &names {
            if !seen.insert(*name) {
                twice.insert(*name);
            }
        }
        let user = |name: &str| {
            let refusal = match self.users.get(name) {
                _ if twice.contains(name) => Some(duplicate(name)),
                None => Some(Refusal::new(
                    ErrorCode::RESOURCE_NOT_FOUND,
                    format!("Attempt to describe a user credential that does not exist: {name}"),
                )),
                Some(_) => None,
            };
            let known = self.users.get(name).filter(|_| refusal.is_none());
            let info = |(mechanism, one): (&i8, &Credential)| CredentialInfo {
                mechanism: *mechanism,
                iterations: one.iterations,
            };
            DescribeUserScramCredentialsResult {
                user: name.to_owned(),
                error_code: refusal.as_ref().map_or(ErrorCode::NONE, |refusal| refusal.code),
                error_message: refusal.map(|refusal| refusal.message),
                credential_infos: known.into_iter().flatten().map(info).collect(),
            }
        };
        DescribeUserScramCredentialsResponse {
            results: seen.iter().map(|name| user(name)).collect(),
            ..DescribeUserScramCredentialsResponse::default()
        }
    }

    /// What a user logs in by.
    pub(crate) fn credential(&self, user: &str, hash: ScramHash) -> Option<&Credential> {
        let mechanism = if hash == ScramHash::Sha256 { SHA_256 } else { SHA_512 };
        self.users.get(user)?.get(&mechanism)
    }

    /// Answers AlterUserScramCredentials, in which a user may be named once.
    pub(crate) fn alter(
        &mut self,
        request: &AlterUserScramCredentialsRequest,
    ) -> AlterUserScramCredentialsResponse {
        let deletions = request.deletions.iter().map(|one| one.name.as_str());
        let upsertions = request.upsertions.iter().map(|one| one.name.as_str());
        let names: BTreeSet<&str> = deletions.chain(upsertions).collect();
        let results = names.into_iter().map(|name| {
            let outcome = self.alter_user(name, request);
            let refusal = outcome.err();
            AlterUserScramCredentialsResult {
                user: name.to_owned(),
                error_code: refusal.as_ref().map_or(ErrorCode::NONE, |refusal| refusal.code),
                error_message: refusal.map(|refusal| refusal.message),
            }
        });
        AlterUserScramCredentialsResponse {
            results: results.collect(),
            ..AlterUserScramCredentialsResponse::default()
        }
    }

    fn alter_user(
        &mut self,
        name: &str,
        request: &AlterUserScramCredentialsRequest,
    ) -> Result<(), Refusal> {
        let mut credentials = self.users.get(name).cloned().unwrap_or_default();
        if credentials.is_empty() && self.users.len() >= MOST_KEPT {
            let message = format!("this cluster keeps at most {MOST_KEPT} users");
            return Err(Refusal::new(ErrorCode::INVALID_REQUEST, message));
        }
        let deletions: Vec<_> = request.deletions.iter().filter(|one| one.name == name).collect();
        let upsertions: Vec<_> = request.upsertions.iter().filter(|one| one.name == name).collect();
        if deletions.len() + upsertions.len() > 1 {
            return Err(duplicate(name));
        }
        for one in deletions {
            check_deletion(one)?;
            credentials.remove(&one.mechanism).ok_or_else(|| {
                let message = "Attempt to delete a user credential that does not exist";
                Refusal::new(ErrorCode::RESOURCE_NOT_FOUND, message)
            })?;
        }
        for one in upsertions {
            check_upsertion(one)?;
            let credential = Credential {
                iterations: one.iterations,
                salt: one.salt.clone(),
                salted_password: one.salted_password.clone(),
            };
            credentials.insert(one.mechanism, credential);
        }
        if credentials.is_empty() {
            self.users.remove(name);
        } else {
            self.users.insert(name.to_owned(), credentials);
        }
        Ok(())
    }
}

/// DescribeUserScramCredentials refused with `code`.
pub(crate) fn refuse_describe(error_code: ErrorCode) -> DescribeUserScramCredentialsResponse {
    DescribeUserScramCredentialsResponse {
        error_code,
        ..DescribeUserScramCredentialsResponse::default()
    }
}

/// Every user of the request refused with `code`.
pub(crate) fn refuse_alter(
    request: &AlterUserScramCredentialsRequest,
    error_code: ErrorCode,
) -> AlterUserScramCredentialsResponse {
    let deletions = request.deletions.iter().map(|one| &one.name);
    let names: BTreeSet<_> =
        deletions.chain(request.upsertions.iter().map(|one| &one.name)).collect();
    let one = |name: &String| AlterUserScramCredentialsResult {
        user: name.clone(),
        error_code,
        error_message: None,
    };
    AlterUserScramCredentialsResponse {
        results: names.into_iter().map(one).collect(),
        ..AlterUserScramCredentialsResponse::default()
    }
}

fn check_deletion(one: &ScramCredentialDeletion) -> Result<(), Refusal> {
    check_name(&one.name)?;
    check_mechanism(one.mechanism)
}

fn check_upsertion(one: &ScramCredentialUpsertion) -> Result<(), Refusal> {
    check_name(&one.name)?;
    check_mechanism(one.mechanism)?;
    let refusal = |message: &str| Err(Refusal::new(ErrorCode::UNACCEPTABLE_CREDENTIAL, message));
    if one.iterations < LEAST_ITERATIONS {
        return refusal("Too few iterations");
    }
    if one.iterations > MOST_ITERATIONS {
        return refusal("Too many iterations");
    }
    if one.salted_password.0.is_empty() {
        return refusal("Password must not be empty");
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        let message = "Username must not be empty";
        return Err(Refusal::new(ErrorCode::UNACCEPTABLE_CREDENTIAL, message));
    }
    Ok(())
}

fn check_mechanism(mechanism: i8) -> Result<(), Refusal> {
    if matches!(mechanism, SHA_256 | SHA_512) {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::UNSUPPORTED_SASL_MECHANISM, "Unknown SCRAM mechanism"))
}

fn duplicate(name: &str) -> Refusal {
    let message = format!("A user credential cannot be named twice in one request: {name}");
    Refusal::new(ErrorCode::DUPLICATE_RESOURCE, message)
}

const SHA_256: i8 = 1;
const SHA_512: i8 = 2;
const LEAST_ITERATIONS: i32 = 4096;
const MOST_ITERATIONS: i32 = 16_384;
