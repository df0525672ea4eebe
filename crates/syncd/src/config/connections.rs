//! Distribution of the connections to PostgreSQL: one listens, some are reserved for webhooks, and the rest serves
//! everything else.

use super::ConfigError;

/// One to listen, one for webhooks, and two so that a worker's batch does not block everything else.
const FEWEST: usize = 4;
/// Further connections would only wait for each other in the server.
const MOST: usize = 500;
/// Further connections do not store webhooks any faster.
const MOST_FOR_WEBHOOKS: usize = 4;

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

    /// Returns the number reserved for webhooks.
    fn for_webhooks(self) -> usize {
        (self.0.saturating_sub(1) / 3).clamp(1, MOST_FOR_WEBHOOKS)
    }

    /// Returns the number of these that plan stored webhooks. The last one stores them; if it is the only one, it does
    /// both.
    pub(crate) fn for_planning_webhooks(self) -> usize {
        self.for_webhooks().saturating_sub(1)
    }

    /// Returns the number for workers, the schedule, deliveries, pages and commands.
    pub(crate) fn for_work(self) -> usize {
        self.0.saturating_sub(1 + self.for_webhooks())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        for (all, plans, work) in [(4, 0, 2), (5, 0, 3), (8, 1, 5), (15, 3, 10), (40, 3, 35)] {
            let connections = Connections(all);
            assert_eq!((connections.for_planning_webhooks(), connections.for_work()), (plans, work), "{all}");
        }
        assert!(Connections::new(3).is_err());
    }
}
