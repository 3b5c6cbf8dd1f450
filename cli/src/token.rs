//! `klamm token`: a verb and a token in, the token or its new end out. Only creating shows a secret.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use klamm_client::Secret;
use klamm_client::admin::{NewToken, Principal, Token};
use klamm_protocol::wire;
use serde_json::{Map, Value, json};

use crate::args::{ChangeArgs, TokenVerb};
use crate::cluster::connect;
use crate::failure::Failure;
use crate::output::{print_line, print_table};

pub(crate) async fn run(verb: TokenVerb) -> Result<(), Failure> {
    match verb {
        TokenVerb::Create { cluster, owner, renewers, max_lifetime, json } => {
            let mut new = NewToken::default();
            (new.owner, new.renewers, new.max_lifetime) = (owner, renewers, max_lifetime);
            let token = connect(&cluster).await?.create_token(&new).await?;
            print(std::slice::from_ref(&token), Shown::WithSecret, json)
        }
        TokenVerb::Renew(args) => {
            let hmac = hmac(&args)?;
            let client = connect(&args.cluster).await?;
            print_end(client.renew_token(&hmac, args.period).await?, args.json)
        }
        TokenVerb::Expire(args) => {
            let hmac = hmac(&args)?;
            let client = connect(&args.cluster).await?;
            print_end(client.expire_token(&hmac, args.period).await?, args.json)
        }
        TokenVerb::Describe { cluster, owners, json } => {
            let owners = (!owners.is_empty()).then_some(owners);
            let tokens = connect(&cluster).await?.describe_tokens(owners.as_deref()).await?;
            print(&tokens, Shown::WithoutSecret, json)
        }
    }
}

/// Whether the secret is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    WithSecret,
    WithoutSecret,
}

fn print(tokens: &[Token], shown: Shown, json: bool) -> Result<(), Failure> {
    if json {
        return tokens.iter().try_for_each(|token| print_line(&object(token, shown)));
    }
    let mut header = vec!["token", "owner", "issued", "expires", "renewable until", "renewers"];
    let mut rows: Vec<_> = tokens.iter().map(row).collect();
    if shown == Shown::WithSecret {
        header.insert(1, "hmac");
        for (row, token) in rows.iter_mut().zip(tokens) {
            row.insert(1, encoded(token));
        }
    }
    print_table(&header, &rows)
}

fn row(token: &Token) -> Vec<String> {
    vec![
        token.id.clone(),
        token.owner.to_string(),
        time(token.issued_ms),
        time(token.expires_ms),
        time(token.max_ms),
        names(&token.renewers).join(","),
    ]
}

fn object(token: &Token, shown: Shown) -> String {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("id", json!(token.id));
    if shown == Shown::WithSecret {
        put("hmac", json!(encoded(token)));
    }
    put("owner", json!(token.owner.to_string()));
    put("requester", json!(token.requester.as_ref().map(Principal::to_string)));
    put("issued", json!(time(token.issued_ms)));
    put("expires", json!(time(token.expires_ms)));
    put("renewableUntil", json!(time(token.max_ms)));
    put("renewers", json!(names(&token.renewers)));
    Value::Object(object).to_string()
}

fn names(principals: &[Principal]) -> Vec<String> {
    principals.iter().map(Principal::to_string).collect()
}

fn print_end(expires_ms: i64, json: bool) -> Result<(), Failure> {
    let expires = time(expires_ms);
    print_line(&if json {
        json!({ "expires": expires }).to_string()
    } else {
        format!("expires {expires}")
    })
}

/// ISO 8601 in UTC with milliseconds; the number itself where no calendar reaches.
fn time(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => ms.to_string(),
    }
}

fn encoded(token: &Token) -> String {
    STANDARD.encode(&token.hmac.0)
}

/// The secret that says which token is meant.
fn hmac(args: &ChangeArgs) -> Result<wire::Secret, Failure> {
    let text = match &args.hmac {
        Some(given) => given.0.clone(),
        None => match args.hmac_file.as_deref().filter(|path| *path != Path::new("-")) {
            Some(path) => {
                let file = File::open(path).map_err(|error| {
                    Failure::usage(format!("{}: {error}", path.display())).because(error)
                })?;
                read(file)?
            }
            None => read(io::stdin().lock())?,
        },
    };
    let bytes = STANDARD.decode(text.reveal().trim()).unwrap_or_default();
    if bytes.is_empty() {
        return Err(Failure::usage(
            "the token's secret is no base64; give what create printed as hmac",
        ));
    }
    Ok(wire::Secret::from(bytes))
}

fn read(from: impl Read) -> Result<Secret, Failure> {
    let mut text = String::new();
    from.take(LONGEST).read_to_string(&mut text)?;
    Ok(Secret::new(text))
}

/// Brokers make secrets of 64 bytes.
const LONGEST: u64 = 64 << 10;
