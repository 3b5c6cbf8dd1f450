//! Every record of the target in, a verdict out: what is missing, what came twice, what is wrong.

use super::data;

/// Follows the target record by record.
#[derive(Debug)]
pub(super) struct Checker {
    seen: Vec<bool>,
    /// Per key the highest number seen so far, counted from 1.
    newest: Vec<u64>,
    expected: Vec<u8>,
    verdict: Verdict,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Verdict {
    /// Different records that are there.
    pub(super) present: u64,
    /// Records that came again.
    pub(super) again: u64,
    /// Records whose key or value is not what was written.
    pub(super) wrong: u64,
    /// Records that came for the first time after a later record of their key.
    pub(super) disordered: u64,
}

impl Checker {
    pub(super) fn new(records: u64) -> Self {
        Self {
            seen: vec![false; usize::try_from(records).unwrap_or(usize::MAX)],
            newest: vec![0; data::KEYS as usize],
            expected: Vec::new(),
            verdict: Verdict::default(),
        }
    }

    /// Takes the next record of a partition.
    pub(super) fn take(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        let Some(number) = value.and_then(data::number) else {
            self.verdict.wrong += 1;
            return;
        };
        data::value(number, &mut self.expected);
        let same = value == Some(&self.expected[..]) && key == Some(data::key(number).as_bytes());
        let Some(seen) = self.seen.get_mut(number as usize).filter(|_| same) else {
            self.verdict.wrong += 1;
            return;
        };
        if std::mem::replace(seen, true) {
            self.verdict.again += 1;
            return;
        }
        self.verdict.present += 1;
        let newest = &mut self.newest[(number % data::KEYS) as usize];
        if number < *newest {
            self.verdict.disordered += 1;
        }
        *newest = (*newest).max(number + 1);
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: &[u64]) -> Verdict {
        let mut checker = Checker::new(5_000);
        let mut value = Vec::new();
        for number in numbers {
            data::value(*number, &mut value);
            checker.take(Some(data::key(*number).as_bytes()), Some(&value));
        }
        checker.verdict()
    }

    #[test]
    fn a_replayed_batch_is_counted_and_is_no_disorder() {
        let verdict = check(&[1, 1_001, 1, 1_001, 2_001]);
        assert_eq!(verdict, Verdict { present: 3, again: 2, wrong: 0, disordered: 0 });
    }

    #[test]
    fn a_record_that_comes_after_a_later_one_of_its_key_is_disorder() {
        assert_eq!(check(&[2, 1_001, 1]).disordered, 1);
    }

    #[test]
    fn one_wrong_byte_is_noticed() {
        let mut checker = Checker::new(10);
        let mut value = Vec::new();
        data::value(3, &mut value);
        value[99] ^= 1;
        checker.take(Some(data::key(3).as_bytes()), Some(&value));
        assert_eq!(checker.verdict().wrong, 1);
    }
}
