//! One request to the coordinator and its answer, for either protocol, and the way there.

use std::time::Duration;

use klamm_protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use klamm_protocol::messages::leave_group::LeaveGroupRequest;
use klamm_protocol::session::group::{GroupAnswer, GroupCall};
use tokio::time::Instant;

use crate::client::Client;
use crate::cluster::CoordinatorKind;
use crate::consumer::leader::Job;
use crate::error::{Error, ErrorKind, Result};
use crate::net::handle::Handle;

use super::Done;

/// A request by either protocol.
pub(super) enum Call {
    Classic(GroupCall),
    Next(ConsumerGroupHeartbeatRequest),
}

/// Its answer.
pub(super) enum Answer {
    Classic(GroupAnswer),
    Next(ConsumerGroupHeartbeatResponse),
}

/// Looks the coordinator up and connects to it.
pub(super) fn connect(client: &Client, group: &str) -> Job<Done> {
    let (cluster, group) = (client.cluster().clone(), group.to_owned());
    // An attempt that hangs must not outlast the patience of the group.
    let deadline = Instant::now() + *client.config().request_timeout();
    Box::pin(async move {
        let connected = async {
            let node = cluster.coordinator_node(CoordinatorKind::Group, &group, deadline).await?;
            cluster.dedicated(node, deadline).await
        };
        Done::Connected(connected.await)
    })
}

/// Sends a request. One that nobody answers within the session's time has failed; one that waits
/// for the group has that much longer.
pub(super) fn send(handle: Handle, call: Call, session_timeout: Duration) -> Job<Done> {
    Box::pin(async move {
        let deadline = Instant::now() + session_timeout;
        let answer = match call {
            Call::Classic(call) => classic(&handle, call, deadline).await.map(Answer::Classic),
            Call::Next(request) => next(&handle, &request, deadline).await.map(Answer::Next),
        };
        Done::Answered(Box::new(answer))
    })
}

async fn classic(handle: &Handle, call: GroupCall, deadline: Instant) -> Result<GroupAnswer> {
    match call {
        GroupCall::Join(request) => {
            let group = u64::try_from(request.rebalance_timeout_ms).unwrap_or(0);
            let deadline = deadline + Duration::from_millis(group);
            handle.request_patiently(&request, deadline).await.map(GroupAnswer::Join)
        }
        GroupCall::Sync(request) => handle
            .request_patiently(&request, deadline + FOR_THE_LEADER)
            .await
            .map(GroupAnswer::Sync),
        GroupCall::Heartbeat(request) => {
            handle.request(&request, deadline).await.map(GroupAnswer::Heartbeat)
        }
        GroupCall::Leave(leave) => {
            let version = handle.version_of::<LeaveGroupRequest>()?;
            let request = leave.request(version);
            handle.request_in(&request, version, deadline).await.map(GroupAnswer::Leave)
        }
    }
}

async fn next(
    handle: &Handle,
    request: &ConsumerGroupHeartbeatRequest,
    deadline: Instant,
) -> Result<ConsumerGroupHeartbeatResponse> {
    let answer = handle.request(request, deadline).await;
    answer.map_err(|error| match error.kind() {
        ErrorKind::Unsupported => error.with_hint(
            "set group.protocol=classic, or use a broker of Kafka 4.0 or newer, and of 3.8 for patterns",
        ),
        _ => error,
    })
}

/// Whether the way to the coordinator, or a request of a member, may be tried again: whatever may
/// have been carried out, the machine then finds out.
pub(super) fn passes(error: &Error) -> bool {
    error.is_retriable() || error.kind() == ErrorKind::OutcomeUnknown
}

/// A leader may have to ask for thousands of topics.
const FOR_THE_LEADER: Duration = Duration::from_secs(60);
