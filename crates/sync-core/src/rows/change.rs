use crate::words::words;

words! {
    /// The kind of a change to a record.
    pub enum ChangeKind {
        /// The record is new.
        Created = "created",
        /// Some values differ.
        Updated = "updated",
        /// The record is gone.
        Deleted = "deleted",
        /// The record exists again.
        Restored = "restored",
    }

    /// How a change was found.
    pub enum ChangeCause {
        /// The endpoint that owns the model returned the record.
        Direct = "direct",
        /// A copy nested in another model's record showed the change.
        Nested = "nested",
        /// A full fetch found a difference without a new `changed_at`: a manual edit, a lost record or a silent change.
        Drift = "drift",
        /// A full fetch did not show the record, and a look-up by id did not find it.
        Sweep = "sweep",
    }
}
