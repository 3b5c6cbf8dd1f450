//! What is to be measured. In: words of the command line; out: workloads, codecs, clients, and how much of it.

use klamm_protocol::records::Compression;

/// What the words chose; nothing said means everything.
#[derive(Debug)]
pub(crate) struct Arguments {
    workloads: Vec<Workload>,
    codecs: Vec<Compression>,
    /// Names of clients, none for all.
    pub(crate) clients: Vec<String>,
    /// How many records a topic has.
    pub(crate) count: usize,
    /// How often everybody has a turn.
    pub(crate) rounds: usize,
    /// Start and fill only.
    pub(crate) hold: bool,
}

/// What a client is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Write all records, and know that they are written.
    Produce,
    /// Read all records.
    Consume,
    /// Write one record after the other, each acknowledged before the next.
    Ping,
    /// Write one record after the other, each read by the same process before the next.
    Echo,
    /// Start, and have the first record.
    Start,
}

impl Workload {
    /// The word for it, here and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            _ => self.verb(),
        }
    }

    /// What a peer is told.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume | Self::Start => "consume",
            Self::Ping => "ping",
            Self::Echo => "echo",
        }
    }

    /// Whether it needs a topic that is full.
    pub(crate) fn reads(self) -> bool {
        matches!(self, Self::Consume | Self::Start)
    }

    /// Whether it tells how long each record took.
    pub(crate) fn has_latency(self) -> bool {
        matches!(self, Self::Ping | Self::Echo)
    }

    /// How many records it is about, in a topic of `count`.
    pub(crate) fn count(self, count: usize) -> usize {
        match self {
            Self::Produce | Self::Consume => count,
            Self::Ping | Self::Echo => SENDS,
            Self::Start => 1,
        }
    }

    /// How many records the broker sees before anybody is measured on `count` of them.
    pub(crate) fn broker_warm_up(self, count: usize) -> usize {
        if self.has_latency() { 10 * count } else { count }
    }

    /// How many records are written before anything is measured.
    pub(crate) fn warm_up(self) -> usize {
        if self.has_latency() { crate::peers::WARM_UP } else { 0 }
    }
}

impl Arguments {
    /// Reads the words.
    pub(crate) fn parse(words: Vec<String>) -> Self {
        let mut this = Self {
            workloads: Vec::new(),
            codecs: Vec::new(),
            clients: Vec::new(),
            count: RECORDS,
            rounds: ROUNDS,
            hold: false,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut number = || words.next().unwrap().parse::<usize>().unwrap();
            match word.as_str() {
                // Cargo adds it behind what the caller gave.
                "--bench" => {}
                "--count" => this.count = number(),
                "--rounds" => this.rounds = number(),
                "hold" => this.hold = true,
                _ => this.take(word),
            }
        }
        this
    }

    fn take(&mut self, word: String) {
        if let Some(workload) = WORKLOADS.into_iter().find(|one| one.name() == word) {
            self.workloads.push(workload);
        } else if let Some(codec) = CODECS.into_iter().find(|one| one.name() == word) {
            self.codecs.push(codec);
        } else {
            self.clients.push(word);
        }
    }

    /// Workloads with codecs, in order. Latency is measured with one codec: a single record is never worth compressing.
    pub(crate) fn plan(&self) -> Vec<(Workload, Compression)> {
        let chosen =
            |workload: &Workload| self.workloads.is_empty() || self.workloads.contains(workload);
        let codecs = if self.codecs.is_empty() { CODECS.to_vec() } else { self.codecs.clone() };
        WORKLOADS
            .into_iter()
            .filter(chosen)
            .flat_map(|workload| {
                let many = matches!(workload, Workload::Produce | Workload::Consume);
                let codecs = if many { &codecs[..] } else { &codecs[..1] };
                codecs.iter().map(move |codec| (workload, *codec)).collect::<Vec<_>>()
            })
            .collect()
    }
}

const WORKLOADS: [Workload; 5] =
    [Workload::Produce, Workload::Consume, Workload::Ping, Workload::Echo, Workload::Start];
const CODECS: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Zstd];
const RECORDS: usize = 5_000_000;
const ROUNDS: usize = 3;
/// Measured records where each is waited for.
const SENDS: usize = 5_000;
