//! A wire that a test holds in its hands: every connection of a client goes through it, and
//! requests of one API are lost on it, answered in vain, or kept back to arrive much later.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use klamm_client::net::dial::{BoxStream, Dial, Dialling};
use klamm_protocol::api::ApiKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy, duplex};
use tokio::net::TcpStream;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives; its answer does not, and the connection ends.
    LoseAnswer,
    /// It does not arrive yet, and the connection ends. [`Wire::deliver_late`] lets it arrive.
    HoldBack,
}

/// The wire, and what it does to whom. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Wire(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The API concerned, how many of its requests, and what becomes of them.
    rule: Option<(ApiKey, u32, Fate)>,
    /// Requests kept back, and where they were going.
    late: Vec<(String, Vec<u8>)>,
    /// How often each API was asked.
    seen: Vec<ApiKey>,
}

impl Wire {
    /// The next `times` requests of this API meet this fate.
    pub fn strike(&self, key: ApiKey, times: u32, fate: Fate) {
        self.0.lock().unwrap().rule = Some((key, times, fate));
    }

    /// Nothing more happens to any request.
    pub fn calm(&self) {
        self.0.lock().unwrap().rule = None;
    }

    /// How many requests of this API were sent so far.
    pub fn sent(&self, key: ApiKey) -> usize {
        self.0.lock().unwrap().seen.iter().filter(|one| **one == key).count()
    }

    /// Lets what was kept back arrive, and waits until it is answered. Returns how many there were.
    pub async fn deliver_late(&self) -> usize {
        let late = std::mem::take(&mut self.0.lock().unwrap().late);
        let count = late.len();
        for (address, frame) in late {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&frame).await.unwrap();
            let length = stream.read_i32().await.unwrap();
            let mut answer = vec![0; length as usize];
            stream.read_exact(&mut answer).await.unwrap();
        }
        count
    }

    /// The fate of a request that is about to be sent.
    fn judge(&self, address: &str, frame: &[u8]) -> Option<Fate> {
        let key = ApiKey::from_code(i16::from_be_bytes([frame[4], frame[5]]));
        let mut state = self.0.lock().unwrap();
        state.seen.push(key);
        let (_, times, fate) =
            state.rule.as_mut().filter(|(of, times, _)| *of == key && *times > 0)?;
        *times -= 1;
        let fate = *fate;
        if fate == Fate::HoldBack {
            state.late.push((address.to_owned(), frame.to_vec()));
        }
        Some(fate)
    }

    /// Carries bytes until one side ends or a request meets its fate.
    async fn carry(self, near: DuplexStream, far: TcpStream, address: String) -> io::Result<()> {
        let (mut from_client, mut to_client) = tokio::io::split(near);
        let (mut from_broker, mut to_broker) = far.into_split();
        let requests = async {
            loop {
                let length = from_client.read_i32().await?;
                let mut frame = length.to_be_bytes().to_vec();
                frame.resize(4 + length as usize, 0);
                from_client.read_exact(&mut frame[4..]).await?;
                let fate = self.judge(&address, &frame);
                if fate != Some(Fate::HoldBack) {
                    to_broker.write_all(&frame).await?;
                }
                if let Some(fate) = fate {
                    return Ok::<Fate, io::Error>(fate);
                }
            }
        };
        let fate = tokio::select! {
            fate = requests => fate?,
            ended = copy(&mut from_broker, &mut to_client) => return ended.map(drop),
        };
        if fate == Fate::LoseAnswer {
            // The broker has the request once it answers.
            let mut answer = [0; 1];
            let _ =
                tokio::time::timeout(Duration::from_secs(10), from_broker.read(&mut answer)).await;
        }
        Ok(())
    }
}

impl Dial for Wire {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
        Box::pin(async move {
            let address = format!("{host}:{port}");
            let far = TcpStream::connect(&address).await?;
            let (near, client) = duplex(64 << 10);
            tokio::spawn(self.clone().carry(near, far, address));
            let stream: BoxStream = Box::new(client);
            Ok(stream)
        })
    }
}
