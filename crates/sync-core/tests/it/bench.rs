//! The bench that the tests of the engine share.

pub(crate) use sync_testkit::bench::{ALL, Bench, USUAL, id, target};
