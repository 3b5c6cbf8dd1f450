//! Delegation tokens (KIP-48, KIP-373): made, renewed, ended, told, and gone when they expire.
//!
//! Kafka gives tokens only to who has logged in. Here everybody gets them, as `User:ANONYMOUS`
//! unless they ask for another's, and may renew and end each.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::create_delegation_token::{
    CreateDelegationTokenRequest, CreateDelegationTokenResponse,
};
use klamm_protocol::messages::describe_delegation_token::{
    DescribeDelegationTokenRequest, DescribeDelegationTokenResponse, DescribedDelegationToken,
    DescribedDelegationTokenRenewer,
};
use klamm_protocol::messages::expire_delegation_token::{
    ExpireDelegationTokenRequest, ExpireDelegationTokenResponse,
};
use klamm_protocol::messages::renew_delegation_token::{
    RenewDelegationTokenRequest, RenewDelegationTokenResponse,
};
use klamm_protocol::wire::{Secret, Uuid};

use super::MOST_KEPT;
use crate::broker::outbox::Context;
use crate::broker::topology::Topology;

/// All tokens, by their secret.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    tokens: BTreeMap<Bytes, Token>,
}

#[derive(Debug)]
struct Token {
    id: String,
    owner: Principal,
    renewers: Vec<Principal>,
    issued_ms: i64,
    expires_ms: i64,
    max_ms: i64,
}

type Principal = (String, String);

impl Tokens {
    /// Answers CreateDelegationToken.
    pub(crate) fn create(
        &mut self,
        topology: &mut Topology,
        context: &Context<'_>,
        request: &CreateDelegationTokenRequest,
    ) -> CreateDelegationTokenResponse {
        let now_ms = context.wall_ms;
        self.forget_expired(now_ms);
        let renewers = request.renewers.iter();
        let renewers: Vec<Principal> =
            renewers.map(|one| (one.principal_type.clone(), one.principal_name.clone())).collect();
        let owner = (&request.owner_principal_type, &request.owner_principal_name);
        let owner = match owner {
            (Some(kind), Some(name)) if !kind.is_empty() => (kind.clone(), name.clone()),
            _ => anonymous(),
        };
        if renewers.iter().chain([&owner]).any(|(kind, _)| kind != USER) {
            return refuse_create(ErrorCode::INVALID_PRINCIPAL_TYPE);
        }
        if self.tokens.len() >= MOST_KEPT {
            return refuse_create(ErrorCode::INVALID_REQUEST);
        }
        let lifetime = Some(request.max_lifetime_ms).filter(|lifetime| *lifetime > 0);
        let max_ms =
            now_ms.saturating_add(lifetime.unwrap_or(MAX_LIFETIME_MS).min(MAX_LIFETIME_MS));
        let token = Token {
            id: text(topology.new_id()),
            owner,
            renewers,
            issued_ms: now_ms,
            expires_ms: max_ms.min(now_ms.saturating_add(RENEW_PERIOD_MS)),
            max_ms,
        };
        let hmac: Bytes =
            [0; 4].iter().flat_map(|_| topology.new_id().0).collect::<Vec<_>>().into();
        let (requester_type, requester_name) = requester(context.origin.version);
        let response = CreateDelegationTokenResponse {
            principal_type: token.owner.0.clone(),
            principal_name: token.owner.1.clone(),
            token_requester_principal_type: requester_type,
            token_requester_principal_name: requester_name,
            issue_timestamp_ms: token.issued_ms,
            expiry_timestamp_ms: token.expires_ms,
            max_timestamp_ms: token.max_ms,
            token_id: token.id.clone(),
            hmac: Secret(hmac.clone()),
            ..CreateDelegationTokenResponse::default()
        };
        self.tokens.insert(hmac, token);
        response
    }

    /// Answers RenewDelegationToken.
    pub(crate) fn renew(
        &mut self,
        now_ms: i64,
        request: &RenewDelegationTokenRequest,
    ) -> RenewDelegationTokenResponse {
        let period = Some(request.renew_period_ms).filter(|period| *period > 0);
        let expires = now_ms.saturating_add(period.unwrap_or(RENEW_PERIOD_MS));
        let renewed = self.live(&request.hmac, now_ms).map(|token| {
            token.expires_ms = expires.min(token.max_ms);
            token.expires_ms
        });
        match renewed {
            Ok(expiry_timestamp_ms) => RenewDelegationTokenResponse {
                expiry_timestamp_ms,
                ..RenewDelegationTokenResponse::default()
            },
            Err(code) => refuse_renew(code),
        }
    }

    /// Answers ExpireDelegationToken.
    pub(crate) fn expire(
        &mut self,
        now_ms: i64,
        request: &ExpireDelegationTokenRequest,
    ) -> ExpireDelegationTokenResponse {
        let period = request.expiry_time_period_ms;
        let ended = self.live(&request.hmac, now_ms).map(|token| {
            if period >= 0 {
                token.expires_ms = now_ms.saturating_add(period).min(token.max_ms);
            }
            token.expires_ms
        });
        if ended.is_ok() && period < 0 {
            self.tokens.remove(&request.hmac.0);
        }
        match ended {
            Ok(expires_ms) => ExpireDelegationTokenResponse {
                expiry_timestamp_ms: if period < 0 { now_ms } else { expires_ms },
                ..ExpireDelegationTokenResponse::default()
            },
            Err(code) => refuse_expire(code),
        }
    }

