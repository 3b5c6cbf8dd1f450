//! A hostile cluster on free ports of 127.0.0.1: the embedded broker answers behind it, and a
//! [`Script`] decides what of that leaves the socket. In go connections, out come the script's
//! steps, and a record of what came and what was said.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use klamm_protocol::api::ApiKey;
use klamm_protocol::frame::FrameReader;
use klamm_protocol::header::decode_request_header;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::craft::batch;
use super::script::{Asked, Play, Script, Step};
use super::verdict::{Verdict, verdict};
use super::{TOPIC, VALUES};
use crate::broker::{Cluster, ConnId};
use crate::control::Intercept;
use crate::door::DoorConfig;
use crate::door::shared::{Bell, Outgoing, Shared, keep_time};
use crate::log::Refusal;

/// A running hostile cluster. Dropping it closes everything at once.
#[derive(Debug)]
#[must_use = "the cluster stops when this is dropped"]
pub struct HostileCluster {
    stage: Arc<Stage>,
    /// Keeps the embedded broker's clock going.
    _stop: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

/// What a hostile cluster has seen and done.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Connections taken, over all nodes.
    pub connections: usize,
    /// The most connections that were open at once.
    pub most_open: usize,
    /// Whole requests read.
    pub requests: usize,
    /// Bytes written to clients.
    pub sent: usize,
    /// How often the script did something that an honest broker would not do.
    pub struck: usize,
    /// What each whole Produce request was told, in the order they came.
    pub produced: Vec<Verdict>,
    /// Mistakes of the script itself.
    pub blunders: Vec<String>,
}

#[derive(Debug)]
struct Stage {
    script: Script,
    door: Arc<Shared>,
    addresses: Arc<[SocketAddr]>,
    open: AtomicUsize,
    seen: Mutex<Seen>,
    /// How many requests each rule has seen.
    counts: Mutex<Vec<u32>>,
}

impl HostileCluster {
    /// Binds a port for each node and begins.
    ///
    /// # Errors
    /// No port is free.
    ///
    /// # Cancel safety
    /// If the future is dropped, nothing stays behind.
    pub async fn start(script: &Script) -> io::Result<Self> {
        let mut cluster = Cluster::new(script.cluster.clone());
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for node in 1..=script.cluster.brokers {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            cluster.set_address(node, &address.ip().to_string(), address.port());
            listeners.push((node, listener));
            addresses.push(address);
        }
        furnish(&mut cluster).map_err(|refusal| io::Error::other(format!("{refusal:?}")))?;
        script.prepare.iter().for_each(|prepare| prepare(&mut cluster));
        for (key, code) in &script.failures {
            cluster.intercept(Intercept::on(*key).fail(*code));
        }
        let door = Arc::new(Shared::new(cluster, &DoorConfig::default()));
        let stage = Arc::new(Stage {
            counts: Mutex::new(vec![0; script.rules.len()]),
            script: script.clone(),
            door: Arc::clone(&door),
            addresses: addresses.into(),
            open: AtomicUsize::new(0),
            seen: Mutex::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_time(door, stopped));
        for (node, listener) in listeners {
            tasks.spawn(accept(Arc::clone(&stage), node, listener));
        }
        Ok(Self { stage, _stop: stop, _tasks: tasks })
    }

    /// `host:port` of every node, separated by commas.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<_> = self.stage.addresses.iter().map(SocketAddr::to_string).collect();
        addresses.join(",")
    }

    /// What has happened so far.
    pub fn seen(&self) -> Seen {
        self.stage.seen().clone()
    }

    /// Connections open now. One that a client has closed counts until that was noticed here.
    pub fn connections(&self) -> usize {
        self.stage.open.load(Ordering::SeqCst)
    }

    /// Looks into the embedded cluster behind it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Cluster) -> T) -> T {
        self.stage.door.with(look)
    }
}

