use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

use super::model::Model;

/// What the pages of one fetch said of rows that other endpoints show in full. A user's copy comes with each of the
/// user's progressions: comparing the first is enough, until one says something else.
///
/// Leaving out a repetition is right only behind the copy that it repeats, so this lives as long as one attempt, which
/// commits its pages in order or ends.
#[derive(Default)]
pub(crate) struct Repeats {
    /// By the hash of a row's name, the hash of what was last said of it.
    said: HashMap<u64, u64>,
    /// What the record that is being read says.
    new: Vec<(u64, u64)>,
    hasher: RandomState,
}

impl Repeats {
    /// How many rows are remembered, in a few megabytes at most.
    const AT_MOST: usize = 100_000;

    /// Whether a copy of a row says something else than the one before, if there was one.
    pub(super) fn is_news(&mut self, model: Model, id: &str, says: impl Hash) -> bool {
        let row = self.hasher.hash_one((model, id));
        let says = self.hasher.hash_one(says);
        let in_record = self.new.iter().rev().find(|(named, _)| *named == row).map(|(_, said)| said);
        let is_news = in_record.or_else(|| self.said.get(&row)) != Some(&says);
        if is_news {
            self.new.push((row, says));
        }
        is_news
    }

    /// The record was taken over with its copies.
    pub(super) fn keep(&mut self) {
        if self.said.len() + self.new.len() > Self::AT_MOST {
            self.said.clear();
        }
        self.said.extend(self.new.drain(..));
    }

    /// The record was put aside.
    pub(super) fn forget(&mut self) {
        self.new.clear();
    }
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
    fn what_is_put_aside_was_not_said() {
        let mut repeats = Repeats::default();
        assert!(repeats.is_news(MODEL, "a", "one"));
        repeats.forget();
        assert!(repeats.is_news(MODEL, "a", "one"));
        repeats.keep();
        assert!(!repeats.is_news(MODEL, "a", "one"));
        assert!(repeats.is_news(Model::LmsCourses, "a", "one"));
    }
}
