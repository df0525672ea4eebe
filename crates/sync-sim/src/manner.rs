use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use kombo_model::Endpoint;
use sync_core::pull::SyncPolicy;
use sync_core::rows::compare::Tombstones;
use sync_core::webhooks::planner::{PlanMode, PlanPolicy};
use sync_testkit::Nesting;

/// The settings of a simulation. About half of all simulations leave a given fault out, so that the remaining faults
/// meet in many combinations.
#[allow(clippy::struct_excessive_bools, reason = "the switches are independent of each other")]
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    pub(crate) tenants: usize,
    pub(crate) replicas: usize,
    pub(crate) workers: usize,
    pub(crate) policy: SyncPolicy,
    pub(crate) poll_every: Option<Duration>,
    /// Retention of old entries; zero keeps them forever.
    pub(crate) keep_for: Duration,
    /// Whether changes are delivered.
    pub(crate) delivers: bool,
    pub(crate) batch_entries: usize,
    pub(crate) give_up_after: Duration,
    /// The configured pace; zero for Kombo's limit only.
    pub(crate) per_minute: u32,
    /// Number of requests per minute that Kombo allows.
    pub(crate) kombo_limit: Option<u64>,
    pub(crate) records: u8,
    pub(crate) page_size: usize,
    pub(crate) nesting: Nesting,
    pub(crate) kombo_skew: i64,
    /// Whether our clocks differ and jump.
    pub(crate) wild_clocks: bool,
    /// Whether no answer has a `Date` while faults are on.
    pub(crate) undated: bool,
    /// Whether a new process can detect that the previous one is gone.
    pub(crate) same_machine: bool,
    /// Maximum time between two steps.
    pub(crate) pace: Duration,
    pub(crate) rates: Rates,
}

/// Rates of faults, in thousandths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) late: u32,
    pub(crate) purge: u32,
    pub(crate) webhook_lost: u32,
    pub(crate) webhook_late: u32,
    pub(crate) webhook_twice: u32,
    pub(crate) webhook_forged: u32,
    pub(crate) slow: u32,
    pub(crate) very_slow: u32,
    pub(crate) unreadable: u32,
    pub(crate) nameless: u32,
    pub(crate) unintelligible: u32,
    pub(crate) truncated: u32,
    pub(crate) rate_limited: u32,
    pub(crate) server_error: u32,
    pub(crate) date_missing: u32,
    pub(crate) cursors: u32,
    pub(crate) key: u32,
    pub(crate) model: u32,
    pub(crate) integration: u32,
    pub(crate) jump: u32,
    pub(crate) far_off: u32,
    pub(crate) crash: u32,
    pub(crate) crash_before: u32,
    pub(crate) crash_after: u32,
    pub(crate) restart: u32,
    pub(crate) freeze: u32,
    pub(crate) stall: u32,
    pub(crate) statement: u32,
    pub(crate) answer: u32,
    pub(crate) database: u32,
    pub(crate) receiver: u32,
    pub(crate) full: u32,
    pub(crate) hand: u32,
    pub(crate) spoiled: u32,
    pub(crate) refused: u32,
    pub(crate) cut: u32,
    pub(crate) members: u32,
    pub(crate) alone: u32,
    pub(crate) paused: u32,
    pub(crate) switched: u32,
}

impl Rates {
    fn draw(rng: &mut Rng) -> Self {
        let mut often = |most: u32| if rng.bool() { 0 } else { rng.u32(1..=most) };
        Self {
            late: often(300),
            purge: often(80),
            webhook_lost: often(400),
            webhook_late: often(500),
            webhook_twice: often(300),
            webhook_forged: often(60),
            slow: often(200),
            very_slow: often(40),
            unreadable: often(8) / 2,
            nameless: often(4) / 2,
            unintelligible: often(30),
            truncated: often(30),
            rate_limited: often(60),
            server_error: often(80),
            date_missing: often(200),
            cursors: often(60),
            key: often(25),
            model: often(25),
            integration: often(25),
            jump: often(60),
            far_off: often(60),
            crash: often(40),
            crash_before: often(10),
            crash_after: often(10),
            restart: often(25),
            freeze: often(40),
            stall: often(10),
            statement: often(20),
            answer: often(15),
            database: often(30),
            receiver: often(300),
            full: often(150),
            hand: often(60),
            spoiled: often(40),
            refused: often(40),
            cut: often(15),
            members: often(10),
            alone: often(50),
            paused: often(30),
            switched: often(25),
        }
    }
}

impl Manner {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let mut endpoints = BTreeSet::from(Endpoint::LMS);
        if rng.bool() {
            endpoints.remove(&Endpoint::LmsSkills);
        }
        let seconds = Duration::from_secs;
        let mut one_of = |choices: [u64; 4]| rng.choice(choices).unwrap_or_default();
        let mut policy = SyncPolicy::new(endpoints.clone());
        policy.plan = PlanPolicy {
            endpoints,
            mode: PlanMode::Planned,
            blind_full_min_interval: seconds(one_of([30, 60, 300, 600])),
        };
        policy.overlap = seconds(one_of([5, 10, 30, 120]));
        policy.lease_ttl = seconds(one_of([6, 10, 30, 30]));
        policy.change_values = true;
        policy.batch_records = usize::try_from(one_of([1, 1, 10, 5_000])).unwrap_or(1);
        policy.ids_per_lookup = usize::try_from(one_of([1, 3, 100, 100])).unwrap_or(1);
        policy.backoff.first = seconds(5);
        policy.backoff.most = seconds(120);
        policy.backoff.setup_pending = seconds(120);
        policy.backoff.lasting = seconds(300);
        let poll_every = Some(seconds(one_of([0, 0, 120, 600]))).filter(|every| !every.is_zero());
        let pace = seconds(one_of([1, 5, 20, 30]));
        if rng.u8(0..4) == 0 {
            policy.plan.mode = PlanMode::Simple;
        }
        if rng.u8(0..3) == 0 {
            policy.tombstones = Tombstones::Keep;
        }
        Self {
            tenants: rng.usize(1..=2),
            replicas: rng.usize(1..=3),
            workers: rng.usize(1..=4),
            policy,
            poll_every,
            keep_for: seconds(rng.choice([0, 600, 3_600, 86_400]).unwrap_or_default()),
            delivers: rng.bool(),
            batch_entries: rng.usize(1..=5),
            give_up_after: seconds(rng.choice([60, 600, 3_600]).unwrap_or(600)),
            per_minute: rng.choice([0, 0, 300, 1_200]).unwrap_or_default(),
            kombo_limit: rng.choice([None, Some(60), Some(300), Some(1_500)]).flatten(),
            records: rng.u8(4..=12),
            page_size: rng.usize(1..=6),
            nesting: if rng.bool() { Nesting::Guide } else { Nesting::Reference },
            kombo_skew: if rng.bool() { 0 } else { rng.i64(-600_000..600_000) },
            wild_clocks: rng.u8(0..5) == 0,
            undated: rng.u8(0..8) == 0,
            same_machine: rng.bool(),
            pace,
            rates: Rates::draw(rng),
        }
    }
}
