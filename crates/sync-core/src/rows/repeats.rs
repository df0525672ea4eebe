use std::hash::{BuildHasher, Hash, RandomState};

use crate::rows::Model;

/// The copies on the pages of one fetch, of rows that other endpoints show in full. Each progression contains a copy of
/// its user. Only the first copy is compared, and later ones only if they differ.
///
/// A repeated copy may be left out only after the copy that it repeats. A value of this type therefore lasts for one
/// attempt, which commits its pages in order or ends.
#[derive(Default)]
pub(crate) struct Repeats {
    /// Slots of rows, by the hash of the row's name. Allocated with the first entry.
    said: Vec<Place>,
    /// The copies in the current record.
    new: Vec<Said>,
    hasher: RandomState,
}

/// The latest copy of a row.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Said {
    /// Hash of the row's name.
    row: u64,
    /// Hash of the copy.
    says: u64,
}

/// The rows in one slot. A new row replaces the oldest one. The next copy of that row counts as new.
type Place = [Said; 8];

impl Repeats {
    /// Space for at most 65,536 rows, one megabyte. Rows are dropped earlier if too many share a slot.
    const PLACES: u16 = 1 << 13;

    /// Whether a copy of a row differs from the remembered one, or none is remembered.
    pub(super) fn is_new(&mut self, model: Model, id: &str, says: impl Hash) -> bool {
        let said = Said { row: self.hasher.hash_one((model, id)), says: self.hasher.hash_one(says) };
        let in_record = self.new.iter().rev().find(|before| before.row == said.row);
        let before = in_record.or_else(|| self.said.get(place(said.row))?.iter().find(|before| before.row == said.row));
        let is_new = before != Some(&said);
        if is_new {
            self.new.push(said);
        }
        is_new
    }

    /// Remembers the copies of the current record, which was accepted.
    pub(super) fn keep(&mut self) {
        if self.said.is_empty() && !self.new.is_empty() {
            self.said = vec![Place::default(); usize::from(Self::PLACES)];
        }
        for said in self.new.drain(..) {
            let Some(place) = self.said.get_mut(place(said.row)) else { continue };
            if let Some(before) = place.iter_mut().find(|before| before.row == said.row) {
                *before = said;
            } else {
                place.rotate_right(1);
                place[0] = said;
            }
        }
    }
}

/// Returns the slot of a row.
fn place(row: u64) -> usize {
    let [high, low, ..] = row.to_be_bytes();
    usize::from(u16::from_be_bytes([high, low]) % Repeats::PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Model = Model::LmsSkills;

    #[test]
    fn a_copy_is_new_until_it_repeats_the_one_before() {
        let mut repeats = Repeats::default();
        // All copies are in one record.
        assert!(repeats.is_new(MODEL, "c", "one"));
        repeats.keep();
        let in_record = ["two", "one", "one"].map(|says| repeats.is_new(MODEL, "c", says));
        assert_eq!(in_record, [true, true, false]);
        repeats.keep();
        let mut is_new = |id: &str, says: &str| {
            let is_new = repeats.is_new(MODEL, id, says);
            repeats.keep();
            is_new
        };
        assert!(!is_new("c", "one"));
        let said = [("a", "one"), ("b", "one"), ("a", "one"), ("a", "two"), ("a", "two"), ("a", "one"), ("b", "one")];
        assert_eq!(said.map(|(id, says)| is_new(id, says)), [true, true, false, true, false, true, false]);
    }

    #[test]
    fn however_many_rows_there_are_none_is_taken_for_another() {
        let mut repeats = Repeats::default();
        let ids: Vec<String> = (0..8 * usize::from(Repeats::PLACES)).map(|number| format!("{number}")).collect();
        let mut news = |ids: &[String], says: &str| {
            let is_new = |id: &&String| {
                let is_new = repeats.is_new(MODEL, id, says);
                repeats.keep();
                is_new
            };
            ids.iter().filter(is_new).count()
        };
        assert_eq!(news(&ids, "one"), ids.len());
        // At a quarter of the capacity, almost all rows are remembered; at full capacity, most are.
        let (few, many) = (ids.len() / 4, ids.len());
        assert_eq!(news(&ids[..few], "two"), few);
        let forgotten = news(&ids[..few], "two");
        assert!(forgotten < few / 100, "{forgotten} of {few}");
        assert_eq!(news(&ids, "three"), many);
        let forgotten = news(&ids, "three");
        assert!(forgotten < many / 4 * 3, "{forgotten} of {many}");
    }
}
