//! Kerberos's way to write an instant: `20261125225110Z`. In: either; out: the other.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads an instant from 1970 on, without fractions, in UTC.
pub(super) fn parse(text: &[u8]) -> Option<SystemTime> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.len() == 14)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        digits[range].iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'))
    };
    let (year, month, day) = (number(0..4), number(4..6), number(6..8));
    let (hour, minute, second) = (number(8..10), number(10..12), number(12..14));
    let fits = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !fits || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds =
        (days_before(year, month) + day - 1) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Writes an instant; one before 1970 as its beginning.
pub(super) fn show(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // A guess that is never too late, for years of 366 days.
    let mut year = 1970 + days / 366;
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days_before(year, *month) <= days).unwrap_or(1);
    let day = days - days_before(year, month) + 1;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z")
}

/// The days from 1970 to the first of this month.
fn days_before(year: u64, month: u64) -> u64 {
    // March begins the year, so that the day that some years have more is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5;
    days - EPOCH
}

/// From the March before the year 1 to January 1970.
const EPOCH: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_they_are_written() {
        for (seconds, text) in [
            (0, "19700101000000Z"),
            (951_782_399, "20000228235959Z"),
            (951_782_400, "20000229000000Z"),
            (1_795_647_070, "20261125225110Z"),
            (4_107_542_400, "21000301000000Z"),
        ] {
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(show(at), text);
            assert_eq!(parse(text.as_bytes()), Some(at));
        }
        for day in 0..60_000 {
            let at = UNIX_EPOCH + Duration::from_secs(day * 86_400 + 1);
            assert_eq!(parse(show(at).as_bytes()), Some(at));
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in
            ["", "Z", "20261125225110", "19691231235959Z", "20261325225110Z", "2026112522511xZ"]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
