//! Limits for the number of rows that are removed without a person's approval.

use crate::rows::Model;
use crate::rows::row::StoredRow;

/// Whether a full fetch misses so many records that a person should check: all of them, more than ten and a tenth of
/// the live rows, or in small tables more than half.
pub(crate) fn are_suspicious(removals: u64, live: u64) -> bool {
    are_many(removals, live) || (removals > 0 && removals >= live)
}

/// Whether so many rows are missing from lists that a person should check. Unlike [`are_suspicious`], this allows the
/// removal of the last one or two rows: such tables may be small.
pub(crate) fn are_many(removals: u64, live: u64) -> bool {
    let many = removals > 10 && removals.saturating_mul(10) > live;
    let half = removals > 2 && removals.saturating_mul(2) > live;
    many || half
}

/// Whether the removal of a row counts towards these limits. A first load of the row's own endpoint is the first to say
/// which records exist, so a row that only copies in other lists have shown does not count. Copies have no `changed_at`.
pub(crate) fn counts(model: Model, row: &StoredRow, first_load: bool) -> bool {
    let only_copied = !model.embedded_by().is_empty() && row.row.changed_at().is_none();
    row.is_live() && !(first_load && only_copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mass_removal_is_relative_but_small_tables_are_guarded_too() {
        for (removals, live, suspicious) in [
            (0, 0, false),
            (0, 100, false),
            (10, 100, false),
            (11, 100, true),
            (11, 1_000, false),
            (100, 1_000, false),
            (101, 1_000, true),
            (1, 1, true),
            (1, 2, false),
            (2, 2, true),
            (2, 3, false),
            (3, 5, true),
            (3, 6, false),
            (8, 8, true),
        ] {
            assert_eq!(are_suspicious(removals, live), suspicious, "{removals} of {live}");
            let last_ones = removals >= live && removals <= 2;
            assert_eq!(are_many(removals, live), suspicious && !last_ones, "{removals} of {live}");
        }
    }
}
