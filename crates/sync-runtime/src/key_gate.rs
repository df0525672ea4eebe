use std::sync::atomic::{AtomicBool, Ordering};

/// A gate that is closed while Kombo rejects the key. Then no request is leased.
#[derive(Debug, Default)]
pub struct KeyGate {
    rejected: AtomicBool,
}

impl KeyGate {
    /// Whether the gate is open: Kombo is not known to reject the key.
    pub fn is_open(&self) -> bool {
        !self.rejected.load(Ordering::SeqCst)
    }

    /// Closes the gate because Kombo rejected the key. Returns whether it was open.
    pub fn close(&self) -> bool {
        !self.rejected.swap(true, Ordering::SeqCst)
    }

    /// Opens the gate because Kombo accepts the key. Returns whether it was closed.
    pub fn open(&self) -> bool {
        self.rejected.swap(false, Ordering::SeqCst)
    }
}
