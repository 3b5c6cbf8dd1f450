//! One listener and its connections: bytes come in and become frames, frames go out vectored, so
//! that a fetch goes from the log to the socket without a copy.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::Buf;
use klamm_protocol::frame::FrameReader;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};

use super::shared::{Bell, Outgoing, Shared};
use crate::broker::ConnId;

/// Takes connections for one node until `stopped`, then waits for those that are open.
pub(crate) async fn accept(
    shared: Arc<Shared>,
    node: i32,
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(shared.clone(), node, stream, stopped.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others may close theirs meanwhile.
                    tracing::warn!(%error, node, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    shared: Arc<Shared>,
    node: i32,
    stream: TcpStream,
    mut stopped: watch::Receiver<bool>,
) {
    let bell = Arc::new(Bell::default());
    let Some(conn) = shared.connect(node, &bell) else {
        tracing::warn!(node, "too many connections, closing the newest");
        return;
    };
    // Without it small answers wait for the client's acknowledgements; it is no condition.
    let _ = stream.set_nodelay(true);
    if let Err(error) = open(&shared, conn, &bell, stream, &mut stopped).await {
        tracing::debug!(%error, node, "a connection has ended");
    }
    shared.disconnect(conn);
}

/// Behind TLS if the door has it.
async fn open(
    shared: &Shared,
    conn: ConnId,
    bell: &Bell,
    stream: TcpStream,
    stopped: &mut watch::Receiver<bool>,
) -> io::Result<()> {
    #[cfg(feature = "tls")]
    if let Some(tls) = &shared.tls {
        let accepting = tokio_rustls::TlsAcceptor::from(Arc::clone(tls)).accept(stream);
        let stream = timeout(shared.max_idle, accepting).await??;
        let (reader, writer) = tokio::io::split(stream);
        return talk(shared, conn, bell, (reader, writer), stopped).await;
    }
    talk(shared, conn, bell, stream.into_split(), stopped).await
}

async fn talk(
    shared: &Shared,
    conn: ConnId,
    bell: &Bell,
    (reader, writer): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    stopped: &mut watch::Receiver<bool>,
) -> io::Result<()> {
    let mut writing = pin!(write(shared, conn, bell, writer));
    tokio::select! {
        ended = read(shared, conn, bell, reader) => ended,
        ended = &mut writing => ended,
        _ = stopped.changed() => {
            shared.finish(conn);
            timeout(LAST_WORDS, writing).await.unwrap_or(Ok(()))
        }
    }
}

/// Reads frames and hands them on, until the client closes, sends nonsense, or is idle too long.
async fn read(
    shared: &Shared,
    conn: ConnId,
    bell: &Bell,
    mut reader: impl AsyncRead + Unpin,
) -> io::Result<()> {
    let mut frames = FrameReader::new(shared.max_request_bytes);
    loop {
        while let Some(frame) = frames.next().map_err(io::Error::other)? {
            while !shared.has_room(conn) {
                // The bell rings for every answer; looking again now and then also notices
                // requests that a test's rule has swallowed.
                let _ = timeout(LOOK_AGAIN, bell.read.notified()).await;
            }
            shared.handle_frame(conn, frame.0);
        }
        if timeout(shared.max_idle, reader.read_buf(frames.spare())).await?? == 0 {
            return Ok(());
        }
    }
}

/// Writes what the machine has for this connection, until it closes it.
async fn write(
    shared: &Shared,
    conn: ConnId,
    bell: &Bell,
    mut writer: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    loop {
        match shared.take(conn) {
            Outgoing::Frames(frames) => {
                for mut frame in frames {
                    let bytes = frame.remaining();
                    timeout(shared.max_idle, writer.write_all_buf(&mut frame)).await??;
                    // TLS keeps bytes back until it is told; sockets have nothing to do here.
                    writer.flush().await?;
                    shared.written(conn, bytes);
                }
            }
            Outgoing::Nothing => bell.write.notified().await,
            Outgoing::Closed => return writer.shutdown().await,
        }
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a stopping door tries to get rid of answers that are ready.
const LAST_WORDS: Duration = Duration::from_secs(1);
