//! Questions that every broker answers for itself: which groups, which transactions. In: a question;
//! out: what all of them know, and who did not answer.

use tokio::time::Instant;

use crate::client::Client;
use crate::cluster::Repeat;
use crate::error::{Error, Result};
use crate::net::handle::Handle;

use super::each::{Broker, Call, Each, Node, To};
use super::metadata::Topics;

/// What the brokers of a cluster know together.
///
/// ```no_run
/// # async fn example(client: klamm_client::Client) -> klamm_client::Result<()> {
/// let groups = client.list_groups(&Default::default()).await?;
/// for (broker, error) in &groups.failed {
///     eprintln!("the groups of broker {broker} are missing: {error}");
/// }
/// for group in groups.found {
///     println!("{}", group.id);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Listing<T> {
    /// What was found, by whichever broker.
    pub found: Vec<T>,
    /// The brokers that did not answer, by id, with the reason: what they know is missing.
    pub failed: Vec<(i32, Error)>,
}

impl<T> Listing<T> {
    /// What was found, if every broker has answered.
    ///
    /// # Errors
    ///
    /// The first of [`Listing::failed`].
    pub fn complete(self) -> Result<Vec<T>> {
        match self.failed.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(self.found),
        }
    }
}

impl Client {
    /// Asks all living brokers.
    pub(super) async fn list_everywhere<T, F>(
        &self,
        ask: impl Fn(Handle, Instant) -> F,
    ) -> Result<Listing<T>>
    where
        T: Clone,
        F: Future<Output = Result<Vec<T>>>,
    {
        let view = self.metadata(Topics::Named(Vec::new())).await?;
        let brokers: Vec<Broker> = view.brokers.keys().map(|id| Broker(*id)).collect();
        let to = To::Node(|broker: &Broker| Node::Id(broker.0));
        let each = Each { client: self, items: &brokers, to, repeat: Repeat::Harmless };
        let answers = each.ask(|call| {
            let answer = ask(call.handle.clone(), call.deadline);
            async move { Ok(call.told(answer.await)) }
        });
        let mut listing = Listing { found: Vec::new(), failed: Vec::new() };
        for (broker, answer) in brokers.iter().zip(answers.await) {
            match answer {
                Ok(found) => listing.found.extend(found),
                Err(error) => listing.failed.push((broker.0, error)),
            }
        }
        Ok(listing)
    }
}

impl Call<'_, Broker> {
    /// The answer of the broker that this call is about.
    pub(super) fn told<T: Clone>(&self, answer: Result<T>) -> Vec<(i32, Result<T>)> {
        self.items.iter().map(|broker| (broker.0, answer.clone())).collect()
    }
}
