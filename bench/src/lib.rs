//! What the benches share: the records they measure with, a clock that reports the median of many
//! runs, and the table.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Values of 100 bytes that look like the JSON of an event stream: compressible, but not trivially.
pub fn values(count: usize) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count)
        .map(|i| {
            // A fixed xorshift, so that every run and every machine measures the same bytes.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let text = format!(
                r#"{{"id":{i:08},"user":"u{:06}","kind":"page_view","ms":{:05},"path":"/p/{:08x}","ok":true,"pad":"""#,
                state % 1_000_000,
                state >> 20 & 0xffff,
                state >> 32,
            );
            let mut value = text.into_bytes();
            value.resize(VALUE_LEN, b'.');
            value
        })
        .collect()
}

/// A record's key: its number.
pub fn key(number: usize) -> [u8; 8] {
    (number as u64).to_be_bytes()
}

/// Measurements that belong together, each told against the first.
///
/// They are taken in turns, so that a machine that is busy or hot for a while is so for all of
/// them.
#[derive(Default)]
pub struct Table<'a> {
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    name: String,
    work: Box<dyn FnMut() + 'a>,
    times: Vec<Duration>,
}

impl<'a> Table<'a> {
    /// Adds a row that measures `work`, whose result is kept from being optimised away.
    pub fn add<T>(&mut self, name: &str, mut work: impl FnMut() -> T + 'a) {
        let work = Box::new(move || drop(black_box(work())));
        self.rows.push(Row { name: name.to_owned(), work, times: Vec::new() });
    }

    /// Takes all measurements, some hundred milliseconds each in all.
    pub fn measure(&mut self) {
        for turn in 0..=TURNS {
            for row in &mut self.rows {
                let begin = Instant::now();
                while begin.elapsed() < TURN {
                    let start = Instant::now();
                    (row.work)();
                    row.times.push(start.elapsed());
                }
                // The first turn only warms up.
                if turn == 0 {
                    row.times.clear();
                }
            }
        }
        for row in &mut self.rows {
            row.times.sort_unstable();
        }
    }

    /// The table as lines of Markdown: the median time, million records and megabytes a second, and
    /// how many times the first row's duration each row took.
    pub fn lines(&self, title: &str, records: usize, bytes: usize) -> Vec<String> {
        let first = self.rows.first().map_or(1.0, Row::seconds);
        let mut lines = vec![
            format!("| {title:<46} |   time µs | M records/s |     MB/s | × first |"),
            format!("|{:-<48}|----------:|------------:|---------:|--------:|", ""),
        ];
        for row in &self.rows {
            let (name, seconds) = (&row.name, row.seconds());
            lines.push(format!(
                "| {name:<46} | {:>9.2} | {:>11.1} | {:>8.0} | {:>7.2} |",
                seconds * 1e6,
                records as f64 / seconds / 1e6,
                bytes as f64 / seconds / 1e6,
                seconds / first,
            ));
        }
        lines
    }
}

impl Row<'_> {
    /// The median duration of a call.
    fn seconds(&self) -> f64 {
        self.times.get(self.times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
    }
}

/// The length of a value, in bytes.
pub const VALUE_LEN: usize = 100;
const TURNS: usize = 20;
const TURN: Duration = Duration::from_millis(20);
