//! TLS over any byte stream. In: a [`Dial`] and keys; out: another [`Dial`], whose streams are
//! encrypted and go to the host that was asked for, proven by its certificate.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::Config;
use crate::error::Result;
use crate::net::dial::{BoxStream, Dial, Dialling, late};
use crate::tls::{Keyring, TlsFailure, in_words};

/// Opens streams by another [`Dial`] and encrypts them, whoever advertised the address: nothing
/// goes out before the certificate was checked against the host name. Who has no client needs this
/// to speak HTTPS, say.
#[derive(Debug)]
pub struct TlsDial {
    inner: Arc<dyn Dial>,
    keys: Keyring,
}

impl TlsDial {
    /// Reads the keys and certificates that the `ssl.*` options name. They are read again when
    /// their files change; if the new ones are broken, the old ones stay, and an event of level
    /// `warn` tells it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) with the option, the file and what is wrong
    /// with it, and for a processor on which the cryptography of this build does not run.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn over(inner: Arc<dyn Dial>, config: Arc<Config>) -> Result<Self> {
        Ok(Self { inner, keys: Keyring::open(config).await? })
    }

    async fn encrypt(&self, host: &str, stream: BoxStream) -> io::Result<BoxStream> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let keys = self.keys.keys().await;
        let shown = keys.shown;
        match TlsConnector::from(keys.tls).connect(name, stream).await {
            Ok(stream) => Ok(Box::new(Encrypted { stream, shown })),
            Err(error) => Err(TlsFailure::of_handshake(in_words(error, shown))),
        }
    }
}

impl Dial for TlsDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
        Box::pin(async move { self.encrypt(host, self.inner.dial(host, port).await?).await })
    }

    fn dial_within<'a>(&'a self, host: &'a str, port: u16, patience: Duration) -> Dialling<'a> {
        // A little earlier than the caller, who could not say what took so long.
        let deadline = Instant::now() + patience - patience / 20;
        Box::pin(async move {
            let stream = self.inner.dial_within(host, port, patience).await?;
            let encrypted = timeout_at(deadline, self.encrypt(host, stream)).await;
            encrypted.map_err(|_| late("the TLS handshake"))?
        })
    }
}

/// A stream whose failures are told in words. With TLS 1.3 some come only with the first answer: a
/// broker looks at this side's certificate after the handshake.
struct Encrypted {
    stream: TlsStream<BoxStream>,
    shown: bool,
}

impl Encrypted {
    fn stream(&mut self) -> Pin<&mut TlsStream<BoxStream>> {
        Pin::new(&mut self.stream)
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(match ready!(self.stream().poll_read(cx, buffer)) {
            // An end without TLS's farewell. Frames have lengths, so nothing can be cut off unseen:
            // it is the end of a plain stream.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            done => done.map_err(|error| in_words(error, self.shown)),
        })
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
