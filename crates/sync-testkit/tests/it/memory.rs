use sync_testkit::{MemoryStore, conformance_suite};

conformance_suite!(async || (MemoryStore::new(), ()));
