use std::hash::{BuildHasher, Hash, RandomState};

use super::model::Model;

/// What the pages of one fetch said of rows that other endpoints show in full. A user's copy comes with each of the
/// user's progressions: comparing the first is enough, until one says something else.
///
/// Leaving out a repetition is right only behind the copy that it repeats, so this lives as long as one attempt, which
/// commits its pages in order or ends.
#[derive(Default)]
pub(crate) struct Repeats {
    /// Where a row belongs follows from the hash of its name. Made when there is something to remember.
    said: Vec<Place>,
    /// What the record that is being read says.
    new: Vec<Said>,
    hasher: RandomState,
}

/// What was last said of a row.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Said {
    /// The hash of the row's name.
    row: u64,
    /// The hash of what was said.
    says: u64,
}

/// Rows that belong to one place. One more drives out the one that came first, which is then news again.
type Place = [Said; 8];

impl Repeats {
    /// Room for 65,536 rows at most, in a megabyte. Where too many meet in one place, some are forgotten before.
    const PLACES: u16 = 1 << 13;

    /// Whether a copy of a row says something else than the one before, as far as that is remembered.
    pub(super) fn is_news(&mut self, model: Model, id: &str, says: impl Hash) -> bool {
        let said = Said { row: self.hasher.hash_one((model, id)), says: self.hasher.hash_one(says) };
        let in_record = self.new.iter().rev().find(|before| before.row == said.row);
        let before = in_record.or_else(|| self.said.get(place(said.row))?.iter().find(|before| before.row == said.row));
        let is_news = before != Some(&said);
        if is_news {
            self.new.push(said);
        }
        is_news
    }

    /// The record was taken over with its copies.
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

/// Where a row belongs.
fn place(row: u64) -> usize {
    let [high, low, ..] = row.to_be_bytes();
    usize::from(u16::from_be_bytes([high, low]) % Repeats::PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Model = Model::LmsSkills;

    #[test]
    fn a_copy_is_news_until_it_repeats_the_one_before() {
        let mut repeats = Repeats::default();
        // All of one record.
        assert!(repeats.is_news(MODEL, "c", "one"));
        repeats.keep();
        let in_record = ["two", "one", "one"].map(|says| repeats.is_news(MODEL, "c", says));
        assert_eq!(in_record, [true, true, false]);
        repeats.keep();
        let mut is_news = |id: &str, says: &str| {
            let is_news = repeats.is_news(MODEL, id, says);
            repeats.keep();
            is_news
        };
        assert!(!is_news("c", "one"));
        let said = [("a", "one"), ("b", "one"), ("a", "one"), ("a", "two"), ("a", "two"), ("a", "one"), ("b", "one")];
        assert_eq!(said.map(|(id, says)| is_news(id, says)), [true, true, false, true, false, true, false]);
    }

    #[test]
    fn however_many_rows_there_are_none_is_taken_for_another() {
        let mut repeats = Repeats::default();
        let ids: Vec<String> = (0..8 * usize::from(Repeats::PLACES)).map(|number| format!("{number}")).collect();
        let mut news = |ids: &[String], says: &str| {
            let is_news = |id: &&String| {
                let is_news = repeats.is_news(MODEL, id, says);
                repeats.keep();
                is_news
            };
            ids.iter().filter(is_news).count()
        };
        assert_eq!(news(&ids, "one"), ids.len());
        // A quarter of what there is room for is remembered but for a few that met in one place; of all, most are.
        let (few, many) = (ids.len() / 4, ids.len());
        assert_eq!(news(&ids[..few], "two"), few);
        let forgotten = news(&ids[..few], "two");
        assert!(forgotten < few / 100, "{forgotten} of {few}");
        assert_eq!(news(&ids, "three"), many);
        let forgotten = news(&ids, "three");
        assert!(forgotten < many / 4 * 3, "{forgotten} of {many}");
    }
}
