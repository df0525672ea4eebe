//! Tests of comparing a returned row with the stored one, rule by rule.

use kombo_model::Timestamp;
use proptest::prelude::*;
use sync_core::jobs::SyncKind;
use sync_core::rows::compare::Tombstones;
use sync_core::rows::compare::{Reading, Verdict, cause, compare, first_values, remove};
use sync_core::rows::{ChangeCause, ChangeKind};
use sync_core::rows::{Incoming, Key, MirrorRow, Model, Provenance, StoredRow, Value};

const MODEL: Model = Model::LmsSkills;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_767_225_600_000 + minutes * 60_000).unwrap()
}

/// The content of a field: absent, null or a text.
#[derive(Debug, Clone, Copy)]
enum Said {
    Absent,
    Null,
    Text(&'static str),
}

impl From<Said> for Value {
    fn from(said: Said) -> Self {
        match said {
            Said::Absent => Self::Absent,
            Said::Null => Self::Null,
            Said::Text(text) => Self::Text(text.to_owned()),
        }
    }
}

/// A skill, reduced to the relevant columns.
#[derive(Debug, Clone, Copy)]
struct Skill {
    remote_id: Said,
    name: Said,
    changed_at: Option<i64>,
    deleted_at: Option<i64>,
}

/// A skill from its own endpoint.
const fn skill(name: &'static str, changed_at: i64) -> Skill {
    Skill { remote_id: Said::Text("r"), name: Said::Text(name), changed_at: Some(changed_at), deleted_at: None }
}

impl Skill {
    const fn deleted(self, at: i64) -> Self {
        Self { deleted_at: Some(at), ..self }
    }

    fn row(self, rest: &Value) -> MirrorRow {
        let time = |minutes: Option<i64>| minutes.map_or_else(|| rest.clone(), |minutes| Value::Time(at(minutes)));
        let mut values = vec![self.remote_id.into(), self.name.into()];
        values.resize(MODEL.columns().len() - 2, rest.clone());
        values.extend([time(self.changed_at), time(self.deleted_at)]);
        MirrorRow::new(MODEL, Key::Id("s".to_owned()), values)
    }

    fn stored(self, synced_at: i64) -> StoredRow {
        StoredRow { row: self.row(&Value::Null), removed_at: None, synced_at: at(synced_at) }
    }

    fn listed(self, observed_at: i64) -> Incoming {
        let row = self.row(&Value::Null);
        Incoming { model: MODEL, row, provenance: Provenance::Listed, observed_at: at(observed_at) }
    }
}

/// A partial copy of a skill.
fn copy(name: Said, observed_at: i64) -> Incoming {
    let skill = Skill { remote_id: Said::Absent, name, changed_at: None, deleted_at: None };
    Incoming {
        model: MODEL,
        row: skill.row(&Value::Absent),
        provenance: Provenance::Copy,
        observed_at: at(observed_at),
    }
}

fn reading(kind: SyncKind) -> Reading {
    Reading {
        kind,
        tombstones: Tombstones::Mirror,
        known_until: None,
        announced: false,
        now: at(1_000),
        settles: kind == SyncKind::Full,
        latest: at(10_000),
    }
}

fn delta() -> Reading {
    reading(SyncKind::Delta)
}

fn full() -> Reading {
    reading(SyncKind::Full)
}

fn keeping() -> Reading {
    Reading { tombstones: Tombstones::Keep, ..delta() }
}

/// Renders a verdict as text.
fn text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Unchanged => "unchanged".to_owned(),
        Verdict::Stale => "stale".to_owned(),
        Verdict::Touched(_) => "touched".to_owned(),
        Verdict::Changed { row, kind, fields, announced } => {
            // Verdicts contain no fields of new rows.
            let new = if fields.is_empty() { first_values(MODEL, &row.row) } else { Vec::new() };
            let names: Vec<&str> = fields.iter().chain(&new).map(|field| field.name).collect();
            format!("{kind} [{}]{}", names.join(" "), if *announced { "" } else { " silently" })
        }
    }
}

fn written(verdict: Verdict) -> StoredRow {
    match verdict {
        Verdict::Touched(row) | Verdict::Changed { row, .. } => row,
        other => panic!("{other:?} writes nothing"),
    }
}

/// Name, stored row, returned row, context and expected verdict.
type Case = (&'static str, Option<StoredRow>, Incoming, Reading, &'static str);

