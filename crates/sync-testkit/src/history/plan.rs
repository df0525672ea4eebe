use std::collections::BTreeSet;

use fastrand::Rng;
use kombo_model::Endpoint;

use super::edit::Edit;

/// What happens to Kombo and to the daemon, from a seed. One with fewer steps is the beginning of one with more.
#[derive(Debug, Clone)]
pub struct History {
    /// What it was made from.
    pub seed: u64,
    pub(super) manner: Manner,
    pub(super) steps: Vec<Step>,
}

/// What holds throughout a history.
#[derive(Debug, Clone)]
pub(super) struct Manner {
    /// Which endpoints are enabled.
    pub(super) endpoints: BTreeSet<Endpoint>,
    /// Whether every sync sees all there is to see: none is disturbed, and none comes so soon after another that full
    /// fetches have to wait.
    pub(super) calm: bool,
    /// How many records of each model there are at most.
    pub(super) records: u8,
    /// How many edits there are before the first load, which the log does not tell of.
    pub(super) furniture: Vec<Edit>,
    pub(super) page_size: usize,
    pub(super) batch_records: usize,
    pub(super) skew_millis: i64,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// At Kombo; so many seconds before anybody can see it.
    Edit(Edit, u64),
    /// A full fetch is due at the next sync.
    Full(Endpoint),
    /// Kombo forgets its page cursors.
    CursorsExpire,
    /// So many seconds pass, a webhook arrives, and what is due is worked on.
    Sync(u64, Vec<Trouble>),
    /// The same without trouble, until nothing is asked for any more.
    Rest,
}

/// What happens while pages are fetched, by the number of the page.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// Something at Kombo.
    Edit(u64, Edit),
    /// The page fails, and may pass later.
    Passing(u64),
    /// The page is refused.
    Refusal(u64),
    /// The daemon is asked to stop, and started again at the next sync.
    Stop(u64),
}

impl History {
    /// The history of a seed.
    pub fn random(seed: u64, steps: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let manner = Manner::draw(&mut rng);
        let mut history = Self { seed, manner, steps: Vec::with_capacity(steps) };
        let mut until_sync = 0;
        for _ in 0..steps {
            let step = if until_sync == 0 {
                until_sync = rng.u8(4..20);
                history.manner.draw_sync(&mut rng)
            } else {
                until_sync -= 1;
                history.manner.draw_step(&mut rng)
            };
            history.steps.push(step);
        }
        history
    }
}

impl Manner {
    fn draw(rng: &mut Rng) -> Self {
        let mut endpoints = BTreeSet::from(Endpoint::ALL);
        if rng.bool() {
            endpoints.remove(&Endpoint::Skills);
        }
        let records = rng.u8(5..=12);
        let furniture = if rng.bool() { 0 } else { u16::from(records) * 12 };
        Self {
            endpoints,
            calm: rng.bool(),
            records,
            furniture: (0..furniture).map(|_| Edit::draw(rng, records)).collect(),
            page_size: rng.usize(2..=12),
            batch_records: if rng.bool() { 1 } else { 5_000 },
            skew_millis: rng.i64(-600_000..600_000),
        }
    }

    fn draw_step(&self, rng: &mut Rng) -> Step {
        match rng.u8(0..100) {
            0..=1 => Step::Full(
                rng.choice(Endpoint::ALL).filter(|of| self.endpoints.contains(of)).unwrap_or(Endpoint::Users),
            ),
            2..=3 if !self.calm => Step::CursorsExpire,
            4..=6 => Step::Edit(Edit::draw_purge(rng, self.records), 0),
            _ => Step::Edit(Edit::draw(rng, self.records), rng.u64(0..100)),
        }
    }

    fn draw_sync(&self, rng: &mut Rng) -> Step {
        if self.calm {
            // Longer than full fetches have to wait for each other.
            return Step::Sync(3_700, Vec::new());
        }
        match rng.u8(0..10) {
            0..=2 => Step::Rest,
            3..=6 => Step::Sync(rng.u64(0..2_000), Vec::new()),
            _ => {
                let troubles = (0..rng.u8(1..5)).map(|_| self.draw_trouble(rng)).collect();
                Step::Sync(rng.u64(0..2_000), troubles)
            }
        }
    }

    fn draw_trouble(&self, rng: &mut Rng) -> Trouble {
        let page = rng.u64(1..15);
        match rng.u8(0..6) {
            0 => Trouble::Passing(page),
            1 => Trouble::Refusal(page),
            2 => Trouble::Stop(page),
            _ => Trouble::Edit(page, Edit::draw(rng, self.records)),
        }
    }
}