impl Stage {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rule that strikes a request: the first of its API whose turn it is.
    fn judge(&self, asked: &mut Asked) -> Option<(bool, Play)> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (rule, count) in self.script.rules.iter().zip(counts.iter_mut()) {
            if rule.key != asked.key {
                continue;
            }
            let nth = *count;
            *count += 1;
            if let Some(nth) = nth.checked_sub(rule.skip).filter(|nth| *nth < rule.times) {
                asked.nth = nth;
                return Some((rule.served, Arc::clone(&rule.play)));
            }
        }
        None
    }

    /// What a request leads to on the wire.
    async fn answer(&self, conn: ConnId, bell: &Bell, node: i32, frame: Bytes) -> Vec<Step> {
        let Ok((header, _)) = decode_request_header(frame.clone()) else {
            self.seen().blunders.push("the client sent what is no request".to_owned());
            return vec![Step::Close];
        };
        let mut asked = Asked {
            node,
            key: header.api_key,
            version: header.api_version,
            correlation_id: header.correlation_id,
            nth: 0,
            addresses: Arc::clone(&self.addresses),
        };
        self.seen().requests += 1;
        let rule = self.judge(&mut asked);
        let served = rule.as_ref().is_none_or(|(served, _)| *served);
        let honest = if served { self.serve(conn, bell, frame.clone()).await } else { None };
        let steps = match (rule, honest) {
            (Some((_, play)), honest) => {
                self.seen().struck += 1;
                play(&asked, &honest.unwrap_or_default())
            }
            (None, Some(honest)) => {
                let failed = self.script.failures.iter().any(|(key, _)| *key == asked.key);
                self.seen().struck += usize::from(failed);
                Ok(vec![Step::Send(honest)])
            }
            (None, None) => Ok(vec![Step::Close]),
        };
        let steps = steps.unwrap_or_else(|blunder| {
            self.seen().blunders.push(format!("{}: {blunder}", asked.key));
            vec![Step::Close]
        });
        if asked.key == ApiKey::Produce {
            self.seen().produced.push(verdict(&asked, frame, &steps));
        }
        steps
    }

    /// The embedded broker's answer; `None` where it closes the connection.
    async fn serve(&self, conn: ConnId, bell: &Bell, frame: Bytes) -> Option<Bytes> {
        self.door.handle_frame(conn, frame);
        let answer = async {
            loop {
                match self.door.take(conn) {
                    Outgoing::Frames(frames) => {
                        let bytes = frames.into_iter().map(|frame| frame.into_bytes()).next();
                        self.door.written(conn, bytes.as_ref().map_or(0, Bytes::len));
                        return bytes;
                    }
                    Outgoing::Nothing => bell.write.notified().await,
                    Outgoing::Closed => return None,
                }
            }
        };
        timeout(LONGEST_ANSWER, answer).await.ok().flatten()
    }
}

/// What every hostile cluster holds: the topic [`TOPIC`] with the records [`VALUES`], one a batch.
fn furnish(cluster: &mut Cluster) -> Result<(), Refusal> {
    cluster.create_topic(TOPIC, 1, 1)?;
    cluster.edit_log(TOPIC, 0, |log| {
        VALUES.iter().try_for_each(|value| {
            log.append(&Bytes::from(batch(0, &[value])), 0, -1)?;
            Ok(())
        })
    })
}

async fn accept(stage: Arc<Stage>, node: i32, listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(converse(Arc::clone(&stage), node, stream));
    }
}

/// One connection, from its greeting to its end.
async fn converse(stage: Arc<Stage>, node: i32, stream: TcpStream) {
    let _open = Open::new(&stage);
    // Without it pieces of answers wait for each other; it is no condition.
    let _ = stream.set_nodelay(true);
    let mut wire = Wire { stream, frames: FrameReader::new(MAX_REQUEST), stage: &stage };
    let greeting = &stage.script.greeting;
    stage.seen().struck += usize::from(!greeting.is_empty());
    if wire.play(greeting.clone()).await.is_err() {
        return;
    }
    let bell = Arc::new(Bell::default());
    let Some(conn) = stage.door.connect(node, &bell) else { return };
    while let Ok(Some(frame)) = wire.frame().await {
        let steps = stage.answer(conn, &bell, node, frame).await;
        if wire.play(steps).await.is_err() {
            break;
        }
    }
    stage.door.disconnect(conn);
}

/// The socket of one connection.
struct Wire<'a> {
    stream: TcpStream,
    frames: FrameReader,
    stage: &'a Stage,
}

impl Wire<'_> {
    /// The next request, `None` once the client has hung up.
    async fn frame(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(frame) = self.frames.next().map_err(io::Error::other)? {
                return Ok(Some(frame.0));
            }
            if self.stream.read_buf(self.frames.spare()).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Plays steps; an error means that the connection is over.
    async fn play(&mut self, steps: Vec<Step>) -> io::Result<()> {
        for step in steps {
            match step {
                Step::Send(bytes) => self.send(&bytes).await?,
                Step::Trickle(bytes, pause) => {
                    for byte in bytes {
                        sleep(pause).await;
                        self.send(&[byte]).await?;
                    }
                }
                Step::Flood(bytes) => loop {
                    self.send(&bytes).await?;
                },
                Step::Pause(pause) => sleep(pause).await,
                Step::Silence => {
                    let mut heard = [0; 4096];
                    while self.stream.read(&mut heard).await? > 0 {}
                    return over();
                }
                Step::Close => return over(),
                Step::Reset => {
                    self.stream.set_zero_linger()?;
                    return over();
                }
            }
        }
        Ok(())
    }

    /// Writes, unless the client has not read for so long that it must have forgotten.
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stage.seen().sent += bytes.len();
        timeout(LONGEST_ANSWER, self.stream.write_all(bytes)).await?
    }
}

fn over() -> io::Result<()> {
    Err(io::ErrorKind::ConnectionAborted.into())
}

/// Counts a connection while it lives.
struct Open<'a>(&'a Stage);

impl<'a> Open<'a> {
    fn new(stage: &'a Stage) -> Self {
        let open = stage.open.fetch_add(1, Ordering::SeqCst) + 1;
        let mut seen = stage.seen();
        seen.connections += 1;
        seen.most_open = seen.most_open.max(open);
        drop(seen);
        Self(stage)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

const MAX_REQUEST: usize = 100 << 20;
/// Only an end to what would hold up a test for ever.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);
