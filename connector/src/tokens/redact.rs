//! Options as a log may show them: names and values in, values without secrets out.

use std::fmt::Display;

/// The value of an option in Klamm's own log: only of options that never hold a secret.
pub(super) fn shown<'a>(name: &str, value: &'a str) -> &'a str {
    if SHOWN.contains(&name) { value } else { HIDDEN }
}

/// The value of an option as Spark shows it: hidden where the name or the value looks like a secret to Spark
/// (`spark.redaction.regex` at its default); of a login string, the password alone. It misses passwords that are quoted
/// otherwise, and keys.
pub fn redact(name: &str, value: Option<&dyn Display>) -> Option<String> {
    let value = value?.to_string();
    if name.eq_ignore_ascii_case("sasl.jaas.config") {
        return Some(redact_login(&value));
    }
    let is_secret = looks_secret(name) || looks_secret(&value);
    Some(if is_secret { HIDDEN.to_owned() } else { value })
}

/// A login string without its password: in each line, what stands from `password="` to the last quote.
pub fn redact_login(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(redact_line).collect();
    lines.join("\n")
}

fn redact_line(line: &str) -> String {
    let Some((head, rest)) = line.split_once(PASSWORD) else { return line.to_owned() };
    // Without a closing quote Spark shows it all; nothing shall be shown then.
    let tail = rest.rsplit_once('"').map_or("", |(_, tail)| tail);
    format!("{head}{PASSWORD}{HIDDEN}\"{tail}")
}

/// Spark's `(?i)secret|password|token|access[.]?key`.
fn looks_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["secret", "password", "token", "access.key", "accesskey"]
        .iter()
        .any(|word| lower.contains(word))
}

const SHOWN: [&str; 7] = [
    "bootstrap.servers",
    "client.id",
    "sasl.kerberos.service.name",
    "sasl.mechanism",
    "security.protocol",
    "ssl.keystore.location",
    "ssl.truststore.location",
];
const PASSWORD: &str = "password=\"";
const HIDDEN: &str = "*********(redacted)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_shows_only_what_never_holds_a_secret() {
        assert_eq!(shown("security.protocol", "SASL_SSL"), "SASL_SSL");
        for name in ["sasl.jaas.config", "ssl.keystore.key", "ssl.key.password", "anything.else"] {
            assert_eq!(shown(name, "hunter2"), HIDDEN, "{name}");
        }
    }
}
