//! Kafka's own Java code as a judge of ours: one small Java program, kept alive, that builds and
//! reads record sets, messages and the blobs of consumer groups, reads login configurations, and
//! assigns and chooses partitions, with the classes of the kafka-clients jar.
//!
//! In: typed questions. Out: what Java says, each within a deadline. The program's sources lie in
//! `testkit/java`; they are compiled once per version of Kafka, beside the cached jars.

mod ask;
mod groups;
mod logins;
mod partitions;
mod records;

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use self::ask::{Answer, Question};
pub use self::groups::{AssignmentSpec, GroupSpec, MemberSpec, Named, Replicas, SubscriptionSpec};
pub use self::logins::{LoginModule, Logins};
pub use self::partitions::{Draw, KeyPartition, Waiting};
pub use self::records::{BatchSpec, JavaBatch, JavaRecord, Marker, RecordSpec};
use crate::java::{Jars, Source, Supervised, java, jvm};
use crate::outside::{Error, in_test};

/// A Java program that answers questions, one after the other. It ends when this is dropped.
#[derive(Debug)]
pub struct Java {
    process: Supervised,
    questions: ChildStdin,
    answers: Receiver<io::Result<Bytes>>,
    limit: Duration,
}

impl Java {
    /// Starts the program on the kafka-clients jar of a version, 3.9 or later.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] without a JDK, or without Maven and a filled cache; [`Error::Failed`] if
    /// the program does not compile against that version.
    pub fn start(version: &str) -> Result<Self, Error> {
        let java = java()?;
        let jars = Jars::of_clients(version)?;
        let class_path = jars.compile("oracle", &SOURCES, &IF_IT_FITS)?;
        let mut command = jvm(&java, &class_path);
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error");
        // Members that claim the same are what tests of assignors are about.
        command.arg(format!("-Dorg.slf4j.simpleLogger.log.{STICKY_ASSIGNOR}=off"));
        command.arg("klamm.Oracle");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let doing = || Error::io("starting the Java oracle");
        let mut process = Supervised::spawn(&mut command).map_err(doing())?;
        let (stdin, stdout) = (process.child().stdin.take(), process.child().stdout.take());
        let (Some(questions), Some(stdout)) = (stdin, stdout) else {
            return Err(Error::failed("starting the Java oracle", "it has no pipes"));
        };
        Ok(Self { process, questions, answers: listen(stdout), limit: ANSWER_WITHIN })
    }

    /// Sets how long one question may take; a minute by default.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Lets Java write one batch.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if it refuses, as with offsets that do not increase.
    pub fn build(&mut self, batch: &BatchSpec) -> Result<Bytes, Error> {
        let mut question = Question::new(b'b');
        records::put_batch(&mut question, batch);
        self.ask("building a batch", question)?.bytes()
    }

    /// Lets Java check a record set and list all that is in it.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if a checksum or a length is wrong.
    pub fn dump(&mut self, record_set: &[u8]) -> Result<Vec<JavaBatch>, Error> {
        let mut question = Question::new(b'd');
        question.bytes(Some(record_set));
        let mut answer = self.ask("reading a record set", question)?;
        records::take_batches(&mut answer)
    }

    /// Lets Java leave records out of a record set, as the log cleaner does, so that offsets become
    /// gaps. Batches that lose all their records stay as empty ones if `keep_emptied` says so.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if the record set is not valid.
    pub fn compact(
        &mut self,
        record_set: &[u8],
        dropped: &[i64],
        keep_emptied: bool,
    ) -> Result<Bytes, Error> {
        let mut question = Question::new(b'f');
        question.bytes(Some(record_set));
        question.bool(keep_emptied);
        question.int32(dropped.len());
        for offset in dropped {
            question.int64(*offset);
        }
        self.ask("compacting a record set", question)?.bytes()
    }

    /// Every API that this version of Kafka knows, by its key.
    ///
    /// # Errors
    ///
    /// If the program is gone or too slow.
    pub fn apis(&mut self) -> Result<HashMap<i16, Api>, Error> {
        let mut answer = self.ask("listing APIs", Question::new(b'a'))?;
        let mut apis = HashMap::new();
        while !answer.is_empty() {
            let key = answer.int16()?;
            apis.insert(key, take_api(&mut answer)?);
        }
        Ok(apis)
    }

    /// Lets Java read a message without its header, and write it again.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if it cannot read the bytes.
    pub fn decode(&mut self, message: MessageKind, bytes: &[u8]) -> Result<Decoded, Error> {
        let mut question = message.question(b'm');
        question.bytes(Some(bytes));
        let mut answer = self.ask("reading a message", question)?;
        Ok(Decoded { left_over: answer.int32()?, encoded: answer.bytes()?, json: answer.string()? })
    }

    /// Lets Java write a message from the JSON form that its converters use.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if the JSON does not fit.
    pub fn encode_json(&mut self, message: MessageKind, json: &str) -> Result<Bytes, Error> {
        let mut question = message.question(b'j');
        question.bytes(Some(json.as_bytes()));
        self.ask("writing a message", question)?.bytes()
    }

