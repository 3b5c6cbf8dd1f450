//! How a consumer takes part in its group and reads.

use std::time::Duration;

use klamm_protocol::assign::Assignor;

use crate::config::{Config, GroupProtocol, OffsetReset};
use crate::consumer::options::ReadOptions;
use crate::error::{Error, ErrorKind, Result};

/// Options of a [`Consumer`](super::Consumer). Change the fields of
/// [`ConsumerOptions::from_config`], which names each option and its default.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConsumerOptions {
    /// The group (`group.id`). Without one, partitions are assigned by hand and positions are not
    /// stored.
    pub group: Option<String>,
    /// The name of a static member (`group.instance.id`).
    pub instance_id: Option<String>,
    /// Who shares partitions out (`group.protocol`).
    pub protocol: GroupProtocol,
    /// The coordinator's assignor (`group.remote.assignor`).
    pub remote_assignor: Option<String>,
    /// The assignors offered (`partition.assignment.strategy`).
    pub assignors: Vec<Assignor>,
    /// When a silent member counts as dead (`session.timeout.ms`).
    pub session_timeout: Duration,
    /// The time between two heartbeats (`heartbeat.interval.ms`).
    pub heartbeat_interval: Duration,
    /// The longest time between two events asked for (`max.poll.interval.ms`).
    pub max_poll_interval: Duration,
    /// Where to begin without a position (`auto.offset.reset`).
    pub offset_reset: OffsetReset,
    /// How often to commit what was acknowledged (`enable.auto.commit`,
    /// `auto.commit.interval.ms`); `None` for only when asked to.
    pub auto_commit: Option<Duration>,
    /// How to fetch. [`ReadOptions::poll_timeout`] has no meaning here.
    pub read: ReadOptions,
}

impl ConsumerOptions {
    /// The options that a client's configuration names.
    pub fn from_config(config: &Config) -> Self {
        Self {
            group: config.group_id().clone(),
            instance_id: config.group_instance_id().clone(),
            protocol: *config.group_protocol(),
            remote_assignor: config.remote_assignor().clone(),
            assignors: config.assignors().clone(),
            session_timeout: *config.session_timeout(),
            heartbeat_interval: *config.heartbeat_interval(),
            max_poll_interval: *config.max_poll_interval(),
            offset_reset: *config.offset_reset(),
            auto_commit: config.auto_commit().then(|| *config.auto_commit_interval()),
            read: ReadOptions::from_config(config),
        }
    }

    /// Checks what one option cannot know alone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`].
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: &'static str, option: &'static str, hint: &'static str| {
            Err(Error::new(ErrorKind::Config, what).with("option", option).with_hint(hint))
        };
        let classic = self.protocol == GroupProtocol::Classic;
        if self.group.as_deref() == Some("") {
            return wrong("a group has no name", "group.id", "name it, or leave it out");
        }
        if classic && self.heartbeat_interval >= self.session_timeout {
            return wrong(
                "a session ends before its first heartbeat",
                "heartbeat.interval.ms",
                "set it to at most a third of session.timeout.ms",
            );
        }
        if classic && self.assignors.is_empty() {
            return wrong(
                "no assignor is offered",
                "partition.assignment.strategy",
                "name at least one",
            );
        }
        if classic && self.remote_assignor.is_some() {
            return wrong(
                "only the newer group protocol lets the coordinator assign",
                "group.remote.assignor",
                "leave it out, or set group.protocol=consumer",
            );
        }
        if self.max_poll_interval.is_zero() {
            return wrong(
                "a consumer would leave its group at once",
                "max.poll.interval.ms",
                "set it to longer than the processing of one batch takes",
            );
        }
        Ok(())
    }
}
