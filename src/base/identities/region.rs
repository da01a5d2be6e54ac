//! Regions, which determine how national numbers and addresses without a country are read. Room: base/identities.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A region of national numbers (ISO 3166-1 alpha-2), e.g. `DE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region(phonenumber::country::Id);

impl Region {
    /// Germany.
    pub const DE: Region = Region(phonenumber::country::Id::DE);

    /// The id in the `phonenumber` crate.
    pub fn id(self) -> phonenumber::country::Id {
        self.0
    }
}

impl From<phonenumber::country::Id> for Region {
    fn from(id: phonenumber::country::Id) -> Region {
        Region(id)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref())
    }
}

/// The error for a text that is not a region code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the code of a region (ISO 3166-1 alpha-2), e.g. DE")]
pub struct UnknownRegion;

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(code: &str) -> Result<Region, UnknownRegion> {
        code.trim().to_ascii_uppercase().parse().map(Region).map_err(|_| UnknownRegion)
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Region, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
