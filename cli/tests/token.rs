//! `klamm token` against an embedded broker, which gives tokens to everybody: created, described, renewed, expired.

mod common;

use common::{Embedded, klamm, klamm_fed};

#[test]
fn a_token_lives_from_create_to_expire() {
    let embedded = Embedded::start();
    let at = ["-b", &embedded.server];
    let create = ["token", "create", "--renewer", "User:bob", "--max-lifetime", "2d", "--json"];
    let made = klamm(&[&create[..], &at].concat()).ok();
    let token: serde_json::Value = serde_json::from_str(&made).expect("an object");
    let (id, hmac) = (token["id"].as_str().expect("an id"), token["hmac"].as_str().expect("one"));
    assert_eq!(token["renewers"], serde_json::json!(["User:bob"]));

    let described = klamm(&[&["-v", "token", "describe", "--json"], &at[..]].concat());
    assert!(described.stdout.contains(id) && described.stdout.ends_with("}\n"));
    let shown = format!("{}{}", described.stdout, described.stderr);
    assert!(!shown.contains(hmac) && !shown.contains("hmac"), "{shown}");
    let nobodys = klamm(&[&["token", "describe", "--owner", "User:nobody"], &at[..]].concat()).ok();
    assert_eq!(nobodys.lines().count(), 1, "the header alone: {nobodys}");
    let table = klamm(&[&["token", "describe"], &at[..]].concat()).ok();
    assert!(table.starts_with("token") && table.contains(id) && !table.contains(hmac), "{table}");

    let renew = [&["token", "renew", "--period", "1h", "--json"], &at[..]].concat();
    let renewed = klamm_fed(&renew, format!("{hmac}\n").as_bytes()).ok();
    assert!(renewed.starts_with("{\"expires\":\"20"), "{renewed}");
    let expired = klamm(&[&["token", "expire", "--hmac", hmac], &at[..]].concat()).ok();
    assert!(expired.starts_with("expires 20"), "{expired}");
    let gone = klamm_fed(&renew, hmac.as_bytes());
    gone.refused(1, "token");
    assert!(!gone.stderr.contains(hmac), "{}", gone.stderr);
    let table = klamm(&[&["token", "create"], &at[..]].concat()).ok();
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.lines().next().is_some_and(|header| header.contains("hmac")), "{table}");
}

#[test]
fn what_is_no_secret_principal_or_time_is_refused_before_anything_is_contacted() {
    let at = ["-b", "127.0.0.1:1"];
    for (words, said) in [
        (&["token", "renew", "--hmac", "hunter2!"][..], "no base64"),
        (&["token", "expire", "--hmac-file", "/does/not/exist"], "/does/not/exist"),
        (&["token", "create", "--owner", "alice"], "principal"),
        (&["token", "create", "--max-lifetime", "5"], "expected a time"),
        (&["token", "renew", "--hmac", "aA==", "--hmac-file", "x"], "--hmac-file"),
        (&["token", "burn"], "burn"),
    ] {
        let run = klamm(&[words, &at].concat());
        run.refused(2, said);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    }
}
