use std::sync::atomic::{AtomicBool, Ordering};

/// Whether Kombo accepts the key. While it is closed, no request is leased.
#[derive(Debug, Default)]
pub struct KeyGate {
    rejected: AtomicBool,
}

impl KeyGate {
    /// Whether Kombo accepts the key, as far as it is known.
    pub fn is_open(&self) -> bool {
        !self.rejected.load(Ordering::SeqCst)
    }

    /// Closes the gate: Kombo rejected the key. Returns whether it was open.
    pub fn close(&self) -> bool {
        !self.rejected.swap(true, Ordering::SeqCst)
    }

    /// Opens the gate: Kombo accepts the key. Returns whether it was closed.
    pub fn open(&self) -> bool {
        self.rejected.swap(false, Ordering::SeqCst)
    }
}
