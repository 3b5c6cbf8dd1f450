//! From `-b` and `-o kafka.…` to a connected client, for the commands that need no source.

use klamm_client::Client;
use klamm_connector::options::TokenSettings;
use klamm_connector::tokens;

use crate::args::ClusterArgs;
use crate::failure::Failure;

/// Connects with the cluster's options; only those of the client, `kafka.`-prefixed, and those of logins make sense here.
pub(crate) async fn connect(args: &ClusterArgs) -> Result<Client, Failure> {
    let (client, login) = options(args)?;
    Ok(tokens::connect(&client, &login).await?)
}

fn options(args: &ClusterArgs) -> Result<(Vec<(String, String)>, TokenSettings), Failure> {
    let mut properties: Vec<(String, String)> = Vec::new();
    let mut login = Vec::new();
    if let Some(servers) = &args.bootstrap {
        properties.push((BOOTSTRAP.to_owned(), servers.clone()));
    }
    for (name, value) in &args.options {
        match name.to_ascii_lowercase().strip_prefix("kafka.") {
            Some(key) => properties.push((key.to_owned(), value.clone())),
            None if TokenSettings::knows(name) => login.push((name, value.as_str())),
            None => {
                let line = format!(
                    "option {name} means nothing here; only kafka.… options and those of logins do"
                );
                return Err(Failure::usage(line));
            }
        }
    }
    if !properties.iter().any(|(key, _)| key == BOOTSTRAP) {
        return Err(Failure::usage("no bootstrap servers; give -b HOST:PORT"));
    }
    Ok((properties, TokenSettings::from_pairs(login)?))
}

/// Names with commas between; blanks around them are dropped.
pub(crate) fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

const BOOTSTRAP: &str = "bootstrap.servers";
