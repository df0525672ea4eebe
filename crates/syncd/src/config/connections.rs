//! Division of the connections to PostgreSQL: one listens, webhooks come first, the rest serves everything else.

use super::ConfigError;

/// One listens, one is for webhooks, and a worker's batch does not keep everything else waiting.
const FEWEST: usize = 4;
/// More would only wait for each other in the server.
const MOST: usize = 500;
/// More connections do not store webhooks any faster.
const MOST_FOR_WEBHOOKS: usize = 4;

/// The connections that a process may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections(usize);

impl Connections {
    /// Value of `store.connections`.
    pub(super) fn new(all: usize) -> Result<Self, ConfigError> {
        if (FEWEST..=MOST).contains(&all) {
            return Ok(Self(all));
        }
        Err(ConfigError(format!("store.connections: {FEWEST} to {MOST}; \"15\" suits most")))
    }

    /// Minimum that the daemon needs.
    pub(crate) fn fewest() -> usize {
        FEWEST
    }

    /// All of them.
    pub(crate) fn all(self) -> usize {
        self.0
    }

    /// For webhooks alone.
    pub(crate) fn for_webhooks(self) -> usize {
        (self.0.saturating_sub(1) / 3).clamp(1, MOST_FOR_WEBHOOKS)
    }

    /// For workers, the schedule, deliveries, pages and commands.
    pub(crate) fn for_work(self) -> usize {
        self.0.saturating_sub(1 + self.for_webhooks())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        for (all, webhooks, work) in [(4, 1, 2), (5, 1, 3), (8, 2, 5), (15, 4, 10), (40, 4, 35)] {
            let connections = Connections(all);
            assert_eq!((connections.for_webhooks(), connections.for_work()), (webhooks, work), "{all}");
        }
        assert!(Connections::new(3).is_err());
    }
}
