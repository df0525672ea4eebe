//! Distribution of the connections to PostgreSQL: one listens, some are reserved for webhooks, and the rest serves
//! everything else.

use super::ConfigError;

/// One to listen, one for webhooks, and two so that a worker's batch does not block everything else.
const FEWEST: usize = 4;
/// Further connections would only wait for each other in the server.
const MOST: usize = 500;
/// One transaction at a time stores webhooks, and `/readyz` uses the other connection.
const MOST_FOR_WEBHOOKS: usize = 2;

/// The connections that a process may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections(usize);

impl Connections {
    /// Checks the value of `store.connections`.
    pub(super) fn new(all: usize) -> Result<Self, ConfigError> {
        if (FEWEST..=MOST).contains(&all) {
            return Ok(Self(all));
        }
        Err(ConfigError(format!("store.connections: {FEWEST} to {MOST}; \"15\" suits most")))
    }

    /// Returns the number that the daemon needs at least.
    pub(crate) fn fewest() -> usize {
        FEWEST
    }

    /// Returns the total number.
    pub(crate) fn all(self) -> usize {
        self.0
    }

    /// Returns the number reserved for storing webhooks.
    pub(crate) fn for_webhooks(self) -> usize {
        (self.0.saturating_sub(1) / 3).clamp(1, MOST_FOR_WEBHOOKS)
    }

    /// Returns the number for workers, plans of webhooks, the schedule, deliveries, pages and commands.
    pub(crate) fn for_work(self) -> usize {
        self.0.saturating_sub(1 + self.for_webhooks())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        for (all, webhooks, work) in [(4, 1, 2), (5, 1, 3), (8, 2, 5), (15, 2, 12), (40, 2, 37)] {
            let connections = Connections(all);
            assert_eq!((connections.for_webhooks(), connections.for_work()), (webhooks, work), "{all}");
        }
        assert!(Connections::new(3).is_err());
    }
}
