use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use crate::mirror::{Batch, Incoming, Standing, Value};

/// What the pages of one fetch said of rows that other endpoints show in full. A user's copy comes with each of the
/// user's progressions: comparing the first is enough, until one says something else.
///
/// Leaving out a repetition is right only behind the copy that it repeats, so this lives as long as one attempt, which
/// commits its pages in order or ends.
#[derive(Default)]
pub(super) struct Repeats {
    /// By the hash of a row's name, the hash of what was last said of it.
    said: HashMap<u64, u64>,
    hasher: RandomState,
}

impl Repeats {
    /// How many rows are remembered, in a few megabytes at most.
    const AT_MOST: usize = 100_000;

    /// Takes out of a page the copies that say what earlier ones said.
    pub(super) fn leave_out(&mut self, batch: &mut Batch) {
        batch.rows.retain(|incoming| incoming.standing != Standing::Copy || self.is_news(incoming));
    }

    fn is_news(&mut self, incoming: &Incoming) -> bool {
        let row = self.hasher.hash_one((incoming.model, &incoming.row.key));
        let mut says = self.hasher.build_hasher();
        for value in incoming.row.values() {
            std::mem::discriminant(value).hash(&mut says);
            match value {
                Value::Absent | Value::Null => {}
                Value::Text(text) | Value::Json(text) => text.hash(&mut says),
                Value::Time(time) => time.hash(&mut says),
            }
        }
        let says = says.finish();
        if self.said.len() >= Self::AT_MOST && !self.said.contains_key(&row) {
            self.said.clear();
        }
        self.said.insert(row, says) != Some(says)
    }
}

#[cfg(test)]
mod tests {
    use kombo_model::Timestamp;

    use super::*;
    use crate::mirror::{Key, Model, Row};

    fn page(said: &[(&str, &str, Standing)]) -> Batch {
        let incoming = |(id, name, standing): &(&str, &str, Standing)| Incoming {
            model: Model::LmsSkills,
            row: Row::new(
                Model::LmsSkills,
                Key::Id((*id).to_owned()),
                vec![Value::Absent, Value::Text((*name).to_owned())],
            ),
            standing: *standing,
            observed_at: Timestamp::MIN,
        };
        Batch { rows: said.iter().map(incoming).collect(), members: Vec::new() }
    }

    #[test]
    fn a_copy_is_looked_at_until_it_repeats_the_one_before() {
        let mut repeats = Repeats::default();
        let mut left = |said: &[(&str, &str, Standing)]| {
            let mut batch = page(said);
            repeats.leave_out(&mut batch);
            batch.rows.len()
        };
        assert_eq!(left(&[("a", "one", Standing::Copy), ("b", "one", Standing::Copy)]), 2);
        assert_eq!(left(&[("a", "one", Standing::Copy), ("a", "two", Standing::Copy)]), 1);
        assert_eq!(left(&[("a", "one", Standing::Copy), ("a", "one", Standing::Copy)]), 1);
        assert_eq!(left(&[("a", "one", Standing::Listed), ("a", "one", Standing::Listed)]), 2);
    }
}
