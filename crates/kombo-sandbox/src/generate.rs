//! Plausible data from a seed: the same seed gives the same rows, byte for byte.

mod rows;
pub(crate) mod words;

use chrono::TimeDelta;
use kombo_model::Category;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

pub(crate) use rows::{new_course, new_progression, new_provider, new_revision, new_skill, new_user};
pub(crate) use words::ORGANISATIONS;

use crate::{Id, Stamp, Tables, records};

/// The amount and kind of an integration's initial data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorConfig {
    /// The seed; a sandbox gives each integration a different one.
    pub seed: u64,
    /// The category. HRIS and ATS have rows in proportion to `users`.
    pub category: Category,
    /// Number of users.
    pub users: usize,
    /// Number of courses.
    pub courses: usize,
    /// Maximum number of revisions per course; the minimum is 1.
    pub max_revisions: usize,
    /// Number of providers.
    pub providers: usize,
    /// Number of skills.
    pub skills: usize,
    /// Number of progressions.
    pub progressions: usize,
    /// Fraction of nullable fields that are null, 0 to 1.
    pub null_rate: f64,
    /// Fraction of rows that are deleted from the start, 0 to 1.
    pub deleted_rate: f64,
    /// Fraction of rows with `remote_data` and `custom_fields`, 0 to 1.
    pub extra_rate: f64,
    /// Minimum size of each progression's `remote_data` in bytes, for benchmarks.
    pub filler: usize,
    /// Fraction of user ids that are reused for courses, skills and progressions, 0 to 1.
    pub shared_ids: f64,
    /// The newest `changed_at`; rows are spread over the two years before it.
    pub until: Stamp,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            category: Category::Lms,
            users: 100,
            courses: 40,
            max_revisions: 3,
            providers: 5,
            skills: 20,
            progressions: 500,
            null_rate: 0.08,
            deleted_rate: 0.02,
            extra_rate: 0.3,
            filler: 0,
            shared_ids: 0.05,
            // 2025-06-01T00:00:00Z: in the past, so that "now" is always later.
            until: Stamp::from_millis(1_748_736_000_000),
        }
    }
}

impl GeneratorConfig {
    /// Configures no rows.
    pub fn empty() -> Self {
        Self { users: 0, courses: 0, providers: 0, skills: 0, progressions: 0, ..Self::default() }
    }
}

/// The random generator, with the configured rates.
#[derive(Debug)]
pub(crate) struct Dice<'a> {
    pub(crate) rng: StdRng,
    pub(crate) config: &'a GeneratorConfig,
}

impl<'a> Dice<'a> {
    pub(crate) fn new(config: &'a GeneratorConfig, seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), config }
    }

