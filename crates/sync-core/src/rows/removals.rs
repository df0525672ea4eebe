//! How many rows may disappear before a person should look.

/// Whether so many records vanished that a person should look: more than ten and more than a tenth of the live rows, in
/// small tables more than half of them, or all.
pub(crate) fn are_suspicious(removals: u64, live: u64) -> bool {
    are_many(removals, live) || (removals > 0 && removals >= live)
}

/// The same of rows that the lists of their records no longer show, or that nothing shows any more. A table may have few of
/// them, and the last one may well go.
pub(crate) fn are_many(removals: u64, live: u64) -> bool {
    let many = removals > 10 && removals.saturating_mul(10) > live;
    let half = removals > 2 && removals.saturating_mul(2) > live;
    many || half
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
