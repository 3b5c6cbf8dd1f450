//! An address that stays while what is behind it changes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes connections on, each to where it points when the connection comes.
pub struct Proxy {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// On a free port, in front of `target`.
    pub async fn new(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let target = Arc::new(Mutex::new(target));
        let behind = Arc::clone(&target);
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let to = *behind.lock().unwrap();
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(to).await {
                        copy_bidirectional(&mut near, &mut far).await.ok();
                    }
                });
            }
        });
        Self { address, target, task }
    }

    /// `host:port`, as a client takes it.
    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    /// From now on new connections go there.
    pub fn point_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = target;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
