//! Record ids: short keys of a fixed size, so that a million rows stay cheap.

use std::{fmt, str::FromStr};

use rand::{Rng, RngExt};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::SandboxError;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// The id of a record: 1 to 24 visible ASCII characters, unique within its model only.
///
/// Generated ids have 24 characters of the base58 alphabet, like Kombo's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 24]);

impl Id {
    /// Generates a random id.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; 24];
        for slot in &mut bytes {
            let at = rng.random_range(0..ALPHABET.len());
            *slot = ALPHABET.get(at).copied().unwrap_or(b'1');
        }
        Self(bytes)
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(self.0.len());
        self.0.get(..end).and_then(|it| std::str::from_utf8(it).ok()).unwrap_or_default()
    }
}

impl FromStr for Id {
    type Err = SandboxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 24];
        let fits =
            bytes.get_mut(..text.len()).filter(|it| !it.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()));
        fits.ok_or_else(|| SandboxError::BadId(text.to_owned()))?.copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn ids_are_base58_and_repeat_by_seed() {
        let one = Id::random(&mut StdRng::seed_from_u64(7));
        let same = Id::random(&mut StdRng::seed_from_u64(7));
        assert_eq!(one, same);
        assert_eq!(one.as_str().len(), 24);
        assert!(one.as_str().bytes().all(|b| ALPHABET.contains(&b)));
    }

    #[test]
    fn short_ids_are_kept_and_odd_ones_refused() {
        let short: Id = "u1".parse().unwrap();
        assert_eq!(short.as_str(), "u1");
        for bad in ["", "has space", "ümlaut", "1234567890123456789012345"] {
            assert!(bad.parse::<Id>().is_err(), "{bad}");
        }
    }
}
