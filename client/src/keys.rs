//! Options as strings. In: a key and a text, spelt as Kafka's own clients spell them; out: a typed
//! value, or why not. Beside the options that [`crate::config::Config`] knows, this file lists
//! those of Java's clients that are accepted and have no effect here, and those that are refused.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// One string option: the row that the documentation, the parser and the setter of an option share.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Key {
    /// The spelling, Java's where Java has the option.
    pub name: &'static str,
    /// The value without any setting, as it would be written.
    pub default: String,
    /// What a value looks like.
    pub form: &'static str,
    /// What it does, with the cost of raising it where there is one.
    pub doc: &'static str,
    /// What becomes of it here.
    pub status: Status,
}

/// What becomes of an option that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It takes effect.
    Used,
    /// Java's clients know it; it is accepted for their sake and has no effect here.
    Unused,
    /// It is an error to set it.
    Refused,
}

/// A type that an option can have.
pub(crate) trait OptionValue: Sized {
    /// What a text of this type looks like, for messages.
    const FORM: &'static str;
    /// Reads a text, `None` if it has another form.
    fn parse(text: &str) -> Option<Self>;
    /// Writes the text that `parse` reads.
    fn show(&self) -> String;
}

/// Options that are accepted and have no effect, with the reason; the names of a family end in `*`.
pub(crate) const UNUSED: &[(&str, &str)] = &[
    ("auto.include.jmx.reporter", "there is no JMX"),
    ("check.crcs", "checksums are always checked"),
    ("client.dns.lookup", "all addresses of a name are always tried"),
    ("exclude.internal.topics", "a pattern never matches Kafka's own topics"),
    ("internal.*", "internal to Java's clients"),
    ("max.poll.records", "memory is bounded in bytes"),
    ("metadata.max.idle.ms", "topics are kept while they are used"),
    ("metrics.*", "Java's metrics do not exist here"),
    ("sasl.kerberos.kinit.cmd", "no program is ever run"),
    ("sasl.kerberos.min.time.before.relogin", "a ticket is replaced at four fifths of its life"),
    ("sasl.kerberos.principal.to.local.rules", "brokers map principals"),
    ("sasl.kerberos.ticket.*", "a ticket is replaced at four fifths of its life"),
    ("sasl.login.connect.timeout.ms", "a login has the time of socket.connection.setup.timeout.ms"),
    ("sasl.login.read.timeout.ms", "a login has the time of socket.connection.setup.timeout.ms"),
    ("sasl.login.refresh.*", "a token is replaced at four fifths of its life"),
    ("sasl.login.retry.*", "a login is repeated with the connection"),
    ("sasl.oauthbearer.clock.skew.seconds", "brokers check tokens"),
    ("sasl.oauthbearer.expected.*", "brokers check tokens"),
    ("sasl.oauthbearer.jwks.*", "brokers check tokens"),
    ("sasl.oauthbearer.scope.claim.name", "brokers check tokens"),
    ("sasl.oauthbearer.sub.claim.name", "brokers check tokens"),
    ("ssl.keymanager.algorithm", "it names a part of Java"),
    ("ssl.secure.random.implementation", "it names a part of Java"),
    ("ssl.trustmanager.algorithm", "it names a part of Java"),
    ("partitioner.adaptive.partitioning.enable", "the sticky choice does not weigh brokers"),
    ("partitioner.availability.timeout.ms", "the sticky choice does not weigh brokers"),
];

/// Options that are refused, with the reason; the names of a family end in `*`.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("config.providers*", "configuration never names code or files"),
    ("interceptor.classes", "configuration never names code"),
    ("key.deserializer", "keys are bytes"),
    ("key.serializer", "keys are bytes"),
    ("metric.reporters", "configuration never names code"),
    (
        "partitioner.class",
        "configuration never names code; set the partition of a record, or a Partitioner, instead",
    ),
    ("sasl.client.callback.handler.class", "configuration never names code"),
    ("sasl.login.class", "configuration never names code"),
    ("sasl.oauthbearer.assertion.*", "tokens are not asked for by assertions in this version"),
    ("sasl.oauthbearer.jwt.*", "tokens are not asked for by assertions in this version"),
    ("security.providers", "configuration never names code"),
    ("ssl.engine.factory.class", "configuration never names code"),
    ("ssl.provider", "configuration never names code; hand a CryptoProvider to Config instead"),
    ("value.deserializer", "values are bytes"),
    ("value.serializer", "values are bytes"),
];

