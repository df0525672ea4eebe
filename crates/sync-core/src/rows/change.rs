use crate::words::words;

words! {
    /// What happened to a record.
    pub enum ChangeKind {
        /// It is new.
        Created = "created",
        /// Some of its values differ.
        Updated = "updated",
        /// It is gone.
        Deleted = "deleted",
        /// It is back.
        Restored = "restored",
    }

    /// How a change became known.
    pub enum ChangeCause {
        /// The endpoint that owns the model returned the record.
        Direct = "direct",
        /// A copy nested in another model's record showed it.
        Nested = "nested",
        /// A full fetch found a difference that no `changed_at` tells of: a hand edit, a lost record, a silent change.
        Drift = "drift",
        /// A full fetch did not show the record, and a look-up by id did not find it.
        Sweep = "sweep",
    }
}
