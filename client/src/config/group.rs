//! The values of a consumer group's options: protocols, assignors, and where to begin without a
//! position.

use std::time::Duration;

use klamm_protocol::assign::Assignor;

use crate::keys::OptionValue;

/// How a group shares its partitions out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupProtocol {
    /// One of the members decides, by an assignor that all have.
    Classic,
    /// The coordinator decides (KIP-848; brokers since 4.0, earlier ones where it is switched on).
    Consumer,
}

/// Where to begin in a partition that has no position, or one that is no longer in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffsetReset {
    /// With the first record that still exists.
    Earliest,
    /// With the next record that is written.
    Latest,
    /// With the first record that is so young (KIP-1106).
    ByDuration(Duration),
    /// Nowhere: it is an error.
    None,
}

impl OptionValue for GroupProtocol {
    const FORM: &'static str = "classic or consumer";

    fn parse(text: &str) -> Option<Self> {
        match text {
            _ if text.eq_ignore_ascii_case("classic") => Some(Self::Classic),
            _ if text.eq_ignore_ascii_case("consumer") => Some(Self::Consumer),
            _ => None,
        }
    }

    fn show(&self) -> String {
        if *self == Self::Classic { "classic" } else { "consumer" }.to_owned()
    }
}

impl OptionValue for OffsetReset {
    const FORM: &'static str =
        "earliest, latest, none, or by_duration: with a duration such as P3D or PT1H30M";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            "none" => Some(Self::None),
            _ => iso_duration(text.strip_prefix(BY_DURATION)?).map(Self::ByDuration),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Earliest => "earliest".to_owned(),
            Self::Latest => "latest".to_owned(),
            Self::None => "none".to_owned(),
            Self::ByDuration(duration) => {
                format!("{BY_DURATION}PT{}.{:09}S", duration.as_secs(), duration.subsec_nanos())
            }
        }
    }
}

impl OptionValue for Vec<Assignor> {
    const FORM: &'static str =
        "one or more of range, roundrobin, sticky and cooperative-sticky, separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let mut all = Self::new();
        for name in text.split(',') {
            let assignor = name.parse().ok()?;
            if !all.contains(&assignor) {
                all.push(assignor);
            }
        }
        Some(all)
    }

    fn show(&self) -> String {
        self.iter().map(|assignor| assignor.name()).collect::<Vec<_>>().join(",")
    }
}

/// Reads a duration of ISO 8601 in days, hours, minutes and seconds, as Java's `Duration` does,
/// without signs.
fn iso_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix(['P', 'p'])?;
    let (mut total, mut in_time, mut parts) = (Duration::ZERO, false, 0);
    // Each unit once, from the largest down.
    let mut units = [('D', 86_400), ('H', 3600), ('M', 60), ('S', 1)].into_iter();
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix(['T', 't']).filter(|_| !in_time) {
            in_time = true;
            rest = time;
            parts = 0;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = (rest.get(..end)?, rest.get(end..)?.chars().next()?);
        let unit = unit.to_ascii_uppercase();
        let seconds = units.find(|(name, _)| *name == unit).map(|(_, seconds)| seconds)?;
        if (unit == 'D') == in_time {
            return None;
        }
        let amount = if unit == 'S' {
            Duration::try_from_secs_f64(number.parse().ok()?).ok()?
        } else {
            Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?)
        };
        total = total.checked_add(amount)?;
        parts += 1;
        rest = rest.get(end + 1..)?;
    }
    (parts > 0).then_some(total)
}

const BY_DURATION: &str = "by_duration:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_java_reads_them() {
        let secs = |text| iso_duration(text).map(|duration| duration.as_secs_f64());
        assert_eq!(secs("PT1H"), Some(3600.0));
        assert_eq!(secs("P2DT3H4M5.5S"), Some(2.0 * 86_400.0 + 11_045.5));
        assert_eq!(secs("p1d"), Some(86_400.0));
        assert_eq!(secs("PT0S"), Some(0.0));
        for wrong in
            ["", "P", "PT", "P1DT", "1H", "P1H", "PT1D", "PT1M1H", "PT-1S", "PT1.2.3S", "PTS"]
        {
            assert_eq!(secs(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_reset_is_read_back_from_its_own_text() {
        for text in ["earliest", "latest", "none", "by_duration:P3DT2H"] {
            let reset = OffsetReset::parse(text).unwrap();
            assert_eq!(OffsetReset::parse(&reset.show()), Some(reset), "{text}");
        }
        assert_eq!(OffsetReset::parse("smallest"), None);
    }

    #[test]
    fn assignors_go_by_kafkas_names_and_javas_classes() {
        let read = Vec::<Assignor>::parse(
            "range, org.apache.kafka.clients.consumer.CooperativeStickyAssignor,range",
        );
        assert_eq!(read, Some(vec![Assignor::Range, Assignor::CooperativeSticky]));
        assert_eq!(Vec::<Assignor>::parse("com.example.Mine"), None);
        assert_eq!(Vec::<Assignor>::parse(""), None);
    }
}
