//! Opening a byte stream. In: a host and a port; out: a stream, or why there is none. The one thing
//! that a client is given from outside, so that tests, proxies and encryption need no other seam.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

/// Opens byte streams. Shared by all connections of a client.
pub trait Dial: fmt::Debug + Send + Sync + 'static {
    /// Opens a stream to `host` and `port`. The caller drops the future when it takes too long, so
    /// it must be cancel safe.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a>;

    /// As [`Dial::dial`], knowing when the caller will drop the future: useful to those who have
    /// several addresses to try. It grows from failure to failure
    /// (`socket.connection.setup.timeout.max.ms`). Without an implementation of its own it is
    /// [`Dial::dial`].
    fn dial_within<'a>(&'a self, host: &'a str, port: u16, patience: Duration) -> Dialling<'a> {
        let _ = patience;
        self.dial(host, port)
    }
}

/// The future of [`Dial::dial`].
pub type Dialling<'a> = Pin<Box<dyn Future<Output = io::Result<BoxStream>> + Send + 'a>>;

/// A stream of bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A stream whose type does not matter.
pub type BoxStream = Box<dyn Stream>;

/// Opens plain TCP connections, without Nagle's delay. All addresses of a name are tried in turn
/// (KIP-302), each for its share of the time, so that one that swallows packets does not hide the
/// others.
#[derive(Clone, Debug)]
pub struct TcpDial {
    timeout: Duration,
    receive_buffer: Option<u32>,
    send_buffer: Option<u32>,
}

impl TcpDial {
    /// Gives up after `timeout` over all addresses, or when [`Dial::dial_within`] says.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, receive_buffer: None, send_buffer: None }
    }

    /// Asks the kernel for buffers of this many bytes; `None` leaves a size to the system, which
    /// grows it as needed.
    #[must_use]
    pub fn with_buffers(mut self, receive: Option<u32>, send: Option<u32>) -> Self {
        (self.receive_buffer, self.send_buffer) = (receive, send);
        self
    }

    /// The name's addresses in the order of the resolver, each for an equal share of what is left.
    async fn connect(&self, host: &str, port: u16, patience: Duration) -> io::Result<TcpStream> {
        let deadline = Instant::now() + patience;
        let resolved = timeout_at(deadline, lookup_host((host, port))).await;
        let addresses: Vec<SocketAddr> =
            resolved.map_err(|_| late("resolving the name"))??.collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for (index, address) in addresses.iter().enumerate() {
            let untried = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            let share = deadline.saturating_duration_since(Instant::now()) / untried;
            match timeout_at(Instant::now() + share, self.connect_to(*address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = late("connecting"),
            }
        }
        Err(last)
    }

    /// One address, without a limit of time.
    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(size) = self.receive_buffer {
            socket.set_recv_buffer_size(size)?;
        }
        if let Some(size) = self.send_buffer {
            socket.set_send_buffer_size(size)?;
        }
        // A broker that vanished without a word is noticed even while nothing is asked of it.
        socket.set_keepalive(true)?;
        let stream = socket.connect(address).await?;
        // Requests are written whole; waiting for more only adds latency.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Dial for TcpDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
        self.dial_within(host, port, self.timeout)
    }

    fn dial_within<'a>(&'a self, host: &'a str, port: u16, patience: Duration) -> Dialling<'a> {
        Box::pin(async move {
            let stream = self.connect(host, port, patience).await?;
            Ok(Box::new(stream) as BoxStream)
        })
    }
}

/// A failure like the kernel's own, for time that ran out here.
pub(crate) fn late(doing: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{doing} took too long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_listening_port_is_reached_by_name() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let dial = TcpDial::new(Duration::from_secs(5)).with_buffers(Some(65_536), Some(65_536));
        assert!(dial.dial("localhost", port).await.is_ok());
    }

    #[tokio::test]
    async fn a_closed_port_is_refused_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let error = TcpDial::new(Duration::from_secs(5)).dial("127.0.0.1", port).await.err();
        assert_eq!(error.map(|error| error.kind()), Some(io::ErrorKind::ConnectionRefused));
    }
}
