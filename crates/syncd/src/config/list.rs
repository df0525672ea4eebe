use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Parses a list, or a text of parts separated by commas, as in the environment.
pub(super) fn read<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a list of texts is needed")]
    enum Wire {
        Text(String),
        List(Vec<String>),
    }
    let parts = match Wire::deserialize(deserializer)? {
        Wire::Text(text) => {
            text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
        }
        Wire::List(parts) => parts,
    };
    parts.iter().map(|part| part.parse().map_err(D::Error::custom)).collect()
}
