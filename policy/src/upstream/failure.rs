//! What a provider's failure means, whatever its words for it.
//!
//! Rules: only what a healthy provider would not do counts as a fault for its breaker. A refusal, of too much or of
//! what is wrong, is an answer.

use protocol::answer::ErrorKind;

/// Sorts of failure of one attempt at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// It cannot be reached, or says that it is broken: 5xx.
    Down,
    /// It takes no more for now: 429.
    RateLimited,
    /// Prompt and answer do not fit the model's context.
    ContextWindow,
    /// Its rules forbid the content.
    ContentPolicy,
    /// The key is wrong, or may not do this: 401, 403. The cluster is to blame, not the client.
    Auth,
    /// The request is wrong, or asks for what the API does not have.
    Invalid,
    /// No first token, or no further one, in time.
    Timeout,
    /// The stream ended before the answer did.
    Cut,
    /// What came is not the API's.
    Garbled,
    /// The account at the provider is spent.
    Budget,
    /// As many requests as may be are there already.
    Full,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Down,
        Self::RateLimited,
        Self::ContextWindow,
        Self::ContentPolicy,
        Self::Auth,
        Self::Invalid,
        Self::Timeout,
        Self::Cut,
        Self::Garbled,
        Self::Budget,
        Self::Full,
    ];

    /// For metrics and people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::RateLimited => "rate_limit",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
            Self::Auth => "auth",
            Self::Invalid => "invalid",
            Self::Timeout => "timeout",
            Self::Cut => "cut",
            Self::Garbled => "garbled",
            Self::Budget => "budget",
            Self::Full => "full",
        }
    }

    /// Whether it speaks against the provider: what its breaker counts.
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Down | Self::Timeout | Self::Cut | Self::Garbled)
    }

    /// What the client is told when nobody stands in.
    pub fn error(self) -> ErrorKind {
        match self {
            Self::Down | Self::Auth | Self::Cut | Self::Garbled | Self::Budget => ErrorKind::ProviderFailed,
            Self::RateLimited | Self::Full => ErrorKind::Overloaded,
            Self::ContextWindow => ErrorKind::ContextLength,
            Self::ContentPolicy => ErrorKind::ContentPolicy,
            Self::Invalid => ErrorKind::Invalid,
            Self::Timeout => ErrorKind::Timeout,
        }
    }
}