fn cases() -> Vec<Case> {
    let stored = || Some(skill("a", 10).stored(20));
    let removed = |synced_at| Some(StoredRow { removed_at: Some(at(15)), ..skill("a", 10).stored(synced_at) });
    let nulls = Skill { remote_id: Said::Null, name: Said::Null, ..skill("", 30).deleted(10) };
    let from_copies = || Some(Skill { changed_at: None, ..skill("a", 0) }.stored(20));
    vec![
        ("new", None, skill("a", 10).listed(20), delta(), "created [remote_id name]"),
        (
            "new and deleted",
            None,
            skill("a", 10).deleted(5).listed(20),
            delta(),
            "deleted [remote_id name remote_deleted_at]",
        ),
        ("new as a copy", None, copy(Said::Text("a"), 20), delta(), "created [name] silently"),
        ("the same", stored(), skill("a", 10).listed(30), delta(), "unchanged"),
        ("the same, older response", stored(), skill("a", 10).listed(19), delta(), "unchanged"),
        ("another name", stored(), skill("b", 25).listed(30), delta(), "updated [name]"),
        ("a null", stored(), Skill { name: Said::Null, ..skill("", 25) }.listed(30), delta(), "updated [name]"),
        ("only changed_at moved", stored(), skill("a", 25).listed(30), delta(), "touched"),
        ("a tombstone", stored(), skill("a", 25).deleted(24).listed(30), delta(), "deleted [remote_deleted_at]"),
        (
            "the tombstone again",
            Some(skill("a", 25).deleted(24).stored(30)),
            skill("a", 25).deleted(24).listed(40),
            delta(),
            "unchanged",
        ),
        (
            "back",
            Some(skill("a", 10).deleted(9).stored(20)),
            skill("a", 25).listed(30),
            delta(),
            "restored [remote_deleted_at]",
        ),
        ("back after removal", removed(20), skill("a", 10).listed(30), delta(), "restored [removed_at] silently"),
        ("back after removal, older response", removed(20), skill("a", 10).listed(19), delta(), "stale"),
        (
            "removed, and now a tombstone",
            removed(20),
            skill("a", 25).deleted(24).listed(30),
            delta(),
            "updated [remote_deleted_at removed_at]",
        ),
        ("older in a delta", stored(), skill("b", 9).listed(30), delta(), "stale"),
        ("older in a full fetch", stored(), skill("b", 9).listed(30), full(), "updated [name] silently"),
        ("older response", stored(), skill("b", 10).listed(19), full(), "stale"),
        ("older response with a later change", stored(), skill("b", 15).listed(19), delta(), "updated [name]"),
        ("same changed_at, other content", stored(), skill("b", 10).listed(30), delta(), "updated [name] silently"),
        ("same response time", stored(), skill("b", 10).listed(20), delta(), "updated [name] silently"),
        ("a copy that says the same", stored(), copy(Said::Text("a"), 30), delta(), "unchanged"),
        ("a copy that says nothing", stored(), copy(Said::Absent, 30), delta(), "unchanged"),
        ("a copy that says null", stored(), copy(Said::Null, 30), delta(), "updated [name] silently"),
        ("a copy that says something else", stored(), copy(Said::Text("b"), 30), delta(), "updated [name] silently"),
        ("an older copy", stored(), copy(Said::Text("b"), 19), delta(), "stale"),
        (
            "a copy of what is deleted",
            Some(skill("a", 10).deleted(9).stored(20)),
            copy(Said::Text("b"), 30),
            delta(),
            "unchanged",
        ),
        ("a copy of what is removed", removed(20), copy(Said::Text("b"), 30), full(), "unchanged"),
        ("the record after its copies", from_copies(), skill("a", 10).listed(30), delta(), "touched"),
        ("the record after its copies, with more", from_copies(), skill("b", 10).listed(30), delta(), "updated [name]"),
        (
            "anonymised",
            Some(skill("a", 10).deleted(10).stored(20)),
            nulls.listed(40),
            delta(),
            "updated [remote_id name]",
        ),
        ("anonymised, keeping", Some(skill("a", 10).deleted(10).stored(20)), nulls.listed(40), keeping(), "touched"),
        (
            "deleted and anonymised at once, keeping",
            stored(),
            nulls.listed(40),
            keeping(),
            "deleted [remote_deleted_at]",
        ),
        (
            "changed and deleted, keeping",
            stored(),
            skill("b", 25).deleted(24).listed(30),
            keeping(),
            "deleted [name remote_deleted_at]",
        ),
    ]
}

