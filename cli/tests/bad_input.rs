//! Bad input ends in one clear line and the right exit status, and loses nothing.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::{Embedded, klamm, klamm_fed};

#[test]
fn an_unknown_option_names_the_nearest_known_one() {
    let run = klamm(&["read", "-b", "127.0.0.1:1", "-t", "t", "-o", "startingOfsets=earliest"]);
    run.refused(2, "did you mean 'startingOffsets'");
    klamm(&["read", "-b", "127.0.0.1:1", "-t", "t", "-o", "kafka.fetch.max.byte=1"])
        .refused(2, "fetch.max.bytes");
}

#[test]
fn an_unknown_flag_is_one_line_too() {
    klamm(&["read", "--bogus"]).refused(2, "--bogus");
    klamm(&["reed"]).refused(2, "reed");
    klamm(&["read", "-o", "novalue"]).refused(2, "NAME=VALUE");
}

#[test]
fn exactly_one_way_to_choose_topics_is_taken() {
    klamm(&["read", "-b", "127.0.0.1:1"]).refused(2, "one of the following options must be");
    let two = ["-t", "t", "-o", r#"assign={"t":[0]}"#];
    klamm(&[&["read", "-b", "127.0.0.1:1"], &two[..]].concat()).refused(2, "only one of");
}

#[test]
fn malformed_json_is_refused_before_anything_is_contacted() {
    let run = klamm(&["read", "-b", "127.0.0.1:1", "-t", "t", "-o", "startingOffsets={\"t\":"]);
    run.refused(2, "{\"t\":");
    klamm(&["read", "-b", "127.0.0.1:1", "-o", "assign={\"t\":[0"]).refused(2, "expected e.g.");
}

#[test]
fn a_broker_that_is_not_there_is_named_within_ten_seconds() {
    let started = Instant::now();
    klamm(&["read", "-b", "127.0.0.1:1", "-t", "t"]).refused(1, "127.0.0.1:1");
    assert!(started.elapsed() < Duration::from_secs(10), "the promise is ten seconds");
}

#[test]
fn a_port_that_speaks_http_is_called_that() {
    let address = serve(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    klamm(&["read", "-b", &address, "-t", "t"]).refused(1, "http");
}

#[test]
fn a_frame_with_a_hostile_length_is_refused_without_reading_it() {
    let address = serve(|_| vec![0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    klamm(&["read", "-b", &address, "-t", "t"]).refused(1, "127.0.0.1");
}

#[test]
fn a_corrupted_batch_stops_the_read_by_name_and_nothing_of_it_is_printed() {
    let embedded = Embedded::start();
    embedded.topic("t", 1);
    for value in ["good\n", "damaged\n"] {
        klamm_fed(
            &["write", "-b", &embedded.server, "-t", "t", "--format", "raw"],
            value.as_bytes(),
        )
        .ok();
    }
    let damaged = embedded.with(|cluster| cluster.edit_log("t", 0, |log| Ok(log.damage_newest())));
    assert_eq!(damaged.ok(), Some(true));
    let run = klamm(&["read", "-b", &embedded.server, "-t", "t", "--format", "raw"]);
    run.refused(1, "checksum");
    assert!(
        run.stderr.contains("t-0")
            || run.stderr.contains("topic: t")
            || run.stderr.contains("topic t"),
        "{}",
        run.stderr
    );
    assert!(!run.stdout.contains("damaged"), "{}", run.stdout);
}

#[test]
fn bytes_that_are_not_utf8_end_the_read_and_name_the_switch() {
    let embedded = Embedded::start();
    embedded.topic("t", 1);
    let row = br#"{"value":"/w=="}"#;
    klamm_fed(&["write", "-b", &embedded.server, "-t", "t", "--binary", "base64"], row).ok();
    klamm(&["read", "-b", &embedded.server, "-t", "t"]).refused(1, "--binary base64");
    let base64 = klamm(&["read", "-b", &embedded.server, "-t", "t", "--binary", "base64"]).ok();
    assert!(base64.contains(r#""value":"/w==""#), "{base64}");
}

#[test]
fn a_row_that_is_no_row_is_named_and_the_rows_before_it_are_counted() {
    let embedded = Embedded::start();
    embedded.topic("t", 1);
    let rows = b"{\"value\":\"1\"}\n{\"value\":\"2\"}\nnonsense\n";
    let run = klamm_fed(&["write", "-b", &embedded.server, "-t", "t"], rows);
    run.refused(1, "line 3");
    assert!(run.stderr.contains("rows written: 2"), "{}", run.stderr);
    assert_eq!(klamm(&["read", "-b", &embedded.server, "-t", "t", "--count"]).ok(), "2\n");
}

#[test]
fn a_stream_needs_a_checkpoint_of_its_own() {
    klamm(&["stream", "-b", "127.0.0.1:1", "-t", "a", "-O", "topic=b"]).refused(2, "--checkpoint");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("metadata"), "{\"id\":").expect("a torn file");
    let embedded = Embedded::start();
    embedded.topic("a", 1);
    let checkpoint = folder.path().to_str().expect("a path");
    let run = klamm(&[
        "stream",
        "-b",
        &embedded.server,
        "-t",
        "a",
        "-O",
        "topic=b",
        "--checkpoint",
        checkpoint,
        "--trigger",
        "available-now",
    ]);
    run.refused(4, "metadata");
}

#[test]
fn a_sink_that_cannot_be_is_refused_before_anything_is_contacted() {
    let refused = |more: &[&str], words: &str| {
        let stream = ["stream", "-b", "127.0.0.1:1", "-t", "a", "--checkpoint", "/tmp/x"];
        klamm(&[&stream[..], more].concat()).refused(2, words);
    };
    refused(&["-O", "topic=b", "--delivery", "at-most-once"], "at-most-once");
    refused(&["--sink", "parquet:there"], "parquet:there");
    refused(&["--sink", "json:"], "json:DIR");
    refused(&["--sink", "console", "--delivery", "exactly-once"], "prints a batch that runs again");
    refused(&["--sink", "console", "-O", "topic=b"], "leave out topic");
    refused(
        &["-O", "topic=b", "-O", "exactlyOnceTasks=0", "--delivery", "exactly-once"],
        "exactlyOnceTasks",
    );
}

#[test]
fn options_of_tls_that_are_wrong_or_unsafe_are_refused_before_anything_is_contacted() {
    let refused = |options: &[&str], words: &str| {
        let mut read = vec!["read", "-b", "127.0.0.1:1", "-t", "a"];
        read.extend(options.iter().flat_map(|option| ["-o", option]));
        klamm(&read).refused(2, words);
    };
    refused(&["kafka.security.protocol=SASL_SSL"], "kafka.sasl.jaas.config");
    refused(&["kafka.security.protocol=TLS"], "SASL_SSL");
    let ssl = "kafka.security.protocol=SSL";
    let missing = "kafka.ssl.truststore.location=/nowhere/ca.pem";
    refused(&[ssl, missing, "kafka.ssl.truststore.type=PEM"], "/nowhere/ca.pem");
    refused(&[ssl, "kafka.ssl.truststore.type=BKS"], "PKCS12");
    refused(&[ssl, "kafka.ssl.endpoint.identification.algorithm="], "pose as the broker");
    refused(&[ssl, "kafka.ssl.cipher.suites=TLS_RSA_WITH_RC4_128_MD5"], "not safe");
    refused(&[ssl, "kafka.ssl.keystore.password=hunter2"], "ssl.keystore.location");
}

#[test]
fn a_login_that_cannot_be_is_refused_without_a_word_of_its_password() {
    let scram = r#"x.ScramLoginModule required username="alice" password="hunter2";"#;
    let plain = r#"x.PlainLoginModule required username="alice" password="hunter2";"#;
    let cases = [
        ("SASL_SSL", "PLAIN", scram, "write PlainLoginModule"),
        ("SASL_PLAINTEXT", "PLAIN", plain, "allow.insecure.sasl=true"),
        ("SASL_SSL", "GSSAPI", scram, "GSSAPI"),
        ("SASL_SSL", "SCRAM-SHA-512", "hunter2", "sasl.jaas.config"),
    ];
    for (protocol, mechanism, jaas, words) in cases {
        let options = [
            format!("kafka.security.protocol={protocol}"),
            format!("kafka.sasl.mechanism={mechanism}"),
            format!("kafka.sasl.jaas.config={jaas}"),
        ];
        let mut read = vec!["read", "-b", "127.0.0.1:1", "-t", "a"];
        read.extend(options.iter().flat_map(|option| ["-o", option]));
        let ran = klamm(&read);
        ran.refused(2, words);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

/// A port of 127.0.0.1 that answers whatever comes with `answer`, for as long as the test lives.
fn serve(answer: fn(&[u8]) -> Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap_or(0);
            let _ = stream.write_all(&answer(request.get(..read).unwrap_or_default()));
        }
    });
    address
}
