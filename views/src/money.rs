//! Amounts of money in JSON: decimal text, as `"5.00"`.

use std::fmt;

use protocol::money::Money;
use protocol::units::Nanos;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// An amount that is read as text alone: a JSON number would have lost digits before it could be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount(pub Nanos);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Money(self.0).fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;

        impl Visitor<'_> for AmountVisitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of money as text, such as \"12.50\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Amount, E> {
                text.parse::<Money>().map(|money| Amount(money.0)).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(AmountVisitor)
    }
}