    pub(crate) fn chance(&mut self, odds: f64) -> bool {
        self.rng.random_bool(odds.clamp(0.0, 1.0))
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.rng.random_range(0..end) }
    }

    pub(crate) fn pick<'b>(&mut self, words: &'b [&'b str]) -> &'b str {
        let at = self.below(words.len());
        words.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn pick_id(&mut self, ids: &[Id]) -> Option<Id> {
        let at = self.below(ids.len());
        ids.get(at).copied()
    }

    /// Returns the value, or null at the configured rate.
    pub(crate) fn nullable<T>(&mut self, value: T) -> Option<T> {
        let null = self.chance(self.config.null_rate);
        (!null).then_some(value)
    }

    /// Returns a time within the two years before `until`, in whole milliseconds.
    pub(crate) fn past(&mut self) -> Stamp {
        let back = self.rng.random_range(0..TimeDelta::days(730).num_milliseconds());
        self.config.until.plus_micros(-back * 1000).to_millis_precision()
    }

    /// Returns a deletion within the 40 days before `until`, at the configured rate.
    pub(crate) fn deletion(&mut self) -> Option<Stamp> {
        let deleted = self.chance(self.config.deleted_rate);
        deleted.then(|| {
            let back = self.rng.random_range(0..TimeDelta::days(40).num_milliseconds());
            self.config.until.plus_micros(-back * 1000).to_millis_precision()
        })
    }

    fn id(&mut self, shared: &[Id], taken: impl Fn(&Id) -> bool) -> Id {
        if self.chance(self.config.shared_ids)
            && let Some(id) = self.pick_id(shared)
            && !taken(&id)
        {
            return id;
        }
        Id::random(&mut self.rng)
    }
}

/// Generates all rows of one integration.
pub fn generate(config: &GeneratorConfig) -> Tables {
    if config.category != Category::Lms {
        return Tables { records: records::generate(config, config.category), ..Tables::default() };
    }
    let mut dice = Dice::new(config, config.seed);
    let mut tables = Tables::default();
    for _ in 0..config.users {
        let id = Id::random(&mut dice.rng);
        tables.users.insert(id, new_user(&mut dice, id));
    }
    let users: Vec<Id> = tables.users.keys().copied().collect();
    for _ in 0..config.providers {
        let id = dice.id(&users, |it| tables.providers.contains_key(it));
        tables.providers.insert(id, new_provider(&mut dice));
    }
    for _ in 0..config.skills {
        let id = dice.id(&users, |it| tables.skills.contains_key(it));
        tables.skills.insert(id, new_skill(&mut dice));
    }
    generate_courses(&mut dice, &mut tables, &users);
    generate_progressions(&mut dice, &mut tables, &users);
    tables
}

fn generate_courses(dice: &mut Dice<'_>, tables: &mut Tables, users: &[Id]) {
    let providers: Vec<Id> = tables.providers.keys().copied().collect();
    let skills: Vec<Id> = tables.skills.keys().copied().collect();
    for _ in 0..dice.config.courses {
        let id = dice.id(users, |it| tables.courses.contains_key(it));
        let mut course = new_course(dice, &providers);
        let count = 1 + dice.below(dice.config.max_revisions.max(1));
        for number in 0..count {
            let revision_id = dice.id(users, |it| tables.revisions.contains_key(it));
            let revision = new_revision(dice, id, number, &skills);
            course.revisions_changed_at = course.revisions_changed_at.max(revision.meta.changed_at);
            course.revisions.push(revision_id);
            tables.revisions.insert(revision_id, revision);
        }
        course.nested_changed_at = course.revisions_changed_at;
        tables.courses.insert(id, course);
    }
}

fn generate_progressions(dice: &mut Dice<'_>, tables: &mut Tables, users: &[Id]) {
    let revisions: Vec<Id> = tables.revisions.keys().copied().collect();
    if users.is_empty() || revisions.is_empty() {
        return;
    }
    // Each round shifts by one revision, so that no pair of user and revision repeats while there are unused pairs.
    let mut rows = Vec::with_capacity(dice.config.progressions);
    for at in 0..dice.config.progressions {
        let (round, user) = (at / users.len(), at % users.len());
        let revision = round.wrapping_add(user.wrapping_mul(7919)) % revisions.len();
        if let (Some(user), Some(revision)) = (users.get(user), revisions.get(revision)) {
            let id = dice.id(users, |_| round > 0);
            rows.push((id, new_progression(dice, *user, *revision)));
        }
    }
    // Reused ids may repeat in the first round; the first row keeps the id and the others get a new one.
    rows.sort_unstable_by_key(|(id, _)| *id);
    let mut last = None;
    for (id, _) in &mut rows {
        if last == Some(*id) {
            *id = Id::random(&mut dice.rng);
        } else {
            last = Some(*id);
        }
    }
    tables.progressions = rows.into_iter().collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        let config = GeneratorConfig { shared_ids: 0.5, ..GeneratorConfig::default() };
        let (one, same) = (generate(&config), generate(&config));
        assert_eq!(format!("{one:?}"), format!("{same:?}"));
        let other = generate(&GeneratorConfig { seed: 2, ..config });
        assert_ne!(format!("{one:?}"), format!("{other:?}"));
    }

    #[test]
    fn every_row_asked_for_is_there_and_points_to_rows_that_are() {
        let config = GeneratorConfig { shared_ids: 0.5, ..GeneratorConfig::default() };
        let tables = generate(&config);
        assert_eq!(tables.users.len(), config.users);
        assert_eq!(tables.courses.len(), config.courses);
        assert_eq!(tables.skills.len(), config.skills);
        assert_eq!(tables.progressions.len(), config.progressions);
        for row in tables.progressions.values() {
            assert!(tables.users.contains_key(&row.user_id));
            assert!(tables.revisions.contains_key(&row.course_revision_id));
        }
        for (id, course) in &tables.courses {
            assert!(!course.revisions.is_empty());
            for revision in &course.revisions {
                assert_eq!(tables.revisions.get(revision).unwrap().course_id, Some(*id));
            }
        }
        assert!(tables.courses.keys().any(|it| tables.users.contains_key(it)), "some ids are shared between models");
    }
}
