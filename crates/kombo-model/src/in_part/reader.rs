use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::fields::Fields;
use super::mend::{holds_no_json, is_no_json};
use super::{Fault, InPart, mend_json};
use crate::{Extra, FreeJson, Maybe, Timestamp};

/// Reads values from JSON text and collects faults.
#[derive(Default)]
pub(crate) struct Reader {
    /// Path of the current value.
    path: String,
    faults: Vec<Fault>,
}

/// A value that a field may contain.
pub(crate) trait Part: Sized {
    /// Reads the value; `None` after a fault.
    fn read(json: &RawValue, reader: &mut Reader) -> Option<Self>;
}

/// A field of a record.
pub(crate) trait Field: Default {
    /// Reads the field's content. Sets `whole` to false if a part was unreadable.
    fn read(json: &RawValue, reader: &mut Reader, whole: &mut bool) -> Self;
}

/// Largest number of faults recorded for a record.
const MOST_FAULTS: usize = 20;

impl Reader {
    /// Reads a record.
    pub(crate) fn record<R: Part>(json: &str) -> Result<InPart<R>, Fault> {
        Self::record_with(json, R::read)
    }

    /// Reads a record with `read`, which returns `None` after a fault.
    pub(crate) fn record_with<R>(
        json: &str,
        read: impl FnOnce(&RawValue, &mut Self) -> Option<R>,
    ) -> Result<InPart<R>, Fault> {
        let json = mend_json(json);
        let mut reader = Self::default();
        let record = match serde_json::from_str::<&RawValue>(&json) {
            Ok(json) => read(json, &mut reader),
            Err(_) => reader.fault("not JSON"),
        };
        // The last fault is the one that left nothing.
        record.map(|record| InPart { record, faults: std::mem::take(&mut reader.faults) }).ok_or_else(|| {
            reader.faults.pop().unwrap_or_else(|| Fault { path: ".".to_owned(), reason: "not readable".to_owned() })
        })
    }

    /// Reads an object with the keys for which [`Reader::key`] is called.
    pub(crate) fn object<'a>(&mut self, json: &'a RawValue) -> Option<Object<'a>> {
        match serde_json::from_str(json.get()) {
            Ok(fields) if !is_no_json(json.get()) => Some(Object(fields)),
            Ok(_) | Err(_) => self.unexpected("an object", json),
        }
    }

    /// Reads a required key.
    pub(crate) fn key<T: Part>(&mut self, object: &Object<'_>, name: &'static str) -> Option<T> {
        self.at(name, |reader| match object.0.get(name) {
            Some(json) => T::read(json, reader),
            None => reader.fault("missing"),
        })
    }

    /// Reads an optional key, and adds its name to `unread` unless all of it was readable.
    pub(crate) fn field<T: Field>(
        &mut self,
        object: &Object<'_>,
        name: &'static str,
        unread: &mut Vec<&'static str>,
    ) -> T {
        let Some(json) = object.0.get(name) else { return T::default() };
        let mut whole = true;
        let field = self.at(name, |reader| T::read(json, reader, &mut whole));
        if !whole {
            unread.push(name);
        }
        field
    }

    /// Reads a text. Booleans and numbers are accepted as their JSON text.
    pub(crate) fn text(&mut self, json: &RawValue) -> Option<String> {
        match json.get().as_bytes().first() {
            Some(b't' | b'f') => Some(json.get().to_owned()),
            _ => self.text_or_number(json),
        }
    }

    /// Reads a text that identifies something: a number is accepted, but no boolean.
    pub(crate) fn text_or_number(&mut self, json: &RawValue) -> Option<String> {
        match json.get().as_bytes().first() {
            Some(b'"') => match serde_json::from_str(json.get()) {
                Ok(text) => Some(text),
                Err(_) => self.fault("not a text that can be read"),
            },
            Some(b'-' | b'0'..=b'9') => Some(json.get().to_owned()),
            _ => self.unexpected("a text", json),
        }
    }

    pub(crate) fn unexpected<T>(&mut self, expected: &str, json: &RawValue) -> Option<T> {
        let found = match json.get().as_bytes().first() {
            Some(b'"') => "a text",
            Some(b'{') if is_no_json(json.get()) => "no JSON",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        };
        self.fault(&format!("expected {expected}, found {found}"))
    }

    pub(crate) fn fault<T>(&mut self, reason: &str) -> Option<T> {
        let path = if self.path.is_empty() { ".".to_owned() } else { self.path.clone() };
        // The last fault may be the one that leaves nothing of a record.
        self.faults.truncate(MOST_FAULTS - 1);
        self.faults.push(Fault { path, reason: reason.to_owned() });
        None
    }

    /// Reads below a key.
    pub(crate) fn at<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        let value = read(self);
        self.path.truncate(before);
        value
    }

    /// Reads below an index of a list.
    pub(crate) fn at_place<T>(&mut self, place: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        // Writing to a `String` does not fail.
        write!(self.path, "[{place}]").ok();
        let value = read(self);
        self.path.truncate(before);
        value
    }
}

