//! Where credentials come from, as the options say. In: a configuration and a way to open streams;
//! out: a source of credentials for all connections.

pub mod http;
mod kdc;
mod kerberos;
mod oidc;
mod places;

use std::sync::Arc;

use crate::config::{BearerPlan, Config, Plan, TokenPlace, plan};
use crate::credentials::{CredentialSource, Login};
use crate::error::Result;
use crate::net::dial::Dial;

use kerberos::Tickets;
use oidc::Tokens;
use places::{FileToken, Unsecured};

/// How the connections of this client log in; `None` if they do not.
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config): credentials that the options do not say, or
/// certificates for a token server that cannot be used.
pub(crate) async fn of_options(
    config: &Config,
    dial: &Arc<dyn Dial>,
) -> Result<Option<Arc<Login>>> {
    // Opening a connection includes its login, and some of that time has to be left to the broker.
    let patience = config.connect_timeout().mul_f64(SHARE);
    let source: Arc<dyn CredentialSource> = match plan(config)? {
        None => return Ok(None),
        Some(Plan::Given(source)) => source,
        Some(Plan::Fixed(credentials)) => Arc::new(credentials),
        Some(Plan::Kerberos(plan)) => Arc::new(Tickets::new(plan, Arc::clone(dial), patience)),
        Some(Plan::Bearer(BearerPlan { from, extensions })) => match from {
            TokenPlace::File(path) => Arc::new(FileToken { path, extensions }),
            TokenPlace::Endpoint(endpoint) => Arc::new(
                Tokens::new(endpoint, extensions, Arc::clone(dial), config, patience).await?,
            ),
            TokenPlace::Unsecured { claims, lifetime } => {
                tracing::warn!("tokens without a signature are for tests: anybody can make them");
                Arc::new(Unsecured { claims, lifetime, extensions })
            }
        },
    };
    let (mechanism, may_tell) = (*config.sasl_mechanism(), config.may_tell_secrets());
    Ok(Some(Arc::new(Login { source, mechanism, may_tell })))
}

/// Of the time for opening a connection, what whoever gives out tokens or tickets may take.
const SHARE: f64 = 0.75;
