//! Who encrypts. In: the caller's choice, or what this crate was built with, and the processor; out:
//! a provider with the cipher suites that are allowed, or which feature to build with.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};

/// The provider of this configuration.
pub(super) fn provider(config: &Config) -> Result<Arc<CryptoProvider>> {
    let provider = match config.crypto() {
        Some(chosen) => Arc::clone(&chosen.0),
        None => Arc::new(built_in()?),
    };
    let wanted = config.ssl_cipher_suites();
    if wanted.is_empty() {
        return Ok(provider);
    }
    let mut narrowed = CryptoProvider::clone(&provider);
    narrowed.cipher_suites = wanted
        .iter()
        .map(|name| {
            let known = |suite: &&rustls::SupportedCipherSuite| spelt_as_java(suite) == *name;
            provider
                .cipher_suites
                .iter()
                .find(known)
                .copied()
                .ok_or_else(|| unknown(name, &provider))
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(narrowed))
}

/// The one in pure Rust unless a feature says otherwise.
fn built_in() -> Result<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    return Ok(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return Ok(rustls::crypto::ring::default_provider());
    #[cfg(all(feature = "graviola", not(any(feature = "ring", feature = "aws-lc-rs"))))]
    return graviola();
    #[cfg(not(any(feature = "graviola", feature = "ring", feature = "aws-lc-rs")))]
    return Err(Error::new(ErrorKind::Config, "this build holds no cryptography for TLS")
        .with_hint("build with the feature graviola, ring or aws-lc-rs, or hand in a provider"));
}

/// Graviola ends the process on a processor that it does not run on, so the processor is asked
/// before.
#[cfg(all(feature = "graviola", not(any(feature = "ring", feature = "aws-lc-rs"))))]
fn graviola() -> Result<CryptoProvider> {
    refuse_without(&processor())?;
    Ok(rustls_graviola::default_provider())
}

/// The instructions that graviola needs, and whether this processor has them.
#[cfg(all(
    target_arch = "x86_64",
    feature = "graviola",
    not(any(feature = "ring", feature = "aws-lc-rs"))
))]
fn processor() -> Vec<(&'static str, bool)> {
    use std::arch::is_x86_feature_detected as has;
    vec![
        ("adx", has!("adx")),
        ("aes", has!("aes")),
        ("avx", has!("avx")),
        ("avx2", has!("avx2")),
        ("bmi1", has!("bmi1")),
        ("pclmulqdq", has!("pclmulqdq")),
    ]
}

/// As above, for ARM.
#[cfg(all(
    target_arch = "aarch64",
    feature = "graviola",
    not(any(feature = "ring", feature = "aws-lc-rs"))
))]
fn processor() -> Vec<(&'static str, bool)> {
    use std::arch::is_aarch64_feature_detected as has;
    vec![
        ("neon", has!("neon")),
        ("aes", has!("aes")),
        ("pmull", has!("pmull")),
        ("sha2", has!("sha2")),
    ]
}

#[cfg(any(test, all(feature = "graviola", not(any(feature = "ring", feature = "aws-lc-rs")))))]
fn refuse_without(instructions: &[(&'static str, bool)]) -> Result<()> {
    let missing: Vec<_> =
        instructions.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config, "this processor lacks instructions that TLS needs here")
        .with("missing", missing.join(", "))
        .with_hint("build klamm with the feature ring or aws-lc-rs, which do without"))
}

/// rustls marks the suites of TLS 1.3 where Java does not.
fn spelt_as_java(suite: &rustls::SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.strip_prefix("TLS13_").map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"))
}

fn unknown(name: &str, provider: &CryptoProvider) -> Error {
    let known: Vec<_> = provider.cipher_suites.iter().map(spelt_as_java).collect();
    Error::new(ErrorKind::Config, "a cipher suite is unknown or not safe")
        .with("option", "ssl.cipher.suites")
        .with("value", name)
        .with_hint(format!("choose of {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_that_lacks_instructions_is_told_which_feature_to_build_with() {
        assert!(refuse_without(&[("aes", true)]).is_ok());
        let error = refuse_without(&[("aes", true), ("adx", false), ("avx2", false)]);
        let line = error.expect_err("it lacks two").to_string();
        assert!(line.contains("missing adx, avx2") && line.contains("feature ring"), "{line}");
    }

    #[test]
    fn cipher_suites_are_named_as_in_java_and_keep_their_order() {
        let names = ["TLS_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"];
        let config = |names: &[&str]| {
            Config::default()
                .with_ssl_cipher_suites(names.iter().map(|name| (*name).to_owned()).collect())
        };
        let narrowed = provider(&config(&names)).expect("both are known");
        let kept: Vec<_> = narrowed.cipher_suites.iter().map(spelt_as_java).collect();
        assert_eq!(kept, names);
        let line = provider(&config(&["TLS_RSA_WITH_AES_128_CBC_SHA"])).err();
        assert!(line.is_some_and(|error| error.to_string().contains("TLS_AES_128_GCM_SHA256")));
    }
}
