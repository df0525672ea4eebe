use diesel::SqliteConnection;
use diesel_migrations::MigrationHarness as _;

use super::*;

fn difference(change: impl Fn(&str) -> Vec<String>) -> Difference {
    let lines: Vec<String> = POSTGRES.lines().flat_map(change).collect();
    Difference::of(POSTGRES, &lines)
}

#[test]
fn what_the_migrations_make_is_no_difference() {
    for made in [POSTGRES, SQLITE] {
        let lines: Vec<String> = made.lines().map(str::to_owned).collect();
        let difference = Difference::of(made, &lines);
        assert!(difference.faults.is_empty() && difference.foreign.is_empty(), "{difference:?}");
    }
}

/// A table that a migration adds and the lists lack would not be checked.
#[test]
fn the_lists_are_complete() {
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    conn.run_pending_migrations(crate::migrations::SQLITE).unwrap();
    let cells: Vec<Cells> = Statement::new(SQLITE_LINES).load(&mut conn).unwrap();
    let made: BTreeSet<String> =
        cells.into_iter().filter_map(|cells| cells.0.into_iter().next().flatten()?.into_text()).collect();
    assert_eq!(made, SQLITE.lines().map(str::to_owned).collect());
    let named = |list: &'static str| -> BTreeSet<(&str, &str)> {
        let columns = list.lines().filter_map(Part::read).filter(|part| part.kind == "column");
        columns.map(|part| (part.table, part.name)).collect()
    };
    assert!(named(SQLITE).is_subset(&named(POSTGRES)), "PostgreSQL has some more, for the order of the log");
}

#[test]
fn each_difference_has_its_words() {
    let without = |what: &'static str| {
        difference(move |line| if line.starts_with(what) { Vec::new() } else { vec![line.to_owned()] })
            .faults
            .join("; ")
    };
    assert_eq!(without("lms_skills "), "there is no table lms_skills: restore it from a backup");
    assert!(without("lms_users column work_email").starts_with("lms_users has no column work_email"));
    assert!(without("lms_users key").ends_with("ALTER TABLE lms_users ADD PRIMARY KEY (integration_id, id)"));
    assert!(
        without("sync_requests trigger sync_requests_made")
            .starts_with("sync_requests has no enabled trigger sync_requests_made")
    );
    let other =
        difference(|line| vec![line.replace("lms_users column work_email text", "lms_users column work_email bytea")]);
    assert_eq!(other.faults, ["column work_email of lms_users is bytea, not text: change it back"]);
}

#[test]
fn what_others_add_is_theirs() {
    let added = [
        "lms_users column note text",
        "lms_users column team text not null default",
        "lms_users key note",
        "lms_users trigger audit 5 audit",
        "elsewhere column a text not null",
        "lms_notes column a text not null",
    ];
    let mut lines: Vec<String> = POSTGRES.lines().map(str::to_owned).collect();
    lines.extend(added.map(str::to_owned));
    let difference = Difference::of(POSTGRES, &lines);
    assert!(difference.faults.is_empty(), "{difference:?}");
    assert_eq!(
        difference.foreign.into_iter().collect::<Vec<_>>(),
        [("lms_users".to_owned(), vec!["trigger audit".to_owned()])]
    );
    lines.push("lms_users column owner text not null".to_owned());
    assert_eq!(Difference::of(POSTGRES, &lines).faults.len(), 1);
}
