//! From `-b` and `-o kafka.…` to a connected client, for the commands that need no source.

use klamm_client::{Client, Config};

use crate::args::ClusterArgs;
use crate::failure::Failure;

/// Connects with the cluster's options; only `kafka.`-prefixed ones make sense here.
pub(crate) async fn connect(args: &ClusterArgs) -> Result<Client, Failure> {
    Ok(Client::connect(config(args)?).await?)
}

fn config(args: &ClusterArgs) -> Result<Config, Failure> {
    let mut properties: Vec<(String, String)> = Vec::new();
    if let Some(servers) = &args.bootstrap {
        properties.push((BOOTSTRAP.to_owned(), servers.clone()));
    }
    for (name, value) in &args.options {
        match name.to_ascii_lowercase().strip_prefix("kafka.") {
            Some(key) => properties.push((key.to_owned(), value.clone())),
            None => {
                let line = format!("option {name} means nothing here; only kafka.… options do");
                return Err(Failure::usage(line));
            }
        }
    }
    if !properties.iter().any(|(key, _)| key == BOOTSTRAP) {
        return Err(Failure::usage("no bootstrap servers; give -b HOST:PORT"));
    }
    Ok(Config::from_properties(properties)?)
}

/// Names with commas between; blanks around them are dropped.
pub(crate) fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

const BOOTSTRAP: &str = "bootstrap.servers";
