//! Mistakes that are there on purpose, so that a test can show that they are found.
//!
//! Rules: without the feature `planted` there are none, and what asks for one is a constant. With it, none is switched
//! on but by whoever plants it in a value of its own: that another crate of the same build has the feature changes
//! nothing.

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// A breaker that is half open lets all pass.
    LaxBreaker,
    /// An answer that goes on elsewhere does not let go of the node that it leaves.
    LeakedReservation,
    /// A gap in what a node tells of its cache goes unnoticed.
    IgnoredGap,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::LaxBreaker, Self::LeakedReservation, Self::IgnoredGap];

    /// As it stands in options.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LaxBreaker => "lax-breaker",
            Self::LeakedReservation => "leaked-reservation",
            Self::IgnoredGap => "ignored-gap",
        }
    }
}

/// Which mistakes a value has: none, unless it was planted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    #[cfg(feature = "planted")]
    bug: Option<Bug>,
}

impl Planted {
    /// This one.
    #[cfg(feature = "planted")]
    pub fn only(bug: Bug) -> Self {
        Self { bug: Some(bug) }
    }

    /// Which it is.
    pub fn bug(self) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| self.has(*bug))
    }

    #[cfg(feature = "planted")]
    pub(crate) fn has(self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    #[cfg(not(feature = "planted"))]
    pub(crate) const fn has(self, _bug: Bug) -> bool {
        false
    }
}
