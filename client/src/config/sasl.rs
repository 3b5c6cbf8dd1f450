//! The `sasl.*` options. In: words as Java's clients take them, a JAAS module among them; out: how to
//! come by credentials, or why these options do not say it.

use std::sync::Arc;

use crate::config::jaas::{self, JaasModule};
use crate::credentials::{CredentialSource, Credentials, SaslMechanism, tells_secrets};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::OptionValue;
use crate::secret::Secret;

use super::Config;
use super::kerberos::{self, KerberosPlan};

/// How to come by credentials.
#[derive(Debug)]
pub(crate) enum Plan {
    /// From whom the caller said.
    Given(Arc<dyn CredentialSource>),
    /// Always the same ones.
    Fixed(Credentials),
    /// Bearer tokens.
    Bearer(BearerPlan),
    /// Tickets of Kerberos.
    Kerberos(KerberosPlan),
}

/// How to come by bearer tokens.
#[derive(Debug)]
pub(crate) struct BearerPlan {
    pub(crate) from: TokenPlace,
    /// What goes to the broker with each token.
    pub(crate) extensions: Vec<(String, String)>,
}

/// Where bearer tokens are.
#[derive(Debug)]
pub(crate) enum TokenPlace {
    /// In a file, which somebody else keeps fresh.
    File(String),
    /// At a server that gives them for this client's own credentials.
    Endpoint(Endpoint),
    /// Nowhere: made without a signature, for tests.
    Unsecured {
        /// Names and texts.
        claims: Vec<(String, String)>,
        /// In seconds.
        lifetime: u64,
    },
}

/// A server that gives out tokens.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    pub(crate) scope: Option<String>,
    /// Whether id and secret are percent-encoded first, as RFC 6749 has it and Java does not.
    pub(crate) encode: bool,
    /// `ssl.*` options of the connection to it.
    pub(crate) tls: Vec<(String, Secret)>,
}

/// A class that Java's users name where tokens come from a server or a file. Here the URL says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenHandler {
    /// Java's own for OAUTHBEARER, in either of its packages.
    OauthBearer,
}

/// How this client logs in; `None` if its protocol has no login.
///
/// # Errors
///
/// [`ErrorKind::Config`] for options that contradict each other or are too few. None tells a secret.
pub(crate) fn plan(config: &Config) -> Result<Option<Plan>> {
    if !config.security_protocol.has_login() {
        return Ok(None);
    }
    let plan = match (&config.credentials, &config.sasl_jaas_config) {
        (Some(_), Some(_)) => {
            return wrong("credentials are given twice", JAAS, "take either this or those away");
        }
        (Some(source), None) => Plan::Given(Arc::clone(&source.0)),
        (None, _) => of_options(config)?,
    };
    let mechanism = match &plan {
        Plan::Given(_) => config.sasl_mechanism,
        Plan::Fixed(credentials) => Some(credentials.mechanism()),
        Plan::Bearer(_) => Some(SaslMechanism::OauthBearer),
        Plan::Kerberos(_) => Some(SaslMechanism::Gssapi),
    };
    match mechanism.filter(|mechanism| mechanism.tells_secrets() && !config.may_tell_secrets()) {
        Some(mechanism) => Err(tells_secrets(mechanism)),
        None => Ok(Some(plan)),
    }
}

fn of_options(config: &Config) -> Result<Plan> {
    let mechanism = config.sasl_mechanism.unwrap_or(SaslMechanism::Gssapi);
    let module = match &config.sasl_jaas_config {
        Some(text) => Some(jaas::parse(text.reveal()).map_err(|error| {
            Error::new(ErrorKind::Config, "an option cannot be read")
                .with("option", JAAS)
                .with("detail", &error)
                .with_hint("write Class required key=\"value\" ...;")
                .with_source(error)
        })?),
        None => None,
    };
    if mechanism == SaslMechanism::OauthBearer {
        let module = module.as_ref().map(|one| expect(one, "OAuthBearerLoginModule", mechanism));
        return bearer(config, module.transpose()?).map(Plan::Bearer);
    }
    let Some(module) = module else {
        let hint = "set it, or hand in Credentials";
        return wrong("the protocol asks for a login, and there are no credentials", JAAS, hint);
    };
    if mechanism == SaslMechanism::Gssapi {
        let module = expect(&module, "Krb5LoginModule", mechanism)?;
        return kerberos::plan(config, module).map(Plan::Kerberos);
    }
    let class =
        if mechanism == SaslMechanism::Plain { "PlainLoginModule" } else { "ScramLoginModule" };
    let module = expect(&module, class, mechanism)?;
    let user = needed(module, "username")?.reveal().to_owned();
    let password = needed(module, "password")?.clone();
    let is_token =
        module.option("tokenauth").is_some_and(|value| value.reveal().eq_ignore_ascii_case("true"));
    let credentials = match mechanism.scram_hash() {
        None => Credentials::plain(user, password),
        Some(hash) if is_token => Credentials::delegation_token(hash, user, password),
        Some(hash) => Credentials::scram(hash, user, password),
    };
    // What cannot be said at all is found before anything is contacted.
    credentials.start()?;
    Ok(Plan::Fixed(credentials))
}

