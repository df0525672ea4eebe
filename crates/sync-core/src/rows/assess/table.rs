use std::borrow::Cow;
use std::collections::BTreeMap;

use kombo_model::Timestamp;

use crate::rows::batch::Incoming;
use crate::rows::row::{Key, MirrorRow, NewRow, StoredRow};

/// The rows to write to one table.
#[derive(Debug, Default)]
pub(crate) struct Table<'a> {
    /// Rows in ascending order of keys. Nearly all are, because rows are compared in this order.
    in_order: Vec<ToWrite<'a>>,
    others: BTreeMap<Key, ToWrite<'a>>,
}

/// A row to write.
#[derive(Debug)]
pub(super) enum ToWrite<'a> {
    /// The row is not stored yet and is written as received.
    New(Cow<'a, Incoming>),
    /// Replaces the stored row.
    Replacing(StoredRow),
}

impl ToWrite<'_> {
    pub(super) fn row(&self) -> &MirrorRow {
        match self {
            Self::New(incoming) => &incoming.row,
            Self::Replacing(stored) => &stored.row,
        }
    }

    /// Returns the row if it is not stored yet.
    fn new_row(&self) -> Option<NewRow<'_>> {
        match self {
            Self::New(incoming) => Some(new_row(incoming)),
            Self::Replacing(_) => None,
        }
    }

    pub(super) fn removed_at(&self) -> Option<Timestamp> {
        match self {
            Self::New(_) => None,
            Self::Replacing(stored) => stored.removed_at,
        }
    }

    pub(super) fn to_stored(&self) -> StoredRow {
        match self {
            Self::New(incoming) => new_row(incoming).to_stored(),
            Self::Replacing(stored) => stored.clone(),
        }
    }
}

impl<'a> Table<'a> {
    pub(super) fn get(&self, key: &Key) -> Option<&ToWrite<'a>> {
        match self.place(key) {
            Ok(place) => self.in_order.get(place),
            Err(_) => self.others.get(key),
        }
    }

    /// Adds a row. Replaces an earlier one with the same key.
    pub(super) fn put(&mut self, row: ToWrite<'a>) {
        let key = &row.row().key;
        if self.in_order.last().is_none_or(|last| last.row().key < *key) && !self.others.contains_key(key) {
            self.in_order.push(row);
        } else if let Some(held) = self.place(key).ok().and_then(|place| self.in_order.get_mut(place)) {
            *held = row;
        } else {
            self.others.insert(key.clone(), row);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ToWrite<'a>> {
        self.in_order.iter().chain(self.others.values())
    }

    /// Returns the rows that are not stored yet.
    pub(crate) fn new_rows(&self) -> Vec<NewRow<'_>> {
        self.iter().filter_map(ToWrite::new_row).collect()
    }

    /// Returns the rows that replace stored ones.
    pub(crate) fn into_replacing(self) -> Vec<StoredRow> {
        let replacing = |row| match row {
            ToWrite::New(_) => None,
            ToWrite::Replacing(stored) => Some(stored),
        };
        self.in_order.into_iter().chain(self.others.into_values()).filter_map(replacing).collect()
    }

    fn place(&self, key: &Key) -> Result<usize, usize> {
        self.in_order.binary_search_by(|held| held.row().key.cmp(key))
    }
}

pub(super) fn new_row(incoming: &Incoming) -> NewRow<'_> {
    NewRow { row: &incoming.row, synced_at: incoming.observed_at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Model;
    use crate::rows::row::Value;

    fn row(id: &str, name: &str) -> ToWrite<'static> {
        let values = vec![Value::Absent, Value::Text(name.to_owned())];
        let row = MirrorRow::new(Model::LmsSkills, Key::Id(id.to_owned()), values);
        ToWrite::Replacing(StoredRow { row, removed_at: None, synced_at: Timestamp::MIN })
    }

    #[test]
    fn the_last_row_of_a_key_is_the_one_that_is_written() {
        let mut table = Table::default();
        for (id, name) in [("b", "1"), ("d", "2"), ("a", "3"), ("c", "4"), ("d", "5"), ("a", "6"), ("e", "7")] {
            table.put(row(id, name));
        }
        let name = |row: &MirrorRow| (row.key.to_string(), row.values()[1].text().unwrap().to_owned());
        assert_eq!(name(table.get(&Key::Id("d".to_owned())).unwrap().row()), ("d".to_owned(), "5".to_owned()));
        assert!(table.get(&Key::Id("f".to_owned())).is_none());
        let mut written: Vec<_> = table.into_replacing().iter().map(|stored| name(&stored.row)).collect();
        written.sort();
        let expected = [("a", "6"), ("b", "1"), ("c", "4"), ("d", "5"), ("e", "7")];
        assert_eq!(written, expected.map(|(id, name)| (id.to_owned(), name.to_owned())));
    }
}
