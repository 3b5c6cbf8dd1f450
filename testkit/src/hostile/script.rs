//! What a hostile broker does, as data: rules that name an API and say what leaves the socket in
//! place of the honest answer. In go requests with the answers that the embedded broker gave; out
//! come steps: bytes, pauses, endings.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use klamm_protocol::api::{ApiKey, Request, VersionRange};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::header::{decode_response, encode_response};

use crate::broker::{Cluster, ClusterConfig};

/// How a hostile cluster behaves. Begins as an honest one of one node; each call makes it worse.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) cluster: ClusterConfig,
    pub(super) prepare: Vec<fn(&mut Cluster)>,
    pub(super) failures: Vec<(ApiKey, ErrorCode)>,
    pub(super) greeting: Vec<Step>,
    pub(super) rules: Vec<Rule>,
}

/// What is done to the requests of one API.
#[derive(Clone)]
pub(super) struct Rule {
    pub(super) key: ApiKey,
    pub(super) skip: u32,
    pub(super) times: u32,
    /// Whether the embedded broker gets the request, and so may carry it out.
    pub(super) served: bool,
    pub(super) play: Play,
}

/// From a request and the honest answer's frame (empty if the request was not served) to what
/// leaves the socket.
pub(super) type Play = Arc<dyn Fn(&Asked, &Bytes) -> Result<Vec<Step>, Blunder> + Send + Sync>;

/// A script that cannot be played: a mistake of the test, not of whoever is tested.
pub type Blunder = Box<dyn Error + Send + Sync>;

/// A request, as rules see it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The node that got it.
    pub node: i32,
    /// The API.
    pub key: ApiKey,
    /// Its version.
    pub version: i16,
    /// The client's number for it.
    pub correlation_id: i32,
    /// How many requests the rule has seen before.
    pub nth: u32,
    /// Where the nodes listen, by their ids from 1.
    pub addresses: Arc<[SocketAddr]>,
}

/// One thing that happens on the wire.
#[derive(Clone, Debug)]
pub enum Step {
    /// These bytes are written.
    Send(Bytes),
    /// These bytes are written one by one, with a pause before each.
    Trickle(Bytes, Duration),
    /// These bytes are written over and over until the client hangs up.
    Flood(Bytes),
    /// Nothing is read or written for so long.
    Pause(Duration),
    /// Whatever comes is read and nothing is said until the client hangs up.
    Silence,
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
}

impl Script {
    /// An honest cluster of one node.
    pub fn honest() -> Self {
        Self {
            cluster: ClusterConfig { brokers: 1, ..ClusterConfig::default() },
            prepare: Vec::new(),
            failures: Vec::new(),
            greeting: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// So many nodes.
    #[must_use]
    pub fn brokers(mut self, count: i32) -> Self {
        self.cluster.brokers = count;
        self
    }

    /// Serves only versions up to `max` of an API.
    #[must_use]
    pub fn up_to(mut self, key: ApiKey, max: i16) -> Self {
        self.cluster.versions.push((key, VersionRange::new(0, max)));
        self
    }

    /// Changes the cluster before anybody connects.
    #[must_use]
    pub fn prepared(mut self, change: fn(&mut Cluster)) -> Self {
        self.prepare.push(change);
        self
    }

    /// On every new connection, before anything is read.
    #[must_use]
    pub fn greeting(mut self, steps: impl Into<Vec<Step>>) -> Self {
        self.greeting = steps.into();
        self
    }

    /// Refuses every request of an API with this code, wherever its answer has room for one.
    #[must_use]
    pub fn fail(mut self, key: ApiKey, code: ErrorCode) -> Self {
        self.failures.push((key, code));
        self
    }

    /// Plays these steps in place of serving requests of an API.
    #[must_use]
    pub fn instead(
        self,
        key: ApiKey,
        play: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        self.rule(key, false, move |asked, _| Ok(play(asked)))
    }

    /// Serves requests of an API, and makes of the honest answer's frame what leaves the socket.
    #[must_use]
    pub fn alter(
        self,
        key: ApiKey,
        play: impl Fn(&Asked, &Bytes) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        self.rule(key, true, move |asked, honest| Ok(play(asked, honest)))
    }

    /// Serves a request, and changes what the honest answer says.
    #[must_use]
    pub fn edit<R: Request + 'static>(
        self,
        edit: impl Fn(&Asked, &mut R::Response) + Send + Sync + 'static,
    ) -> Self {
        self.rule(R::KEY, true, move |asked, honest| {
            let body = honest.slice(LENGTH.min(honest.len())..);
            let mut response = decode_response::<R>(body, asked.version)?;
            edit(asked, &mut response);
            Ok(vec![Step::Send(encoded::<R>(asked, &response)?)])
        })
    }

    /// Answers with what `make` says, and serves nothing.
    #[must_use]
    pub fn answer<R: Request + 'static>(
        self,
        make: impl Fn(&Asked) -> R::Response + Send + Sync + 'static,
    ) -> Self {
        self.rule(R::KEY, false, move |asked, _| {
            Ok(vec![Step::Send(encoded::<R>(asked, &make(asked))?)])
        })
    }

    /// The last rule lets so many requests pass first.
    #[must_use]
    pub fn skip(mut self, requests: u32) -> Self {
        if let Some(rule) = self.rules.last_mut() {
            rule.skip = requests;
        }
        self
    }

    /// The last rule strikes so often, then lets pass.
    #[must_use]
    pub fn times(mut self, requests: u32) -> Self {
        if let Some(rule) = self.rules.last_mut() {
            rule.times = requests;
        }
        self
    }

    fn rule(
        mut self,
        key: ApiKey,
        served: bool,
        play: impl Fn(&Asked, &Bytes) -> Result<Vec<Step>, Blunder> + Send + Sync + 'static,
    ) -> Self {
        self.rules.push(Rule { key, skip: 0, times: u32::MAX, served, play: Arc::new(play) });
        self
    }
}

impl Asked {
    /// Host and port of a node; ids beyond the cluster go round.
    pub fn address(&self, node: i32) -> (String, i32) {
        let index = usize::try_from(node - 1).unwrap_or(0) % self.addresses.len().max(1);
        let address = self.addresses.get(index).copied();
        address.map_or((String::new(), 0), |address| {
            (address.ip().to_string(), i32::from(address.port()))
        })
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, skip, times, served, play: _ } = self;
        write!(f, "{key} after {skip}, {times} times, served: {served}")
    }
}

/// A response as the frame that answers this request.
fn encoded<R: Request>(asked: &Asked, response: &R::Response) -> Result<Bytes, Blunder> {
    Ok(encode_response::<R>(response, asked.version, asked.correlation_id)?.into_bytes())
}

/// The bytes of a frame's length.
const LENGTH: usize = 4;