#[test]
fn every_rule_has_its_case() {
    for (name, stored, incoming, reading, expected) in cases() {
        assert_eq!(text(&compare(&incoming, stored.as_ref(), reading)), expected, "{name}");
    }
}

#[test]
fn what_is_written_means_unchanged_next_time() {
    for (name, stored, incoming, reading, _) in cases() {
        if let Verdict::Changed { row, .. } | Verdict::Touched(row) = compare(&incoming, stored.as_ref(), reading) {
            assert!(row.row.values().iter().all(|value| !value.is_absent()), "{name}: a stored value says something");
            assert_eq!(compare(&incoming, Some(&row), reading), Verdict::Unchanged, "{name}");
        }
    }
}

#[test]
fn a_copy_sets_only_what_it_carries() {
    let row = written(compare(&copy(Said::Text("b"), 30), Some(&skill("a", 10).stored(20)), delta()));
    assert_eq!(row, StoredRow { synced_at: at(30), ..skill("b", 10).stored(20) });
}

#[test]
fn kept_values_survive_and_come_back_to_life() {
    let nulls = Skill { remote_id: Said::Null, name: Said::Null, ..skill("", 30).deleted(24) };
    let kept = written(compare(&nulls.listed(40), Some(&skill("a", 10).stored(20)), keeping()));
    assert_eq!(kept, skill("a", 30).deleted(24).stored(40));
    let back = written(compare(&skill("b", 50).listed(60), Some(&kept), keeping()));
    assert_eq!(back, skill("b", 50).stored(60));
}

#[test]
fn a_write_never_dates_a_row_back() {
    let row = written(compare(&skill("b", 15).listed(19), Some(&skill("a", 10).stored(20)), delta()));
    assert_eq!(row.synced_at, at(20));
}

#[test]
fn values_before_and_after_are_reported() {
    let Verdict::Changed { fields, .. } =
        compare(&skill("b", 25).listed(30), Some(&skill("a", 10).stored(20)), delta())
    else {
        panic!("the name differs");
    };
    assert_eq!((&fields[0].old, &fields[0].new), (&Value::Text("a".to_owned()), &Value::Text("b".to_owned())));
}

#[test]
fn a_row_that_earlier_fetches_must_have_shown_is_drift() {
    let known_until = |minutes| Reading { known_until: Some(at(minutes)), ..full() };
    for (reading, expected) in [
        (full(), "created [remote_id name]"),
        (known_until(9), "created [remote_id name]"),
        (known_until(10), "created [remote_id name] silently"),
    ] {
        assert_eq!(text(&compare(&skill("a", 10).listed(20), None, reading)), expected);
    }
}

#[test]
fn causes() {
    for (kind, provenance, announced, expected) in [
        (SyncKind::Delta, Provenance::Listed, true, ChangeCause::Direct),
        (SyncKind::Delta, Provenance::Listed, false, ChangeCause::Direct),
        (SyncKind::Delta, Provenance::Owned, false, ChangeCause::Direct),
        (SyncKind::Delta, Provenance::Copy, false, ChangeCause::Nested),
        (SyncKind::Full, Provenance::Listed, true, ChangeCause::Direct),
        (SyncKind::Full, Provenance::Listed, false, ChangeCause::Drift),
        (SyncKind::Full, Provenance::Copy, true, ChangeCause::Nested),
    ] {
        assert_eq!(cause(kind, provenance, announced), expected, "{kind} {provenance:?} {announced}");
    }
}

#[test]
fn what_a_list_no_longer_shows_is_removed_unless_it_was_written_later() {
    let live = skill("a", 10).stored(20);
    let gone = StoredRow { removed_at: Some(at(30)), synced_at: at(30), ..live.clone() };
    assert_eq!(remove(&live, at(30), at(1_000)), Some(gone.clone()));
    assert_eq!(remove(&live, at(20), at(1_000)).and_then(|row| row.removed_at), Some(at(20)));
    assert_eq!(remove(&live, at(19), at(1_000)), None, "it was written from a later response");
    assert_eq!(remove(&gone, at(40), at(1_000)), None, "it is gone already");
    let buried = skill("a", 10).deleted(9).stored(20);
    assert_eq!(
        remove(&buried, at(40), at(1_000)).and_then(|row| row.removed_at),
        Some(at(40)),
        "not even its tombstone is left"
    );
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![Just(Said::Null), Just(Said::Text("a")), Just(Said::Text("b"))]
}

