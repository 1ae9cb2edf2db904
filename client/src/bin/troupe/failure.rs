//! How the program ends when it does not end well.

use std::io;
use std::process::ExitCode;

use client::{AnswerError, ConnectError, Managed, StatusError, SubmitError};

/// Why the program ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line or a file that it names.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Submit(SubmitError),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error(transparent)]
    Status(StatusError),
    /// What an operator wants cannot be.
    #[error("{0}")]
    Wish(String),
    /// No model was named, and there is not exactly one.
    #[error("{0}")]
    Model(String),
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    #[error("cannot write: {0}")]
    Output(io::Error),
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// What to say; nothing if whoever read our output has read enough, or pressed Ctrl-C.
    pub(crate) fn line(&self) -> Option<String> {
        match self {
            Self::Interrupted => None,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            // One line, whatever a server wrote into its message.
            other => Some(other.to_string().split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }

    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Usage(_) => ExitCode::from(2),
            Self::Connect(_) => ExitCode::from(3),
            Self::Interrupted => ExitCode::from(130),
            _ => ExitCode::FAILURE,
        }
    }

    /// Whether a conversation can go on after it.
    pub(crate) fn is_of_one_request(&self) -> bool {
        matches!(self, Self::Submit(_) | Self::Answer(_) | Self::Connect(_))
    }
}

/// The failure where a coordinator says something else than was asked for; not what, since there may be a secret in it.
pub(crate) fn unexpected(_: &Managed) -> Failure {
    Failure::Status(StatusError::Protocol("something else came than was asked for".to_owned()))
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Connect(error) => Self::Connect(error),
            error => Self::Submit(error),
        }
    }
}

impl From<StatusError> for Failure {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Connect(error) => Self::Connect(error),
            error => Self::Status(error),
        }
    }
}
