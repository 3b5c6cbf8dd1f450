//! The options of Kerberos. In: Java's `Krb5LoginModule` as data, and `sasl.kerberos.*`; out: where
//! this client's key is and what brokers are called, or why these options do not say it.

use crate::config::jaas::JaasModule;
use crate::error::{Error, ErrorKind, Result};
use crate::kerberos::Principal;

use super::Config;
use super::sasl::{JAAS, needed, wrong};

/// How to come by tickets.
#[derive(Clone, Debug)]
pub(crate) struct KerberosPlan {
    pub(crate) from: KeyPlace,
    /// The first part of the brokers' name.
    pub(crate) service: String,
    /// The file that says where KDCs are.
    pub(crate) conf: Option<String>,
}

/// What proves who this client is.
#[derive(Clone, Debug)]
pub(crate) enum KeyPlace {
    /// A file of keys, and whose is to be used.
    Keytab { path: String, principal: Principal },
    /// A file of tickets that somebody else keeps fresh; `None` for the one that `KRB5CCNAME` names, or
    /// that `kinit` makes by itself.
    Cache { path: Option<String>, principal: Option<Principal> },
}

/// What the module and the options say.
///
/// # Errors
///
/// [`ErrorKind::Config`] for modules that ask for what is not there, and for a service that is named
/// not at all or twice.
pub(super) fn plan(config: &Config, module: &JaasModule) -> Result<KerberosPlan> {
    let text = |key: &str| module.option(key).map(|value| value.reveal());
    let is = |key: &str| text(key).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    for key in ["useFirstPass", "tryFirstPass", "storePass"] {
        if is(key) {
            return wrong("nobody is asked for a password here", JAAS, KEYTAB_HINT);
        }
    }
    if text("isInitiator").is_some_and(|value| value.eq_ignore_ascii_case("false")) {
        return wrong("a client has to begin a login", JAAS, "take isInitiator away");
    }
    let principal = match text("principal") {
        Some(name) => Some(Principal::parse(name).ok_or_else(|| {
            Error::new(ErrorKind::Config, "a principal cannot be read")
                .with("option", JAAS)
                .with_hint("write name@REALM or name/host@REALM")
        })?),
        None => None,
    };
    let from = if is("useKeyTab") {
        let path = needed(module, "keyTab")?.reveal();
        let path = path.strip_prefix("FILE:").unwrap_or(path).to_owned();
        needed(module, "principal")?;
        let Some(principal) = principal else {
            return wrong("the login module has no principal", JAAS, KEYTAB_HINT);
        };
        KeyPlace::Keytab { path, principal }
    } else if is("useTicketCache") {
        KeyPlace::Cache { path: text("ticketCache").map(str::to_owned), principal }
    } else {
        let what = "the login module uses neither a keytab nor a ticket cache";
        return wrong(what, JAAS, KEYTAB_HINT);
    };
    let service = match (config.sasl_kerberos_service.as_deref(), text("serviceName")) {
        (Some(one), Some(other)) if one != other => {
            return wrong("the brokers' service is named twice", SERVICE, "take one of them away");
        }
        (Some(service), _) | (None, Some(service)) => service.to_owned(),
        (None, None) => {
            let hint = "set it to the first part of the brokers' principal: kafka, most likely";
            return wrong("nothing says what the brokers are called in Kerberos", SERVICE, hint);
        }
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if service.is_empty() || !service.chars().all(plain) {
        return wrong("the brokers' service has no such name", SERVICE, "write kafka, most likely");
    }
    Ok(KerberosPlan { from, service, conf: config.sasl_kerberos_conf.clone() })
}

const SERVICE: &str = "sasl.kerberos.service.name";
const KEYTAB_HINT: &str =
    "write useKeyTab=true keyTab=\"...\" principal=\"...\", or useTicketCache=true";