/// The reason under which `name` stands in a table of exact names and families.
pub(crate) fn reason(
    table: &'static [(&'static str, &'static str)],
    name: &str,
) -> Option<&'static str> {
    let covers = |entry: &str| match entry.strip_suffix('*') {
        Some(family) => name.starts_with(family),
        None => entry == name,
    };
    table.iter().find(|(entry, _)| covers(entry)).map(|(_, reason)| *reason)
}

/// The error for a key that nobody knows; it names the nearest of `known` if one is near.
pub(crate) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let error = Error::new(ErrorKind::Config, "unknown option").with("option", name);
    let nearest = known.map(|key| (distance(name, key), key)).min();
    match nearest.filter(|(distance, key)| *distance <= key.len() / 3) {
        Some((_, key)) => error.with_hint(format!("did you mean '{key}'?")),
        None => error.with_hint("take it away, or look up its spelling"),
    }
}

/// The error for a value of the wrong form. A value that may be a secret is never repeated.
pub(crate) fn malformed(name: &'static str, text: &str, form: &'static str) -> Error {
    Error::new(ErrorKind::Config, "an option has a value of the wrong form")
        .with("option", name)
        .with("value", text)
        .with_hint(format!("write {form}"))
}

impl OptionValue for Duration {
    const FORM: &'static str = "a whole number of milliseconds";

    fn parse(text: &str) -> Option<Self> {
        // Java's longs end here, and instants stay far from overflow.
        text.parse::<u64>()
            .ok()
            .filter(|ms| *ms <= i64::MAX as u64 / 1_000_000)
            .map(Self::from_millis)
    }

    fn show(&self) -> String {
        self.as_millis().to_string()
    }
}

impl OptionValue for Option<Duration> {
    const FORM: &'static str = "a whole number of milliseconds, or -1 for never";

    fn parse(text: &str) -> Option<Self> {
        if text == "-1" { Some(None) } else { Duration::parse(text).map(Some) }
    }

    fn show(&self) -> String {
        self.map_or_else(|| "-1".to_owned(), |value| value.show())
    }
}

impl OptionValue for u32 {
    const FORM: &'static str = "a whole number from 0 to 2147483647";

    fn parse(text: &str) -> Option<Self> {
        text.parse::<i32>().ok().and_then(|value| Self::try_from(value).ok())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl OptionValue for usize {
    const FORM: &'static str = "a whole number of bytes";

    fn parse(text: &str) -> Option<Self> {
        text.parse::<i64>().ok().and_then(|value| Self::try_from(value).ok())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl OptionValue for Option<i32> {
    const FORM: &'static str = "a whole number";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Some)
    }

    fn show(&self) -> String {
        self.map_or_else(|| "the codec's own".to_owned(), |value| value.to_string())
    }
}

impl OptionValue for bool {
    const FORM: &'static str = "true or false";

    fn parse(text: &str) -> Option<Self> {
        // Java's clients read both without regard to case.
        match text {
            _ if text.eq_ignore_ascii_case("true") => Some(true),
            _ if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl OptionValue for String {
    const FORM: &'static str = "a text";

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl OptionValue for Option<String> {
    const FORM: &'static str = "a text";

    fn parse(text: &str) -> Option<Self> {
        Some(Some(text.to_owned()))
    }

    fn show(&self) -> String {
        self.clone().unwrap_or_default()
    }
}

/// Levenshtein's distance, bytes standing for letters, as option names are ASCII.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let replace = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(corner + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("linger.ms", "linger.ms"), 0);
        assert_eq!(distance("linger.m", "linger.ms"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn a_misspelt_key_is_answered_with_the_nearest() {
        let error = unknown("request.timeout", ["request.timeout.ms", "linger.ms"].into_iter());
        assert!(error.to_string().contains("did you mean 'request.timeout.ms'?"), "{error}");
        let error = unknown("zzz", ["request.timeout.ms"].into_iter());
        assert!(!error.to_string().contains("did you mean"), "{error}");
    }

    #[test]
    fn families_cover_their_members_and_names_only_themselves() {
        assert!(reason(REFUSED, "sasl.oauthbearer.jwt.claims").is_some());
        assert!(reason(UNUSED, "metrics.num.samples").is_some());
        assert!(reason(UNUSED, "session.timeout.ms.more").is_none());
    }

    #[test]
    fn values_are_read_as_java_reads_them() {
        assert_eq!(bool::parse("TRUE"), Some(true));
        assert_eq!(bool::parse("yes"), None);
        assert_eq!(Duration::parse("-1"), None);
        assert_eq!(Duration::parse("99999999999999999999"), None);
        assert_eq!(Option::<Duration>::parse("-1"), Some(None));
        assert_eq!(u32::parse("4294967295"), None);
    }
}
