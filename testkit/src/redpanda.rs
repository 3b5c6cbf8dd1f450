//! Redpanda in a container, where Docker answers: a second opinion on what every broker must do.
//!
//! In: a version. Out: a bootstrap list of one broker, or the reason why there is none. Starting one
//! needs the feature `redpanda`, without which the Docker client is not even compiled.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::outside::{Cluster, Error, Service, in_test};

/// A running broker in a container, which ends when this is dropped.
#[derive(Debug)]
pub struct Redpanda {
    name: String,
    bootstrap: String,
    #[cfg(feature = "redpanda")]
    _container: container::Running,
}

impl Redpanda {
    /// Starts one broker of a version such as `v25.2.4`, a tag of Redpanda's image.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] where [`available`] would say so, [`Error::Failed`] if the image cannot be
    /// fetched or the broker does not come up.
    pub fn start(version: &str) -> Result<Self, Error> {
        available()?;
        start(version)
    }
}

impl Cluster for Redpanda {
    fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Whether this build and this machine can run Redpanda.
///
/// # Errors
///
/// [`Error::Missing`] with the reason: built without the feature `redpanda`, or no Docker answers.
pub fn available() -> Result<(), Error> {
    if !cfg!(feature = "redpanda") {
        let reason = "klamm-testkit was built without its feature `redpanda`";
        return Err(Error::missing(Service::Redpanda, reason));
    }
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| DOCKER.to_owned());
    ping(&host).map_err(|error| {
        Error::missing(Service::Redpanda, format!("Docker does not answer at {host}: {error}"))
    })
}

/// A broker of a test's own, or `None` after saying that the test is skipped.
///
/// # Panics
///
/// As [`in_test`].
pub fn for_test() -> Option<Redpanda> {
    in_test(Redpanda::start(VERSION))
}

/// Asks Docker for a sign of life, so that a test is skipped in a moment and not after a timeout.
fn ping(host: &str) -> io::Result<()> {
    if let Some(path) = host.strip_prefix("unix://") {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(PING_WITHIN))?;
        return pong(socket);
    }
    let address = host.split_once("://").map_or(host, |(_, address)| address);
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PING_WITHIN))?;
    pong(socket)
}

fn pong(mut socket: impl Read + Write) -> io::Result<()> {
    socket.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
    let mut status = [0; 12];
    socket.read_exact(&mut status)?;
    if status.starts_with(b"HTTP/1.") && status.ends_with(b" 200") {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "it is not Docker"))
}

#[cfg(feature = "redpanda")]
use self::container::start;

#[cfg(not(feature = "redpanda"))]
fn start(_: &str) -> Result<Redpanda, Error> {
    available()?;
    Err(Error::missing(Service::Redpanda, "the feature `redpanda` is off"))
}

/// The part that needs a Docker client.
#[cfg(feature = "redpanda")]
mod container {
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use testcontainers::core::{IntoContainerPort, WaitFor};
    use testcontainers::runners::SyncRunner;
    use testcontainers::{Container, GenericImage, ImageExt};

    use super::Redpanda;
    use crate::outside::Error;

    /// Ends its container on a thread of its own: the client blocks on a runtime, which panics
    /// where a test is running on one itself.
    #[derive(Debug)]
    pub(super) struct Running(Option<Container<GenericImage>>);

    impl Drop for Running {
        fn drop(&mut self) {
            let container = self.0.take();
            let _ = thread::spawn(move || drop(container)).join();
        }
    }

    pub(super) fn start(version: &str) -> Result<Redpanda, Error> {
        let tag = version.to_owned();
        let started = thread::spawn(move || run(&tag)).join();
        started.unwrap_or_else(|_| Err(Error::failed("starting Redpanda", "its thread panicked")))
    }

    fn run(tag: &str) -> Result<Redpanda, Error> {
        // Clients are told the address to come back to, so the outer port has to be known before.
        let port = free_port()?;
        let advertised = format!("127.0.0.1:{port}");
        let arguments = ["redpanda", "start", "--mode", "dev-container", "--smp", "1"];
        let addresses =
            ["--kafka-addr", "0.0.0.0:9092", "--advertise-kafka-addr", advertised.as_str()];
        let container = GenericImage::new("docker.redpanda.com/redpandadata/redpanda", tag)
            .with_wait_for(WaitFor::message_on_stderr("Successfully started Redpanda"))
            .with_mapped_port(port, 9092.tcp())
            .with_cmd(arguments.into_iter().chain(addresses))
            .start()
            .map_err(|error| Error::failed("starting Redpanda", &error.to_string()))?;
        Ok(Redpanda {
            name: format!("redpanda-{tag}"),
            bootstrap: advertised,
            _container: Running(Some(container)),
        })
    }

    fn free_port() -> Result<u16, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let address = listener.and_then(|listener| listener.local_addr());
        Ok(address.map_err(Error::io("finding a free port"))?.port())
    }
}

const VERSION: &str = "v25.2.4";

const DOCKER: &str = "unix:///var/run/docker.sock";

const PING_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What answers the ping in place of Docker.
    fn answering(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("tcp://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut request = [0; 23];
            socket.read_exact(&mut request).unwrap();
            socket.write_all(answer).unwrap();
        });
        host
    }

    #[test]
    fn docker_is_known_by_its_answer() {
        ping(&answering(b"HTTP/1.0 200 OK\r\n\r\nOK")).unwrap();
    }

    #[test]
    fn anything_else_on_dockers_port_is_not_docker() {
        assert!(ping(&answering(b"HTTP/1.0 404 Not Found\r\n\r\n")).is_err());
        assert!(ping(&answering(b"SSH-2.0-OpenSSH_9.2\r\n")).is_err());
        assert!(ping("unix:///no/such/socket").is_err());
    }
}
