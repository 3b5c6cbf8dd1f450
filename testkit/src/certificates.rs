//! Certificates for a test, made on the spot. In: host names; out: an authority, what it signs, and
//! both sides of TLS that use it.
//!
//! Keys are of P-256, and signed by graviola, so that no test needs C for it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use graviola::hashing::Sha256;
use graviola::signing::ecdsa::{P256, SigningKey};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose,
    PublicKeyData, SignatureAlgorithm,
};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

/// Signs certificates.
#[derive(Debug)]
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, Key>,
}

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key, as PKCS#8.
    pub key: String,
}

impl Authority {
    /// An authority of its own, which nobody else trusts.
    pub fn new(name: &str) -> Self {
        let key = Key::generate();
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).expect("the parameters are complete");
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// Its own certificate as PEM, for trust stores.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its own certificate and key, as a server that should not has them.
    pub fn own(&self) -> Identity {
        Identity { certificate: self.pem.clone(), key: self.issuer.key().pem() }
    }

    /// Signs a certificate for these host names or addresses.
    pub fn issue(&self, name: &str, hosts: &[&str]) -> Identity {
        self.sign(&named(name, hosts))
    }

    /// As [`Authority::issue`], and long expired.
    pub fn issue_expired(&self, name: &str, hosts: &[&str]) -> Identity {
        let mut params = named(name, hosts);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        self.sign(&params)
    }

    /// A server that shows `identity`, and demands certificates of this authority from its clients
    /// if `mutual`.
    pub fn server(&self, identity: &Identity, mutual: bool) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls_graviola::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has both");
        let builder = if mutual {
            let roots = Arc::new(self.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder.with_client_cert_verifier(verifier.expect("one root"))
        } else {
            builder.with_no_client_auth()
        };
        let (chain, key) = identity.der();
        Arc::new(builder.with_single_cert(chain, key).expect("they belong together"))
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.pem)).expect("a certificate of our own");
        roots
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = Key::generate();
        let certificate = params.signed_by(&key, &self.issuer).expect("complete");
        Identity { certificate: certificate.pem(), key: key.pem() }
    }
}

impl Identity {
    /// Certificate and key in one text, as a PEM key store has them.
    pub fn pem(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }

    fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key of our own");
        (vec![certificate(&self.certificate)], key)
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate of our own")
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("plain host names");
    params.distinguished_name.push(DnType::CommonName, name);
    // Without cryptography of its own the library chooses neither.
    params.serial_number = Some(fastrand::u64(1..u64::MAX / 2).into());
    let id = std::iter::repeat_with(|| fastrand::u8(..)).take(20).collect();
    params.key_identifier_method = KeyIdMethod::PreSpecified(id);
    params
}

/// A private key, and its public point.
struct Key(SigningKey<P256>, Vec<u8>);

impl Key {
    fn generate() -> Self {
        let key = SigningKey::generate().expect("randomness");
        let mut buffer = [0; 256];
        let info = key.to_spki_der(&mut buffer).expect("room enough");
        // The point is what the structure ends with.
        let point = info[info.len() - POINT..].to_vec();
        Self(key, point)
    }

    fn pem(&self) -> String {
        let mut buffer = [0; 512];
        let der = self.0.to_pkcs8_der(&mut buffer).expect("room enough");
        pem_of("PRIVATE KEY", der)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.1
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut buffer = [0; 128];
        let signature = self.0.sign_asn1::<Sha256>(&[message], &mut buffer);
        signature.map(<[u8]>::to_vec).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

fn pem_of(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// An uncompressed point of P-256.
const POINT: usize = 65;
