//! How a command ends badly: one line for people, one status for scripts.
//!
//! In: an error of the client, of the connector or of the system. Out: the line on stderr and the exit status
//! that the command line promises.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    line: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// The exit statuses that scripts may rely on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    /// Failed while running.
    Failed = 1,
    /// The command line, an option or the file of a login is wrong; nothing was read or written.
    Usage = 2,
    /// Data loss was found and `failOnDataLoss` is true.
    DataLoss = 3,
    /// The checkpoint is in use, or can't be trusted.
    Checkpoint = 4,
}

impl Failure {
    pub(crate) fn new(status: Status, line: impl Into<String>) -> Self {
        Self { status, line: line.into(), cause: None }
    }

    pub(crate) fn usage(line: impl Into<String>) -> Self {
        Self::new(Status::Usage, line)
    }

    pub(crate) fn failed(line: impl Into<String>) -> Self {
        Self::new(Status::Failed, line)
    }

    pub(crate) fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What goes to stderr: one line, and below it the chain of causes where it was asked for.
    pub(crate) fn render(&self, verbose: bool) -> String {
        let mut text = format!("klamm: {}", one_line(&self.line));
        if verbose {
            let mut cause: Option<&dyn Error> = self.cause.as_deref().map(|c| c as &dyn Error);
            while let Some(error) = cause {
                // Writing into a string can't fail.
                let _ = write!(text, "\n  caused by: {}", one_line(&error.to_string()));
                cause = error.source();
            }
        }
        text
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl From<klamm_client::Error> for Failure {
    fn from(error: klamm_client::Error) -> Self {
        let status = match error.kind() {
            klamm_client::ErrorKind::Config => Status::Usage,
            klamm_client::ErrorKind::DataLoss => Status::DataLoss,
            _ => Status::Failed,
        };
        Self::new(status, error.to_string()).because(error)
    }
}

impl From<klamm_connector::Error> for Failure {
    fn from(error: klamm_connector::Error) -> Self {
        use klamm_connector::ErrorKind as Kind;
        let status = match error.kind() {
            Kind::InvalidOption => Status::Usage,
            Kind::DataLoss => Status::DataLoss,
            Kind::CheckpointInUse | Kind::CheckpointUntrusted => Status::Checkpoint,
            _ => Status::Failed,
        };
        Self::new(status, error.to_string()).because(error)
    }
}

impl From<klamm_connector::format::FormatError> for Failure {
    fn from(error: klamm_connector::format::FormatError) -> Self {
        Self::failed(error.to_string()).because(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string()).because(error)
    }
}

/// Line breaks become spaces: an error is one line whatever text it carries.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_and_its_causes_come_only_when_asked_for() {
        let cause = std::io::Error::other("the disk\nis full");
        let failure = Failure::failed("could not\nwrite").because(cause);
        assert_eq!(failure.render(false), "klamm: could not write");
        assert_eq!(failure.render(true), "klamm: could not write\n  caused by: the disk is full");
    }
}
