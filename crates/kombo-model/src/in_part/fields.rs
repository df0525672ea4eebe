use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::mend::holds_no_json;
use crate::Extra;

/// The keys of a JSON object with the texts of their values, in order.
pub(super) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Returns the value of a key; the last one if there are several.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, json)| *json)
    }

    /// Returns the readable values of all keys except `known`.
    pub(super) fn others(self, known: &[&str]) -> Extra {
        let is_other = |key: &str, json: &RawValue| !known.contains(&key) && !holds_no_json(json.get());
        let others = self.0.into_iter().filter(|(key, json)| is_other(key, json));
        others.filter_map(|(key, json)| Some((key, serde_json::from_str(json.get()).ok()?))).collect()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Keys).map(Self)
    }
}