    /// Answers DescribeDelegationToken.
    pub(crate) fn describe(
        &mut self,
        context: &Context<'_>,
        request: &DescribeDelegationTokenRequest,
    ) -> DescribeDelegationTokenResponse {
        let (now_ms, version) = (context.wall_ms, context.origin.version);
        self.forget_expired(now_ms);
        let wanted = |token: &Token| {
            request.owners.as_ref().is_none_or(|owners| {
                owners.iter().any(|owner| {
                    (&owner.principal_type, &owner.principal_name)
                        == (&token.owner.0, &token.owner.1)
                })
            })
        };
        let found = self.tokens.iter().filter(|(_, token)| wanted(token));
        DescribeDelegationTokenResponse {
            tokens: found.map(|(hmac, token)| token.described(hmac, version)).collect(),
            ..DescribeDelegationTokenResponse::default()
        }
    }

    /// The owner of a token that still holds, its password, and for how long it holds.
    pub(crate) fn login(&self, id: &str, now_ms: i64) -> Option<(String, String, Duration)> {
        let (hmac, token) = self.tokens.iter().find(|(_, token)| token.id == id)?;
        let left = token.expires_ms.checked_sub(now_ms).filter(|left| *left > 0)?;
        let lifetime = Duration::from_millis(u64::try_from(left).ok()?);
        Some((token.owner.1.clone(), STANDARD.encode(hmac), lifetime))
    }

    fn live(&mut self, hmac: &Secret, now_ms: i64) -> Result<&mut Token, ErrorCode> {
        let token = self.tokens.get_mut(&hmac.0);
        let token = token.ok_or(ErrorCode::DELEGATION_TOKEN_NOT_FOUND)?;
        if token.expires_ms <= now_ms {
            return Err(ErrorCode::DELEGATION_TOKEN_EXPIRED);
        }
        Ok(token)
    }

    fn forget_expired(&mut self, now_ms: i64) {
        self.tokens.retain(|_, token| token.expires_ms > now_ms);
    }
}

impl Token {
    fn described(&self, hmac: &Bytes, version: i16) -> DescribedDelegationToken {
        let (requester_type, requester_name) = requester(version);
        let renewer = |(kind, name): &Principal| DescribedDelegationTokenRenewer {
            principal_type: kind.clone(),
            principal_name: name.clone(),
        };
        DescribedDelegationToken {
            principal_type: self.owner.0.clone(),
            principal_name: self.owner.1.clone(),
            token_requester_principal_type: requester_type,
            token_requester_principal_name: requester_name,
            issue_timestamp: self.issued_ms,
            expiry_timestamp: self.expires_ms,
            max_timestamp: self.max_ms,
            token_id: self.id.clone(),
            hmac: Secret(hmac.clone()),
            renewers: self.renewers.iter().map(renewer).collect(),
        }
    }
}

/// CreateDelegationToken refused with `code`.
pub(crate) fn refuse_create(error_code: ErrorCode) -> CreateDelegationTokenResponse {
    CreateDelegationTokenResponse { error_code, ..CreateDelegationTokenResponse::default() }
}

/// RenewDelegationToken refused with `code`.
pub(crate) fn refuse_renew(error_code: ErrorCode) -> RenewDelegationTokenResponse {
    RenewDelegationTokenResponse { error_code, ..RenewDelegationTokenResponse::default() }
}

/// ExpireDelegationToken refused with `code`.
pub(crate) fn refuse_expire(error_code: ErrorCode) -> ExpireDelegationTokenResponse {
    ExpireDelegationTokenResponse { error_code, ..ExpireDelegationTokenResponse::default() }
}

/// DescribeDelegationToken refused with `code`.
pub(crate) fn refuse_describe(error_code: ErrorCode) -> DescribeDelegationTokenResponse {
    DescribeDelegationTokenResponse { error_code, ..DescribeDelegationTokenResponse::default() }
}

fn anonymous() -> Principal {
    (USER.to_owned(), "ANONYMOUS".to_owned())
}

/// Who asked for a token; older versions do not tell.
fn requester(version: i16) -> Principal {
    if version >= REQUESTERS { anonymous() } else { Principal::default() }
}

fn text(id: Uuid) -> String {
    id.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// From this version on an answer tells who asked for a token (KIP-373).
const REQUESTERS: i16 = 3;
const USER: &str = "User";
/// Kafka's `delegation.token.max.lifetime.ms`.
const MAX_LIFETIME_MS: i64 = 604_800_000;
/// Kafka's `delegation.token.expiry.time.ms`.
const RENEW_PERIOD_MS: i64 = 86_400_000;
