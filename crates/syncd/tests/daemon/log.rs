//! Somebody who reads the change log as it grows, and keeps a mirror of their own by it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sync_core::types::{Change, ChangeKind};

use crate::deployment::Look;
use crate::mirror::snapshot;
use crate::world::World;

const PLENTY: usize = 1_000_000;

type Name = (String, String, String);

/// Copies the mirror once, then remembers the last entry seen, as a program does that follows the log.
#[derive(Debug)]
pub struct Follower {
    rows: BTreeMap<Name, BTreeMap<String, Value>>,
    live: BTreeSet<Name>,
    /// What happens to records that are gone is not logged.
    once_gone: BTreeSet<Name>,
    began_after: i64,
    seen: Vec<Change>,
}

impl Follower {
    /// Copies the mirror, to which nothing happens meanwhile. The first load is not logged.
    pub fn new(world: &World, look: &Look) -> Self {
        let began_after = look.read(|tx| tx.last_change());
        let mut follower = Self {
            rows: BTreeMap::new(),
            live: BTreeSet::new(),
            once_gone: BTreeSet::new(),
            began_after,
            seen: Vec::new(),
        };
        for ((integration, model, key), stored) in snapshot(world) {
            let name = (integration.to_string(), model.to_string(), key.to_string());
            let values = model.columns().iter().zip(stored.row.values());
            let row = values.map(|(column, value)| (column.name.to_owned(), value.to_json())).collect();
            follower.rows.insert(name.clone(), row);
            if stored.is_live() {
                follower.live.insert(name)
            } else {
                follower.once_gone.insert(name)
            };
        }
        follower
    }

    /// How many entries were seen.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Reads on from the last entry.
    pub fn follow(&mut self, look: &Look) {
        let last = self.seen.last().map_or(self.began_after, |change| change.seq);
        self.seen.extend(look.read(move |tx| tx.changes(None, last, PLENTY)));
    }

    /// Fails unless what was seen is all there is, each entry goes on from the one before it, and all of them together
    /// make what the mirror holds.
    #[track_caller]
    pub fn assert_tells_it_all(mut self, world: &World, look: &Look) {
        self.follow(look);
        let began_after = self.began_after;
        let all = look.read(move |tx| tx.changes(None, began_after, PLENTY));
        let numbers = |changes: &[Change]| changes.iter().map(|change| change.seq).collect::<Vec<_>>();
        assert_eq!(numbers(&self.seen), numbers(&all), "nothing appears behind a follower, and nothing goes");
        for change in &all {
            self.take_over(change);
        }
        for ((integration, model, key), stored) in snapshot(world) {
            let name = (integration.to_string(), model.to_string(), key.to_string());
            assert_eq!(self.live.contains(&name), stored.is_live(), "{name:?}");
            if self.once_gone.contains(&name) {
                continue;
            }
            let told = self.rows.get(&name);
            for (column, value) in model.columns().iter().zip(stored.row.values()) {
                // The record moved: no change by itself.
                if column.name == "changed_at" {
                    continue;
                }
                let told = told.and_then(|row| row.get(column.name)).unwrap_or(&Value::Null);
                assert_eq!(*told, value.to_json(), "{} of {name:?}", column.name);
            }
        }
    }

    fn take_over(&mut self, change: &Change) {
        let name = (change.integration_id.to_string(), change.model.to_string(), change.record_id.clone());
        match change.kind {
            ChangeKind::Created | ChangeKind::Restored => assert!(self.live.insert(name.clone()), "twice: {change:?}"),
            ChangeKind::Updated => assert!(self.live.contains(&name), "nothing to be updated: {change:?}"),
            ChangeKind::Deleted => {
                self.live.remove(&name);
                self.once_gone.insert(name.clone());
            }
        }
        let row = self.rows.entry(name.clone()).or_default();
        for (column, values) in change.fields.as_object().expect("the values are logged") {
            let before = row.insert(column.clone(), values["new"].clone()).unwrap_or(Value::Null);
            assert!(self.once_gone.contains(&name) || before == values["old"], "{column} in {change:?}");
        }
    }
}
