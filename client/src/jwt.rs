//! What a JSON Web Token says of itself. In: a token; out: until when it claims to hold. Nothing here
//! checks a signature: whoever takes the token does, and this side only plans by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The token's `exp`, if it is a JWT and has one.
pub(crate) fn expiry(token: &str) -> Option<SystemTime> {
    let mut parts = token.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    let seconds = claims.get("exp")?.as_f64()?;
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    UNIX_EPOCH.checked_add(since)
}

/// A token without a signature, which anybody could make: for brokers in tests.
pub(crate) fn unsecured(claims: &Value) -> String {
    let part = |value: &str| URL_SAFE_NO_PAD.encode(value);
    format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&claims.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_expiry_is_read_and_nonsense_has_none() {
        let token = unsecured(&json!({"sub": "alice", "exp": 1_700_000_000}));
        let expiry = expiry(&token).expect("it has one");
        assert_eq!(expiry, UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        for exp in [json!(-1), json!("soon"), json!(1e300), json!(null)] {
            assert_eq!(super::expiry(&unsecured(&json!({"exp": exp}))), None);
        }
        for nonsense in ["", "a.b", "a.b.c", "a.e30.c", "a.e30.c.d", "...."] {
            assert_eq!(super::expiry(nonsense), None, "{nonsense}");
        }
    }
}
