//! Addresses where no broker answers: each ends in one line that says so, long before a user would
//! give up.

use std::time::Duration;

use klamm_client::{Client, Config, Error, ErrorKind};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// Connects with little patience for silence; the guard is what is promised where nothing is set.
async fn refusal(bootstrap: &str) -> Error {
    let config = Config::new(bootstrap).unwrap().with_connect_timeout(Duration::from_millis(300));
    let connected = tokio::time::timeout(Duration::from_secs(10), Client::connect(config)).await;
    let error = connected.expect("in time").expect_err("no broker");
    let line = error.to_string();
    assert!(line.contains("; ") && !line.contains('\n'), "{line}");
    error
}

/// A port where every peer is told `words` after it has spoken, and then finds silence.
async fn port_that_says(words: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut some = [0; 16];
            let heard = stream.read(&mut some).await;
            if heard.is_ok() && stream.write_all(words).await.is_ok() {
                kept.push(stream);
            }
        }
    });
    address
}

async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named_with_what_to_do() {
    let address = closed_port().await;
    let error = refusal(&address).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let line = error.to_string();
    assert!(line.contains(&address) && line.contains("bootstrap.servers"), "{line}");
}

#[tokio::test]
async fn several_ports_where_nobody_listens_are_all_named() {
    let (one, two) = (closed_port().await, closed_port().await);
    let line = refusal(&format!("{one},{two}")).await.to_string();
    assert!(line.contains(&one) && line.contains(&two), "{line}");
}

#[tokio::test]
async fn a_web_server_is_told_by_name() {
    let address = port_that_says(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let error = refusal(&address).await;
    assert_eq!(error.kind(), ErrorKind::NotKafka);
    assert!(error.to_string().contains("HTTP"), "{error}");
}

#[tokio::test]
async fn a_web_server_that_waits_for_the_end_of_a_line_is_told_by_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut line = Vec::new();
                let heard = stream.read_until(b'\n', &mut line).await;
                if heard.is_ok() && line.ends_with(b"\n") {
                    stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.ok();
                }
            });
        }
    });
    let error = refusal(&address).await;
    assert_eq!(error.kind(), ErrorKind::NotKafka);
    assert!(error.to_string().contains("HTTP"), "{error}");
}

#[tokio::test]
async fn a_tls_port_is_told_by_name() {
    let address = port_that_says(b"\x15\x03\x03\x00\x02\x02\x28").await;
    let error = refusal(&address).await;
    assert!(error.kind() == ErrorKind::NotKafka && error.to_string().contains("TLS"), "{error}");
}

#[tokio::test]
async fn a_hostile_frame_length_is_refused_before_memory_is_taken() {
    let address = port_that_says(b"\x7f\xff\xff\xff").await;
    assert_eq!(refusal(&address).await.kind(), ErrorKind::NotKafka);
}

#[tokio::test]
async fn a_port_that_accepts_and_is_silent_is_given_up() {
    let address = port_that_says(b"").await;
    let error = refusal(&address).await;
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_an_error_at_once() {
    let error = refusal("no-such-host.invalid:9092").await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn without_any_setting_silence_ends_within_ten_seconds() {
    let config = Config::new("127.0.0.1:1").unwrap();
    assert!(*config.connect_timeout() + Duration::from_secs(3) < Duration::from_secs(10));
}

#[tokio::test]
async fn wrong_options_are_told_before_anything_is_contacted() {
    let error = Client::connect(Config::default()).await.expect_err("no server");
    assert_eq!(error.kind(), ErrorKind::Config);
}
