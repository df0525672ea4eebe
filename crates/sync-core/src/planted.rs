//! Known bugs that a simulation has to find. Without the feature `planted-bugs` there are none, and no program has it.

/// A bug that was planted on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// The watermark is made of the end of a fetch instead of its start.
    WatermarkAtEnd,
    /// The watermark is stored before the last batch is.
    WatermarkFirst,
    /// A webhook during a fetch does not lead to one more.
    NoRerun,
    /// A sweep removes what the pages did not show, without looking it up.
    NoLookUp,
    /// Nobody checks that a lease still holds.
    NoLeaseCheck,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::WatermarkAtEnd, Self::WatermarkFirst, Self::NoRerun, Self::NoLookUp, Self::NoLeaseCheck];
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug for whatever this thread runs from now on, or none.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

#[cfg(feature = "planted-bugs")]
pub(crate) fn has(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn has(_: Bug) -> bool {
    false
}
