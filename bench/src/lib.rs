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

/// The median duration of one call of `work`, over about half a second of calls.
pub fn median<T>(mut work: impl FnMut() -> T) -> Duration {
    for _ in 0..WARM_UP {
        black_box(work());
    }
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < MEASURE || times.len() < LEAST_RUNS {
        let start = Instant::now();
        black_box(work());
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Rows of measurements, each told against the first row of its group.
#[derive(Default)]
pub struct Table {
    rows: Vec<(String, Duration)>,
}

impl Table {
    /// Measures `work` and keeps the result as a row.
    pub fn measure<T>(&mut self, name: &str, work: impl FnMut() -> T) -> Duration {
        let time = median(work);
        self.rows.push((name.to_owned(), time));
        time
    }

    /// The table as lines of Markdown: time, million records and megabytes a second, and how many
    /// times the first row's duration each row took.
    pub fn lines(&self, title: &str, records: usize, bytes: usize) -> Vec<String> {
        let first = self.rows.first().map_or(1.0, |(_, time)| time.as_secs_f64());
        let mut lines = vec![
            format!("| {title:<46} |   time µs | M records/s |     MB/s | × first |"),
            format!("|{:-<48}|----------:|------------:|---------:|--------:|", ""),
        ];
        for (name, time) in &self.rows {
            let seconds = time.as_secs_f64();
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

/// The length of a value, in bytes.
pub const VALUE_LEN: usize = 100;
const WARM_UP: usize = 50;
const MEASURE: Duration = Duration::from_millis(500);
const LEAST_RUNS: usize = 31;
