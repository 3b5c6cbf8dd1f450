//! Elections of leaders (KIP-183, KIP-460). In: partitions, and how to choose; out: for each whether
//! a leader was elected. Orders go to the controller.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, TopicPartitions,
};

use crate::client::Client;
use crate::cluster::Repeat;
use crate::error::{Error, Result};
use crate::partition::TopicPartition;

use super::by_topic::{gathered, named};
use super::each::{Call, Each, Item, Node, To, Told, verdict};

/// Who may become the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElectionKind {
    /// The first of the partition's replicas, if it keeps up.
    Preferred,
    /// Where no replica that keeps up is alive, any that is: **records may be lost** (brokers since
    /// 2.4).
    Unclean,
}

/// What became of an election.
///
/// ```no_run
/// # async fn example(client: klamm_client::Client) -> klamm_client::Result<()> {
/// use klamm_client::TopicPartition;
/// use klamm_client::admin::{Election, ElectionKind};
///
/// let partitions = [TopicPartition::new("orders", 0)];
/// for election in client.elect_leaders(ElectionKind::Preferred, &partitions).await {
///     match election? {
///         Election::Elected => println!("it has another leader now"),
///         Election::NotNeeded => println!("it led already"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Election {
    /// There is another leader now.
    Elected,
    /// The right one leads already.
    NotNeeded,
}

impl Client {
    /// Has leaders of these partitions elected. The results stand in the order of the partitions.
    /// An election that got no answer is ordered again.
    ///
    /// # Errors
    ///
    /// For each: the broker's code with its own words, such as `PREFERRED_LEADER_NOT_AVAILABLE`
    /// while that broker is down, or `ELIGIBLE_LEADERS_NOT_AVAILABLE`; these are not waited for.
    /// [`Usage`](crate::ErrorKind::Usage) if there is no such partition,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) from brokers before 2.2 or, where the kind is
    /// unclean, 2.4; [`TimedOut`](crate::ErrorKind::TimedOut) after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: leaders may or may not be elected.
    pub async fn elect_leaders(
        &self,
        kind: ElectionKind,
        partitions: &[TopicPartition],
    ) -> Vec<Result<Election>> {
        let to = To::Node(|_: &TopicPartition| Node::Controller);
        let each = Each { client: self, items: partitions, to, repeat: Repeat::Harmless };
        let outcomes = each.ask(|call| elect(self, kind, call)).await;
        self.cluster().mark_stale();
        let named = partitions.iter().zip(outcomes);
        named.map(|(one, outcome)| outcome?.map_err(|error| one.named(error))).collect()
    }

    /// Has leaders of all partitions elected that need it. The partitions whose leader is right are
    /// not in the answer.
    ///
    /// # Errors
    ///
    /// For each partition, and for all of them, as [`Client::elect_leaders`].
    ///
    /// # Cancel safety
    ///
    /// As [`Client::elect_leaders`].
    pub async fn elect_all_leaders(
        &self,
        kind: ElectionKind,
    ) -> Result<Vec<(TopicPartition, Result<Election>)>> {
        let request = &request(self, kind, None);
        let outcomes = self
            .question(Node::Controller, Repeat::Harmless, |handle, deadline| async move {
                told(handle.request(request, deadline).await?)
            })
            .await?;
        self.cluster().mark_stale();
        let named = outcomes.into_iter().map(|(one, outcome)| {
            let outcome = outcome.map_err(|error| one.named(error));
            (one, outcome)
        });
        let needed = named.filter(|(_, outcome)| !matches!(outcome, Ok(Election::NotNeeded)));
        Ok(needed.collect())
    }
}

async fn elect(
    client: &Client,
    kind: ElectionKind,
    call: Call<'_, TopicPartition>,
) -> Told<TopicPartition, Result<Election>> {
    let request = request(client, kind, Some(&call.items));
    let outcomes = told(call.request(&request).await?)?.into_iter();
    // A refusal stays what it is, whatever its code would mean elsewhere: the outer result is what
    // may be tried again.
    Ok(outcomes
        .map(|(one, outcome)| match outcome {
            Err(error) if waits(&error) => (one, Err(error)),
            outcome => (one, Ok(outcome)),
        })
        .collect())
}

/// Whether the controller may answer otherwise in a moment.
fn waits(error: &Error) -> bool {
    let passing = [
        ErrorCode::NOT_CONTROLLER,
        ErrorCode::REQUEST_TIMED_OUT,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::THROTTLING_QUOTA_EXCEEDED,
    ];
    error.code().is_some_and(|code| passing.contains(&code))
}

fn request(
    client: &Client,
    kind: ElectionKind,
    partitions: Option<&[&TopicPartition]>,
) -> ElectLeadersRequest {
    let topic = |topic, partitions| TopicPartitions { topic, partitions };
    ElectLeadersRequest {
        election_type: kind as i8,
        topic_partitions: partitions.map(|some| gathered(some.iter().copied(), topic)),
        timeout_ms: client.order_timeout(),
    }
}

fn told(response: ElectLeadersResponse) -> Told<TopicPartition, Election> {
    Error::check(response.error_code)?;
    let topics = response.replica_election_results.into_iter();
    let told =
        topics.flat_map(|one| named(one.topic, one.partition_result, |one| one.partition_id));
    Ok(told
        .map(|(partition, one)| match one.error_code {
            ErrorCode::ELECTION_NOT_NEEDED => (partition, Ok(Election::NotNeeded)),
            code => (partition, verdict(code, one.error_message).map(|()| Election::Elected)),
        })
        .collect())
}