    /// Lets Java make messages with random values in every field that the version has. The same seed
    /// gives the same messages.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if there is no such message or version.
    pub fn random(
        &mut self,
        message: MessageKind,
        seed: u64,
        count: usize,
    ) -> Result<Vec<Bytes>, Error> {
        let mut question = message.question(b'r');
        question.int64(seed.cast_signed());
        question.int32(count);
        let mut answer = self.ask("making random messages", question)?;
        (0..count).map(|_| answer.bytes()).collect()
    }

    fn ask(&mut self, what: &str, question: Question) -> Result<Answer, Error> {
        let frame = question.into_frame();
        self.questions
            .write_all(&frame)
            .and_then(|()| self.questions.flush())
            .map_err(Error::io(what))?;
        match self.answers.recv_timeout(self.limit) {
            Ok(answer) => Answer::new(what, answer.map_err(Error::io(what))?),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::failed(what, "the Java program has ended"))
            }
            Err(RecvTimeoutError::Timeout) => {
                // A late answer would be taken for the next one, so there will be none.
                self.process.kill().map_err(Error::io(what))?;
                Err(Error::timed_out(what, self.limit, ""))
            }
        }
    }
}

/// An oracle for a test, or `None` after saying that the test is skipped.
///
/// # Panics
///
/// As [`in_test`].
pub fn for_test(version: &str) -> Option<Java> {
    in_test(Java::start(version))
}

/// Which message is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageKind {
    /// The API's key on the wire.
    pub api_key: i16,
    /// The response, not the request.
    pub is_response: bool,
    /// The API's version.
    pub version: i16,
}

impl MessageKind {
    fn question(self, command: u8) -> Question {
        let mut question = Question::new(command);
        question.int16(self.api_key);
        question.bool(self.is_response);
        question.int16(self.version);
        question
    }
}

/// A message as Java understood it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// How many bytes Java did not read.
    pub left_over: i32,
    /// The message written again.
    pub encoded: Bytes,
    /// The message in the form of Kafka's JSON converters.
    pub json: String,
}

/// What a version of Kafka knows about an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Kafka's name, such as `Fetch`.
    pub name: String,
    /// The lowest version.
    pub min: i16,
    /// The highest version, an unstable one included.
    pub max: i16,
    /// Whether the highest version may still change.
    pub is_max_unstable: bool,
    /// For each version from the lowest, the versions of the request's and the response's header.
    pub headers: Vec<(i16, i16)>,
}

fn take_api(answer: &mut Answer) -> Result<Api, Error> {
    let (name, min, max) = (answer.string()?, answer.int16()?, answer.int16()?);
    let is_max_unstable = answer.bool()?;
    let headers = (min..=max).map(|_| Ok((answer.int16()?, answer.int16()?)));
    let headers = headers.collect::<Result<_, Error>>()?;
    Ok(Api { name, min, max, is_max_unstable, headers })
}

/// Reads frames on a thread of its own, so that waiting for one can have an end.
fn listen(stdout: impl Read + Send + 'static) -> Receiver<io::Result<Bytes>> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        loop {
            let frame = read_frame(&mut stdout);
            let is_last = frame.is_err();
            if sender.send(frame).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

fn read_frame(stdout: &mut impl Read) -> io::Result<Bytes> {
    let mut length = [0; 4];
    stdout.read_exact(&mut length)?;
    let mut frame = Vec::new();
    let length = u64::from(u32::from_be_bytes(length));
    if stdout.take(length).read_to_end(&mut frame)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(frame.into())
}

/// A version whose client is published while its broker is not: what clients will meet next.
pub const NEXT: &str = "4.4.0";

const STICKY_ASSIGNOR: &str = "org.apache.kafka.clients.consumer.internals.AbstractStickyAssignor";

const ANSWER_WITHIN: Duration = Duration::from_secs(60);

const SOURCES: [Source<'static>; 9] = [
    ("Answer.java", include_str!("../java/klamm/Answer.java")),
    ("Groups.java", include_str!("../java/klamm/Groups.java")),
    ("Logins.java", include_str!("../java/klamm/Logins.java")),
    ("Messages.java", include_str!("../java/klamm/Messages.java")),
    ("Oracle.java", include_str!("../java/klamm/Oracle.java")),
    ("Partitions.java", include_str!("../java/klamm/Partitions.java")),
    ("Question.java", include_str!("../java/klamm/Question.java")),
    ("RandomBytes.java", include_str!("../java/klamm/RandomBytes.java")),
    ("RecordSets.java", include_str!("../java/klamm/RecordSets.java")),
];

/// What uses classes that Kafka changes from one minor version to the next.
const IF_IT_FITS: [Source<'static>; 1] =
    [("DrawnPartition.java", include_str!("../java/klamm/DrawnPartition.java"))];