fn bearer(config: &Config, module: Option<&JaasModule>) -> Result<BearerPlan> {
    let given = |name: &str| module.and_then(|module| module.option(name));
    let mut extensions = Vec::new();
    let mut claims = Vec::new();
    for (name, value) in module.iter().flat_map(|module| module.options()) {
        if let Some(extension) = name.strip_prefix("extension_") {
            extensions.push((extension.to_owned(), value.reveal().to_owned()));
        } else if let Some(claim) = name.strip_prefix("unsecuredLoginStringClaim_") {
            claims.push((claim.to_owned(), value.reveal().to_owned()));
        } else if name.starts_with("unsecured") && name != LIFETIME {
            let hint = "use unsecuredLoginStringClaim_sub, for tests alone";
            return wrong("an unsecured token is asked for by an unknown key", JAAS, hint);
        }
    }
    let from = match &config.sasl_token_endpoint {
        Some(url) if url.starts_with(FILE) => TokenPlace::File(url[FILE.len()..].to_owned()),
        Some(url) => {
            let secure = url.starts_with("https://");
            if !secure && !url.starts_with("http://") {
                return wrong(
                    "tokens cannot come from there",
                    ENDPOINT,
                    "write https:// or file://",
                );
            }
            if !secure && !config.allow_insecure_sasl {
                let what = "this client's secret would go to the token server without encryption";
                return wrong(what, ENDPOINT, "write https://, or set allow.insecure.sasl=true");
            }
            let id = config.sasl_client_id.clone();
            let id = id.or_else(|| given("clientId").map(|id| id.reveal().to_owned()));
            let secret = config.sasl_client_secret.as_ref().or(given("clientSecret"));
            let (Some(client_id), Some(client_secret)) = (id, secret.cloned()) else {
                let hint = "set sasl.oauthbearer.client.credentials.client.id and .client.secret";
                return wrong("the token server would not know this client", ENDPOINT, hint);
            };
            let scope = config.sasl_scope.clone();
            let scope = scope.or_else(|| given("scope").map(|scope| scope.reveal().to_owned()));
            let options = module.iter().flat_map(|module| module.options());
            let tls = options.filter(|(name, _)| name.starts_with("ssl."));
            TokenPlace::Endpoint(Endpoint {
                url: url.clone(),
                client_id,
                client_secret,
                scope,
                encode: config.sasl_header_urlencode,
                tls: tls.map(|(name, value)| (name.to_owned(), value.clone())).collect(),
            })
        }
        None if claims.iter().any(|(name, _)| name == "sub") => {
            let lifetime = given(LIFETIME).map_or(Some(3_600), |text| text.reveal().parse().ok());
            let Some(lifetime) = lifetime else {
                return wrong("a lifetime is no number of seconds", JAAS, "write 3600, say");
            };
            TokenPlace::Unsecured { claims, lifetime }
        }
        None => {
            let hint = "set it to https://... or file://..., or hand in Credentials";
            return wrong("nothing says where tokens come from", ENDPOINT, hint);
        }
    };
    Ok(BearerPlan { from, extensions })
}

/// The module, if it is the one that goes with the mechanism.
fn expect<'a>(
    module: &'a JaasModule,
    class: &str,
    mechanism: SaslMechanism,
) -> Result<&'a JaasModule> {
    if module.is(class) {
        return Ok(module);
    }
    let hint = format!("write {class}, or choose another sasl.mechanism");
    Err(Error::new(ErrorKind::Config, "the login module is not the mechanism's")
        .with("option", JAAS)
        .with("mechanism", mechanism)
        .with_hint(hint))
}

pub(super) fn needed<'a>(module: &'a JaasModule, key: &'static str) -> Result<&'a Secret> {
    module.option(key).ok_or_else(|| {
        Error::new(ErrorKind::Config, "the login module lacks a key")
            .with("option", JAAS)
            .with("key", key)
            .with_hint(format!("add {key}=\"...\""))
    })
}

pub(super) fn wrong<T>(what: &'static str, option: &'static str, hint: &'static str) -> Result<T> {
    Err(Error::new(ErrorKind::Config, what).with("option", option).with_hint(hint))
}

impl OptionValue for Option<SaslMechanism> {
    const FORM: &'static str = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI";

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(None);
        }
        SaslMechanism::ALL.into_iter().find(|one| one.name() == text).map(Some)
    }

    fn show(&self) -> String {
        self.map(|mechanism| mechanism.name().to_owned()).unwrap_or_default()
    }
}

impl OptionValue for Option<TokenHandler> {
    const FORM: &'static str = "the name of Java's OAuthBearerLoginCallbackHandler, and no other: \
                                configuration never names code";

    fn parse(text: &str) -> Option<Self> {
        let package = "org.apache.kafka.common.security.oauthbearer.";
        match text.strip_prefix(package).unwrap_or(text) {
            "" => Some(None),
            "OAuthBearerLoginCallbackHandler" | "secured.OAuthBearerLoginCallbackHandler" => {
                Some(Some(TokenHandler::OauthBearer))
            }
            _ => None,
        }
    }

    fn show(&self) -> String {
        let name = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler";
        self.map(|_| name.to_owned()).unwrap_or_default()
    }
}

pub(super) const JAAS: &str = "sasl.jaas.config";
const ENDPOINT: &str = "sasl.oauthbearer.token.endpoint.url";
const LIFETIME: &str = "unsecuredLoginLifetimeSeconds";
const FILE: &str = "file://";
