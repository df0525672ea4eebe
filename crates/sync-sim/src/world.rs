use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use kombo_model::{IntegrationId, Timestamp};
use sync_core::ports::Clock;
use sync_testkit::{FakeKombo, ManualClock, MemoryStore, Paging};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::checks::Checks;
use crate::manner::Manner;
use crate::mutant::Mutant;
use crate::process::Process;
use crate::quota::Quota;
use crate::receiver::Received;
use crate::tally::{Fault, Tally};
use crate::trouble::Troubles;

/// The state that the parts of a simulation share. Only one thread uses it, so no lock is ever waited for.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) manner: Manner,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) store: MemoryStore,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) failed: CancellationToken,
    /// Whether faults are on.
    pub(crate) chaos: AtomicBool,
    pub(crate) key_rejected: AtomicBool,
    /// The time until which the key was last rejected, if ever.
    key_rejected_until: Mutex<Option<Duration>>,
    /// Whether the clocks of new processes all agree, even if they are wrong.
    pub(crate) clocks_agree: AtomicBool,
    /// Milliseconds by which all our clocks are wrong.
    pub(crate) jumped: AtomicI64,
    pub(crate) fetching: AtomicUsize,
    pub(crate) in_transactions: AtomicUsize,
    /// Number of webhooks in transit.
    pub(crate) under_way: AtomicUsize,
    pub(crate) processes: Mutex<Vec<Arc<Process>>>,
    pub(crate) quota: Quota,
    pub(crate) troubles: Mutex<Troubles>,
    received: Mutex<Received>,
    started: Instant,
    dice: Mutex<Rng>,
    tally: Mutex<Tally>,
    trace: Mutex<Trace>,
    failure: Mutex<Option<String>>,
    checks: Mutex<Checks>,
}

/// A customer's integration, with its own Kombo.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) id: IntegrationId,
    pub(crate) kombo: FakeKombo,
    pub(crate) clock: ManualClock,
}

struct Trace {
    hash: u64,
    shown: bool,
}

impl World {
    pub(crate) fn new(seed: u64, shown: bool, mutant: Option<Mutant>) -> Arc<Self> {
        let mut rng = Rng::with_seed(seed);
        let manner = Manner::draw(&mut rng);
        Self::of(seed, manner, rng, shown, mutant)
    }

    pub(crate) fn of(seed: u64, manner: Manner, rng: Rng, shown: bool, mutant: Option<Mutant>) -> Arc<Self> {
        let tenant = |number| {
            let clock = ManualClock::default();
            let kombo = FakeKombo::new(clock.clone());
            kombo.configure(|settings| {
                settings.nesting = manner.nesting;
                settings.page_size = manner.page_size;
                settings.skew_millis = manner.kombo_skew;
                settings.latency = Duration::ZERO;
                settings.paging = Paging::After;
            });
            Tenant { id: IntegrationId::from(format!("sim:{number}")), kombo, clock }
        };
        let tenants: Vec<Tenant> = (0..manner.tenants).map(tenant).collect();
        let world = Self {
            seed,
            store: MemoryStore::new(),
            tenants,
            failed: CancellationToken::new(),
            chaos: AtomicBool::new(false),
            key_rejected: AtomicBool::new(false),
            key_rejected_until: Mutex::default(),
            clocks_agree: AtomicBool::new(false),
            jumped: AtomicI64::new(0),
            fetching: AtomicUsize::new(0),
            in_transactions: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            processes: Mutex::default(),
            quota: Quota::default(),
            troubles: Mutex::default(),
            received: Mutex::default(),
            started: Instant::now(),
            dice: Mutex::new(rng),
            tally: Mutex::default(),
            trace: Mutex::new(Trace { hash: 0xcbf2_9ce4_8422_2325, shown }),
            failure: Mutex::default(),
            checks: Mutex::default(),
            manner,
            mutant,
        };
        world.log(format_args!("{:?}", world.manner));
        Arc::new(world)
    }

