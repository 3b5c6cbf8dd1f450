//! A broker as far as the tests of this crate need one. In: what a client writes into a pipe; out:
//! the headers of its requests, and whatever answers a test makes up.

use bytes::Bytes;
use klamm_protocol::api::Request;
use klamm_protocol::header::{RequestHeader, decode_request_header, encode_response};
use klamm_protocol::messages::REQUESTS;
use klamm_protocol::messages::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// A broker as far as a test needs one.
pub(crate) struct Peer(pub(crate) DuplexStream);

impl Peer {
    /// The next request's header, `None` when the client has hung up between two requests.
    pub(crate) async fn hear(&mut self) -> Option<RequestHeader> {
        let length = self.0.read_u32().await.ok()?;
        let mut frame = vec![0; length as usize];
        self.0.read_exact(&mut frame).await.expect("a whole frame");
        Some(decode_request_header(Bytes::from(frame)).expect("a request").0)
    }

    pub(crate) async fn answer<R: Request>(&mut self, to: &RequestHeader, response: &R::Response) {
        let bytes =
            encode_response::<R>(response, to.api_version, to.correlation_id).expect("encodes");
        self.0.write_all(&bytes.into_bytes()).await.expect("the client reads");
    }

    pub(crate) async fn shake_hands(&mut self) {
        let hello = self.hear().await.expect("a hello");
        let api =
            |(key, range): &(klamm_protocol::api::ApiKey, klamm_protocol::api::VersionRange)| {
                ApiVersion { api_key: key.code(), min_version: range.min, max_version: range.max }
            };
        let api_keys = REQUESTS.iter().map(api).collect();
        self.answer::<ApiVersionsRequest>(
            &hello,
            &ApiVersionsResponse { api_keys, ..Default::default() },
        )
        .await;
    }
}
