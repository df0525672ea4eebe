//! Decodes pages without faults in one pass.

use std::fmt;
use std::marker::PhantomData;

use kombo_model::Endpoint;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{MOST_RECORDS, Page, Results, Success, next};
use crate::query::Listed;

/// Decodes a page of records of `endpoint`.
pub(super) fn page<R: Listed>(endpoint: Endpoint, body: &str) -> Result<Page<R>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(body);
    let page = json.deserialize_map(EnvelopeVisitor(RecordSeed::new(endpoint)))?;
    json.end()?;
    Ok(page)
}

/// Decodes one record of `endpoint`.
pub(super) fn record<R: Listed>(endpoint: Endpoint, json: &str) -> Result<R, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(json);
    let record = RecordSeed::new(endpoint).deserialize(&mut json)?;
    json.end()?;
    Ok(record)
}

/// Reads a record.
struct RecordSeed<R> {
    endpoint: Endpoint,
    record: PhantomData<R>,
}

impl<R> RecordSeed<R> {
    fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, record: PhantomData }
    }
}

impl<R> Clone for RecordSeed<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for RecordSeed<R> {}

impl<'de, R: Listed> DeserializeSeed<'de> for RecordSeed<R> {
    type Value = R;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R, D::Error> {
        R::read(self.endpoint, deserializer)
    }
}

/// Reads the elements of a page, at most [`MOST_RECORDS`].
pub(super) struct Elements<R, S> {
    seed: S,
    record: PhantomData<R>,
}

impl<R, S> Elements<R, S> {
    pub(super) fn new(seed: S) -> Self {
        Self { seed, record: PhantomData }
    }
}

impl<'de, R, S: DeserializeSeed<'de, Value = R> + Copy> DeserializeSeed<'de> for Elements<R, S> {
    type Value = Results<R>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Results<R>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, R, S: DeserializeSeed<'de, Value = R> + Copy> Visitor<'de> for Elements<R, S> {
    type Value = Results<R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Results<R>, A::Error> {
        let mut records = Vec::new();
        while records.len() < MOST_RECORDS {
            match seq.next_element_seed(self.seed)? {
                Some(record) => records.push(record),
                None => return Ok(Results { records, too_many: false }),
            }
        }
        let mut too_many = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            too_many = true;
        }
        Ok(Results { records, too_many })
    }
}

/// Reads what surrounds a page.
struct EnvelopeVisitor<R>(RecordSeed<R>);

impl<'de, R: Listed> Visitor<'de> for EnvelopeVisitor<R> {
    type Value = Page<R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page<R>, A::Error> {
        let (mut status, mut page) = (None, None);
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "status" => status = Some(map.next_value::<Success>()?),
                "data" => page = Some(map.next_value_seed(PageSeed(self.0))?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        status.ok_or_else(|| A::Error::missing_field("status"))?;
        page.ok_or_else(|| A::Error::missing_field("data"))
    }
}

/// Reads a page.
struct PageSeed<R>(RecordSeed<R>);

impl<'de, R: Listed> DeserializeSeed<'de> for PageSeed<R> {
    type Value = Page<R>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Page<R>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, R: Listed> Visitor<'de> for PageSeed<R> {
    type Value = Page<R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page<R>, A::Error> {
        let (mut after, mut results) = (None, None);
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "next" => after = Some(map.next_value_seed(NextSeed)?),
                "results" => results = Some(map.next_value_seed(Elements::new(self.0))?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let next = after.ok_or_else(|| A::Error::missing_field("next"))?;
        Ok(Page { next, results: results.ok_or_else(|| A::Error::missing_field("results"))? })
    }
}

/// Reads the cursor of the next page.
struct NextSeed;

impl<'de> DeserializeSeed<'de> for NextSeed {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        next(deserializer)
    }
}