prop_compose! {
    fn record()(remote_id in said(), name in said(), changed_at in 0..5_i64, deleted_at in proptest::option::of(0..5_i64)) -> Skill {
        Skill { remote_id, name, changed_at: Some(changed_at), deleted_at }
    }
}

proptest! {
    /// Records with different times lead to the same row in any order.
    #[test]
    fn the_order_of_arrival_does_not_matter(versions in proptest::collection::vec(record(), 1..6), seed in 0..1_000_usize) {
        let mut responses: Vec<Incoming> = versions
            .iter()
            .zip(0_i64..)
            .map(|(version, place)| Skill { changed_at: Some(place), ..*version }.listed(10 + place))
            .collect();
        let end = |responses: &[Incoming]| {
            let mut stored: Option<StoredRow> = None;
            for incoming in responses {
                match compare(incoming, stored.as_ref(), delta()) {
                    Verdict::Changed { row, .. } | Verdict::Touched(row) => stored = Some(row),
                    Verdict::Unchanged | Verdict::Stale => {}
                }
            }
            stored.unwrap()
        };
        let in_order = end(&responses);
        let places = responses.len();
        for step in 0..places {
            responses.swap(step, (step + seed) % places);
        }
        prop_assert_eq!(end(&responses), in_order);
    }

    /// A verdict that writes changes something, and comparing again finds no difference.
    #[test]
    fn comparing_is_idempotent(stored in record(), incoming in record(), full: bool, observed_at in 0..10_i64) {
        let reading = if full { self::full() } else { delta() };
        let (before, incoming) = (stored.stored(5), incoming.listed(observed_at));
        match compare(&incoming, Some(&before), reading) {
            Verdict::Unchanged => prop_assert_eq!(&incoming.row, &before.row),
            Verdict::Stale => prop_assert!(observed_at < 5 || !full),
            Verdict::Touched(row) => {
                prop_assert_ne!(&row.row, &before.row);
                prop_assert_eq!(compare(&incoming, Some(&row), reading), Verdict::Unchanged);
            }
            Verdict::Changed { row, kind, fields, .. } => {
                prop_assert!(!fields.is_empty());
                prop_assert_eq!(kind == ChangeKind::Deleted, before.is_live() && !row.is_live());
                prop_assert_eq!(kind == ChangeKind::Restored, !before.is_live() && row.is_live());
                prop_assert_eq!(compare(&incoming, Some(&row), reading), Verdict::Unchanged);
            }
        }
    }
}

#[test]
fn a_changed_at_ahead_of_both_clocks_decides_nothing() {
    let now = |kind| Reading { latest: at(100), settles: false, ..reading(kind) };
    for kind in [SyncKind::Delta, SyncKind::Full] {
        let frozen = skill("a", 90_000).stored(20);
        let came = |incoming: Incoming| text(&compare(&incoming, Some(&frozen), now(kind)));
        assert_eq!(came(skill("b", 30).listed(40)), "updated [name]", "later contents count again");
        assert_eq!(came(skill("a", 30).deleted(30).listed(40)), "deleted [remote_deleted_at]");
        assert_eq!(came(skill("b", 90_001).listed(40)), "updated [name] silently");
        assert_eq!(came(skill("b", 90_001).listed(10)), "stale", "two such times do not say which is newer");
        let known = skill("a", 30).stored(20);
        assert_eq!(text(&compare(&skill("b", 90_000).listed(10), Some(&known), now(kind))), "stale");
        // Neither does a `synced_at` in the future.
        let ahead = skill("a", 30).stored(90_000);
        let verdict = compare(&skill("b", 30).listed(40), Some(&ahead), now(kind));
        assert_eq!(text(&verdict), "updated [name] silently");
        assert_eq!(written(verdict).synced_at, at(40));
    }
}

#[test]
fn a_page_of_a_full_fetch_does_not_bring_back_an_older_content() {
    let page = Reading { settles: false, ..full() };
    let stored = skill("new", 30).stored(20);
    assert_eq!(text(&compare(&skill("old", 10).listed(40), Some(&stored), page)), "stale");
    assert_eq!(text(&compare(&skill("old", 10).listed(40), Some(&stored), full())), "updated [name] silently");
    let removed = StoredRow { removed_at: Some(at(35)), ..stored };
    let verdict = compare(&skill("old", 10).listed(40), Some(&removed), page);
    assert_eq!(text(&verdict), "restored [name removed_at] silently", "what is shown is back");
}