    pub(crate) fn dice(&self) -> MutexGuard<'_, Rng> {
        locked(&self.dice)
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        locked(&self.tally)
    }

    pub(crate) fn checks(&self) -> MutexGuard<'_, Checks> {
        locked(&self.checks)
    }

    pub(crate) fn received(&self) -> MutexGuard<'_, Received> {
        locked(&self.received)
    }

    /// Virtual time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the time of a correct clock.
    pub(crate) fn true_now(&self) -> Timestamp {
        ManualClock::default().now().saturating_add(self.elapsed())
    }

    /// Makes Kombo reject the key.
    pub(crate) fn reject_key(&self) {
        self.key_rejected.store(true, Ordering::SeqCst);
    }

    /// Makes Kombo accept the key again.
    pub(crate) fn accept_key(&self) {
        if self.key_rejected.swap(false, Ordering::SeqCst) {
            *locked(&self.key_rejected_until) = Some(self.elapsed());
        }
    }

    /// Whether the key is rejected, or was at the time of an answer that may arrive only now.
    pub(crate) fn key_was_rejected(&self) -> bool {
        let late = |until: Duration| self.elapsed() < until + Duration::from_secs(600);
        self.key_rejected.load(Ordering::SeqCst) || locked(&self.key_rejected_until).is_some_and(late)
    }

    /// Records how many seconds a change took while another integration failed.
    pub(crate) fn note_beside(&self, seconds: u64) {
        let mut tally = self.tally();
        tally.longest_beside = tally.longest_beside.max(seconds);
    }

    /// Returns Kombo's time.
    pub(crate) fn kombo_now(&self) -> Timestamp {
        shifted(self.true_now(), self.manner.kombo_skew)
    }

    /// Whether a fault with this rate, in thousandths, happens now.
    pub(crate) fn strikes(&self, rate: u32) -> bool {
        rate > 0 && self.chaos.load(Ordering::SeqCst) && self.dice().u32(0..1_000) < rate
    }

    /// Like [`World::strikes`], and counts the fault.
    pub(crate) fn meets(&self, fault: Fault, rate: u32) -> bool {
        let met = self.strikes(rate);
        if met {
            self.count(fault);
        }
        met
    }

    pub(crate) fn count(&self, fault: Fault) {
        self.tally().count(fault);
        self.log(format_args!("! {}", fault.as_str()));
    }

    /// Returns a time between the two; short times are more frequent.
    pub(crate) fn between(&self, least: Duration, most: Duration) -> Duration {
        let mut dice = self.dice();
        let part = dice.f64();
        least + most.saturating_sub(least).mul_f64(part * part)
    }

    pub(crate) fn log(&self, line: fmt::Arguments<'_>) {
        let millis = self.elapsed().as_millis();
        let line = format!("{:>10}.{:03} {line}", millis / 1_000, millis % 1_000);
        let mut trace = locked(&self.trace);
        for byte in line.bytes() {
            trace.hash = (trace.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if trace.shown {
            eprintln!("{line}");
        }
    }

    /// Returns a digest of all log lines.
    pub(crate) fn trace_hash(&self) -> u64 {
        locked(&self.trace).hash
    }

    /// Reports a violated invariant, which ends the simulation.
    pub(crate) fn fail(&self, what: String) {
        self.log(format_args!("FAILED: {what}"));
        locked(&self.failure).get_or_insert(what);
        self.failed.cancel();
    }

    pub(crate) fn failure(&self) -> Option<String> {
        locked(&self.failure).clone()
    }

    pub(crate) fn processes(&self) -> MutexGuard<'_, Vec<Arc<Process>>> {
        locked(&self.processes)
    }

    pub(crate) fn tenant(&self, id: &IntegrationId) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.id == *id)
    }

    /// Sets Kombo's clocks to the present time.
    pub(crate) fn wind(&self) {
        for tenant in &self.tenants {
            tenant.clock.set(self.true_now());
        }
    }
}

/// The clock of a process.
#[derive(Debug, Clone)]
pub(crate) struct SimClock {
    pub(crate) world: Arc<World>,
    pub(crate) skew: i64,
    /// Milliseconds by which it is temporarily wrong.
    pub(crate) far_off: Arc<AtomicI64>,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        shifted(
            self.world.true_now(),
            self.skew + self.world.jumped.load(Ordering::SeqCst) + self.far_off.load(Ordering::SeqCst),
        )
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("manner", &self.manner).finish_non_exhaustive()
    }
}

pub(crate) fn shifted(time: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(time.unix_millis().saturating_add(millis)).unwrap_or(time)
}

pub(crate) fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
