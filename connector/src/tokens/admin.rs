//! How the client that obtains a token reaches its cluster and logs in: settings in, its options out, in Spark's order.

use klamm_client::Secret;
use klamm_client::config::jaas::quoted;

use crate::options::{ClusterSettings, StoreFile, TokenSettings};

/// Whether there is a login configuration for the whole process, which is stronger than any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobalLogin {
    /// A file with an entry for clients.
    Present,
    /// None.
    Absent,
}

/// The options of the client that obtains a cluster's token, each once, and warnings about them. The cluster's own
/// `kafka.*` come last, and instead of others of their name.
pub fn admin_options(
    cluster: &ClusterSettings,
    settings: &TokenSettings,
    global: GlobalLogin,
) -> (Vec<(String, Secret)>, Vec<&'static str>) {
    let mut options = Vec::new();
    let mut warnings = Vec::new();
    let mut put = |name: &str, value: &str| options.push((name.to_owned(), Secret::from(value)));
    put("bootstrap.servers", &cluster.auth_servers);
    put("security.protocol", &cluster.security_protocol);
    let (trust, own) = match cluster.security_protocol.as_str() {
        "SASL_SSL" => (true, false),
        "SSL" => {
            warnings.push(BY_CERTIFICATE);
            (true, true)
        }
        "SASL_PLAINTEXT" => {
            warnings.push(IN_THE_OPEN);
            (false, false)
        }
        _ => (false, false),
    };
    if trust {
        put_store(&mut put, "truststore", &cluster.truststore);
    }
    if own {
        put_store(&mut put, "keystore", &cluster.keystore);
        if let Some(password) = &cluster.key_password {
            put("ssl.key.password", password.reveal());
        }
    }
    if global == GlobalLogin::Absent {
        put("sasl.mechanism", "GSSAPI");
        put("sasl.jaas.config", &kerberos_login(cluster, settings));
    }
    options.retain(|(name, _)| !cluster.client.iter().any(|(own, _)| own == name));
    options.extend(cluster.client.iter().cloned());
    (options, warnings)
}

fn put_store(put: &mut impl FnMut(&str, &str), which: &str, store: &StoreFile) {
    let password = store.password.as_ref().map(Secret::reveal);
    let parts = [
        ("type", store.kind.as_deref()),
        ("location", store.location.as_deref()),
        ("password", password),
    ];
    for (part, value) in parts {
        if let Some(value) = value {
            put(&format!("ssl.{which}.{part}"), value);
        }
    }
}

/// The login string for Kerberos: by a keytab if there is one, else by what `kinit` left behind.
fn kerberos_login(cluster: &ClusterSettings, settings: &TokenSettings) -> String {
    let service = quoted(&cluster.service_name);
    match &settings.keytab {
        Some((keytab, principal)) => format!(
            "{KERBEROS} required debug=false useKeyTab=true serviceName={service} keyTab={} principal={};      ",
            quoted(keytab),
            quoted(principal),
        ),
        None => {
            format!(
                "{KERBEROS} required debug=false useTicketCache=true serviceName={service};      "
            )
        }
    }
}

const KERBEROS: &str = "com.sun.security.auth.module.Krb5LoginModule";
const BY_CERTIFICATE: &str = "Obtaining kafka delegation token with SSL protocol. Please configure 2-way \
                              authentication on the broker side.";
const IN_THE_OPEN: &str = "Obtaining kafka delegation token through plain communication channel. Please consider the \
                           security impact.";
