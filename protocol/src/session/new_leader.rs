//! Who leads a partition now, as produce and fetch answers tell beside an error (KIP-951): ids from
//! a response go in, a hint or nothing comes out.

/// The leader that a broker named when it refused a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLeader {
    /// The leading broker.
    pub node: i32,
    /// Its leader epoch.
    pub epoch: i32,
    /// Host and port that it listens on, if the response told.
    pub address: Option<(String, i32)>,
}

impl NewLeader {
    /// `None` unless both id and epoch are known, which the wire says by -1.
    pub(super) fn named(node: i32, epoch: i32, address: Option<(&str, i32)>) -> Option<Self> {
        let address = address.map(|(host, port)| (host.to_owned(), port));
        (node >= 0 && epoch >= 0).then_some(Self { node, epoch, address })
    }
}
