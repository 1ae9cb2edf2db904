//! What a cluster must live through: the scenarios behind `cargo xtask endure`, and behind the short tests
//! of the same in `tests/`. Each gives figures that a person can read and a test can check.

pub mod cancel;
pub mod money;
pub mod overload;
pub mod soak;
pub mod story;
pub mod survive;

/// One measured figure with what it must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much.
    pub value: f64,
    /// In what.
    pub unit: &'static str,
    /// The most it may be; none where it is only told.
    pub most: Option<f64>,
}

impl Figure {
    /// A figure that is only told.
    pub fn told(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, most: None }
    }

    /// A figure with a bound.
    pub fn bound(name: impl Into<String>, value: f64, unit: &'static str, most: f64) -> Self {
        Self { name: name.into(), value, unit, most: Some(most) }
    }

    /// Whether it is as it must be.
    pub fn holds(&self) -> bool {
        self.most.is_none_or(|most| self.value <= most)
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<56} {:>12.3} {:<10}", self.name, self.value, self.unit)?;
        match self.most {
            Some(most) if self.holds() => write!(f, " at most {most}: holds"),
            Some(most) => write!(f, " at most {most}: MISSED"),
            None => Ok(()),
        }
    }
}
