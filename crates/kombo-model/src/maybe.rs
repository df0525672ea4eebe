use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A key of a partial copy, which is absent, null or a value. All three differ.
///
/// Kombo nests copies of records in others and omits keys. An absent key says nothing about the record; null means that
/// the record has no value. Fields of this type carry
/// `#[serde(default, skip_serializing_if = "Maybe::is_absent")]`.
///
/// ```
/// use kombo_model::{Maybe, UserCopy};
///
/// let copy: UserCopy = serde_json::from_str(r#"{"id": "u", "first_name": "Ada", "last_name": null}"#)?;
/// assert_eq!(copy.first_name.value().map(String::as_str), Some("Ada"));
/// assert_eq!(copy.last_name, Maybe::Null);
/// assert_eq!(copy.work_email.said(), None);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Maybe<T> {
    /// The key is absent: nothing is known.
    #[default]
    Absent,
    /// The key is null: there is no value.
    Null,
    /// The key has this value.
    Value(T),
}

impl<T> Maybe<T> {
    /// Whether the key is absent.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Returns the value, if any.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Returns the value, if any, without a copy.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Returns the content of the key: `None` when it is absent, `Some(None)` when it is null.
    pub fn said(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }
}

impl<T> From<Option<T>> for Maybe<T> {
    /// Creates a key that is present; `None` becomes null.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Value)
    }
}

impl<T: Serialize> Serialize for Maybe<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Null => serializer.serialize_none(),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::from)
    }
}
