//! A reader that follows the change log and keeps its own mirror by it.

use std::collections::BTreeMap;

use kombo_model::IntegrationId;
use sync_core::changes::Change;
use sync_testkit::history::Ledger;

use crate::deployment::Look;
use crate::mirror::snapshot;
use crate::world::World;

const PLENTY: usize = 1_000_000;

/// Copies the mirror once, then remembers the last entry seen, like a program that follows the log.
#[derive(Debug)]
pub struct Follower {
    mirrors: Mirrors,
    began_after: i64,
    seen: Vec<Change>,
}

type Mirrors = BTreeMap<IntegrationId, Ledger>;

impl Follower {
    /// Copies the mirror, which must not change meanwhile. The first load is not logged.
    pub fn new(world: &World, look: &Look) -> Self {
        let began_after = look.read(|tx| tx.last_change());
        Self { mirrors: copy(world), began_after, seen: Vec::new() }
    }

    /// Returns the number of entries seen.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Reads on from the last entry.
    pub fn follow(&mut self, look: &Look) {
        let last = self.seen.last().map_or(self.began_after, |change| change.seq);
        self.seen.extend(look.read(move |tx| tx.changes(None, last, PLENTY)));
    }

    /// Fails unless all entries were seen, each entry continues from the previous state and has the right kind, and all
    /// entries together lead to the mirror's content.
    #[track_caller]
    pub fn assert_tells_it_all(mut self, world: &World, look: &Look) {
        self.follow(look);
        let began_after = self.began_after;
        let all = look.read(move |tx| tx.changes(None, began_after, PLENTY));
        let numbers = |changes: &[Change]| changes.iter().map(|change| change.seq).collect::<Vec<_>>();
        assert_eq!(numbers(&self.seen), numbers(&all), "nothing appears behind a follower, and nothing goes");
        for change in &all {
            let mirror = self.mirrors.entry(change.integration_id.clone()).or_default();
            mirror.replay(change).unwrap_or_else(|wrong| panic!("{wrong}: {change:?}"));
        }
        for (integration, stored) in copy(world) {
            let told = self.mirrors.remove(&integration).unwrap_or_default();
            assert_eq!(
                told.differences(&stored),
                Vec::<String>::new(),
                "what the log tells of {integration} is not so"
            );
        }
    }
}

fn copy(world: &World) -> Mirrors {
    let mut mirrors = Mirrors::new();
    for ((integration, model, _), stored) in snapshot(world) {
        mirrors.entry(integration).or_default().take_over(model, &stored);
    }
    mirrors
}