/// A JSON object during reading.
pub(crate) struct Object<'a>(Fields<'a>);

impl<'a> Object<'a> {
    /// Returns the value of a key; the last one if there are several.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name)
    }

    /// Returns the values of all keys except `known`.
    pub(crate) fn others(self, known: &[&str]) -> Extra {
        self.0.others(known)
    }
}

impl Part for String {
    fn read(json: &RawValue, reader: &mut Reader) -> Option<Self> {
        reader.text(json)
    }
}

impl Part for Timestamp {
    fn read(json: &RawValue, reader: &mut Reader) -> Option<Self> {
        if !json.get().starts_with('"') {
            return reader.unexpected("a time", json);
        }
        match serde_json::from_str(json.get()) {
            Ok(time) => Some(time),
            Err(_) => reader.fault("not a time such as 2022-08-07T14:01:29.196Z"),
        }
    }
}

impl Part for FreeJson {
    fn read(json: &RawValue, reader: &mut Reader) -> Option<Self> {
        if holds_no_json(json.get()) { reader.fault("no JSON") } else { Some(Self::from(json.to_owned())) }
    }
}

impl<T: Part> Field for Option<T> {
    fn read(json: &RawValue, reader: &mut Reader, whole: &mut bool) -> Self {
        if json.get() == "null" {
            return None;
        }
        let read = T::read(json, reader);
        *whole &= read.is_some();
        read
    }
}

impl<T: Part> Field for Maybe<T> {
    fn read(json: &RawValue, reader: &mut Reader, whole: &mut bool) -> Self {
        if json.get() == "null" {
            return Self::Null;
        }
        let read = T::read(json, reader);
        *whole &= read.is_some();
        read.map_or(Self::Absent, Self::Value)
    }
}

/// Unreadable members are omitted.
impl<T: Part> Field for Maybe<Vec<T>> {
    fn read(json: &RawValue, reader: &mut Reader, whole: &mut bool) -> Self {
        if json.get() == "null" {
            return Self::Null;
        }
        let Ok(members) = serde_json::from_str::<Vec<&RawValue>>(json.get()) else {
            *whole = false;
            return reader.unexpected::<Vec<T>>("a list", json).map_or(Self::Absent, Self::Value);
        };
        let mut read = Vec::with_capacity(members.len());
        for (place, json) in members.into_iter().enumerate() {
            let member = reader.at_place(place, |reader| T::read(json, reader));
            *whole &= member.is_some();
            read.extend(member);
        }
        Self::Value(read)
    }
}

/// Implements [`Part`] for structs: first the required key, then the others, and `unread` if there is such a field.
macro_rules! in_part {
    ($($name:ident { $key:ident; $($field:ident),+ $(; $unread:ident)? })*) => {$(
        impl crate::in_part::Part for $name {
            fn read(json: &serde_json::value::RawValue, reader: &mut crate::in_part::Reader) -> Option<Self> {
                let object = reader.object(json)?;
                let mut unread = Vec::new();
                let $key = reader.key(&object, stringify!($key))?;
                $(let $field = reader.field(&object, stringify!($field), &mut unread);)+
                let extra = object.others(&[stringify!($key), $(stringify!($field)),+]);
                Some(Self { $key, $($field,)+ $($unread: unread,)? extra })
            }
        }
    )*};
    ($($record:ident)*) => {$(
        impl crate::ReadInPart for $record {
            fn record_id(&self) -> &str {
                self.id.as_str()
            }

            fn read_in_part(json: &str) -> Result<crate::InPart<Self>, crate::Fault> {
                crate::in_part::Reader::record(json)
            }
        }
    )*};
}

pub(crate) use in_part;
