//! What must not be read in a log: messages that hold secrets are printed, and searched for them.

use std::fmt::Debug;

use klamm_protocol::messages::alter_configs::AlterableConfig as ReplacedConfig;
use klamm_protocol::messages::alter_user_scram_credentials::ScramCredentialUpsertion;
use klamm_protocol::messages::create_delegation_token::CreateDelegationTokenResponse;
use klamm_protocol::messages::describe_delegation_token::DescribedDelegationToken;
use klamm_protocol::messages::expire_delegation_token::ExpireDelegationTokenRequest;
use klamm_protocol::messages::incremental_alter_configs::AlterableConfig;
use klamm_protocol::messages::renew_delegation_token::RenewDelegationTokenRequest;
use klamm_protocol::messages::sasl_authenticate::{
    SaslAuthenticateRequest, SaslAuthenticateResponse,
};
use klamm_protocol::wire::Secret;

#[test]
fn secrets_are_kept_but_not_printed() {
    let hmac = || Secret::from(SECRET.as_bytes());
    let value = Some(SECRET.to_owned());
    hides(&SaslAuthenticateRequest { auth_bytes: hmac() });
    hides(&SaslAuthenticateResponse { auth_bytes: hmac(), ..Default::default() });
    hides(&ScramCredentialUpsertion { salted_password: hmac(), ..Default::default() });
    hides(&CreateDelegationTokenResponse { hmac: hmac(), ..Default::default() });
    hides(&RenewDelegationTokenRequest { hmac: hmac(), ..Default::default() });
    hides(&ExpireDelegationTokenRequest { hmac: hmac(), ..Default::default() });
    hides(&DescribedDelegationToken { hmac: hmac(), ..Default::default() });
    hides(&ReplacedConfig { value: value.clone(), ..Default::default() });
    hides(&AlterableConfig { value, ..Default::default() });
}

fn hides<M: Debug + Default + PartialEq>(message: &M) {
    assert_ne!(message, &M::default(), "the secret is in there");
    let printed = format!("{message:?}");
    assert!(!printed.contains(SECRET), "{printed}");
}

const SECRET: &str = "wonderland";
