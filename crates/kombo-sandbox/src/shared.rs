//! The state behind the socket, shared by requests, the control endpoint and tests.

mod changes;
mod hooks;
mod writes;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};
use tokio::{runtime::Handle, sync::watch};

use crate::{
    Behaviour, Delivery, GeneratorConfig, Id, Integration, Latency, Model, Mutation, RateLimit, SandboxClock,
    SandboxConfig, SandboxError, Stamp, WebhookConfig,
    action::{QueuedSync, Task},
    cursor::Position,
    fault::FaultQueue,
    generate::{ORGANISATIONS, generate},
    rate::RateWindow,
    request_log::RequestLog,
};

/// The id of every sandbox's first integration.
pub const FIRST_INTEGRATION: &str = "sandbox:7C9M5sXAQx2cNMpVHLojrFpL";

/// The data and its behaviour. Tests may change all of it while the sandbox runs.
#[derive(Debug)]
pub struct State {
    /// The integrations by id.
    pub integrations: BTreeMap<String, Integration>,
    /// Behaviour that the contract leaves open.
    pub behaviour: Behaviour,
    /// The latency of answers.
    pub latency: Latency,
    /// The rate limit.
    pub rate_limit: RateLimit,
    /// The key that requests must carry.
    pub api_key: String,
    /// Mutations that are done but not yet visible because of the commit lag.
    pub(crate) uncommitted: Vec<Uncommitted>,
    /// Upserts of courses, by task id.
    pub(crate) tasks: BTreeMap<String, Task>,
    /// Queued forced syncs, by integration.
    pub(crate) syncs: BTreeMap<String, QueuedSync>,
}

impl State {
    /// Returns an integration for reading.
    pub fn integration(&self, id: &str) -> Result<&Integration, SandboxError> {
        self.integrations.get(id).ok_or_else(|| SandboxError::NoIntegration(id.to_owned()))
    }

    /// Returns an integration for changes.
    pub fn integration_mut(&mut self, id: &str) -> Result<&mut Integration, SandboxError> {
        self.integrations.get_mut(id).ok_or_else(|| SandboxError::NoIntegration(id.to_owned()))
    }
}

/// A mutation that becomes visible later.
#[derive(Clone, Debug)]
pub(crate) struct Uncommitted {
    pub(crate) visible_at: Stamp,
    pub(crate) at: Stamp,
    pub(crate) integration: String,
    pub(crate) mutation: Mutation,
}

/// The state that changes with every request.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) rng: StdRng,
    pub(crate) served: u64,
    pub(crate) cursor_generation: u64,
    pub(crate) window: RateWindow,
    pub(crate) faults: FaultQueue,
    pub(crate) log: RequestLog,
}

/// Webhooks in transit and finished deliveries.
#[derive(Debug)]
pub(crate) struct Hooks {
    pub(crate) config: WebhookConfig,
    pub(crate) rng: StdRng,
    /// Models that changed since the last `data-changed`, by integration.
    pub(crate) unannounced: BTreeMap<String, BTreeSet<Model>>,
    pub(crate) deliveries: Vec<Delivery>,
}

/// Rendered pages by integration, fingerprint of the filters, position and page size.
pub(crate) type PageCache = HashMap<(String, u64, Position, usize), CachedPage>;

/// A rendered page with the version of the integration that it shows.
#[derive(Clone, Debug)]
pub(crate) struct CachedPage {
    pub(crate) version: u64,
    pub(crate) body: Bytes,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: SandboxClock,
    pub(crate) runtime: Handle,
    pub(crate) prerender: bool,
    pub(crate) pages: Mutex<PageCache>,
    pub(crate) on_the_way: watch::Sender<usize>,
    state: RwLock<State>,
    traffic: Mutex<Traffic>,
    hooks: Mutex<Hooks>,
}

impl Shared {
    pub(crate) fn new(config: SandboxConfig, runtime: Handle) -> Self {
        let mut rng = StdRng::seed_from_u64(config.seed);
        let clock = SandboxClock::new(config.clock);
        let mut integrations = BTreeMap::new();
        for (number, organisation) in (0..config.integrations).zip(ORGANISATIONS.iter().cycle()) {
            let id = integration_id(number, &mut rng);
            let offset = u64::try_from(number).unwrap_or_default();
            let seed = config.generator.seed.wrapping_add(offset.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let generator = GeneratorConfig { seed, ..config.generator.clone() };
            let tables = generate(&generator);
            let integration = Integration::new(&id, organisation, generator.category, generator.until, tables);
            integrations.insert(id, integration);
        }
        Self {
            clock,
            runtime,
            prerender: config.prerender,
            pages: Mutex::default(),
            on_the_way: watch::Sender::new(0),
            state: RwLock::new(State {
                integrations,
                behaviour: config.behaviour,
                latency: config.latency,
                rate_limit: config.rate_limit,
                api_key: config.api_key,
                uncommitted: Vec::new(),
                tasks: BTreeMap::new(),
                syncs: BTreeMap::new(),
            }),
            hooks: Mutex::new(Hooks {
                config: config.webhooks,
                rng: StdRng::seed_from_u64(config.seed ^ 1),
                unannounced: BTreeMap::new(),
                deliveries: Vec::new(),
            }),
            traffic: Mutex::new(Traffic {
                rng,
                served: 0,
                cursor_generation: 0,
                window: RateWindow::default(),
                faults: FaultQueue::default(),
                log: RequestLog::new(config.request_log),
            }),
        }
    }

    // A test that panics while holding a lock has already failed, so others may read the state.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hooks(&self) -> MutexGuard<'_, Hooks> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pages(&self) -> MutexGuard<'_, PageCache> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn integration_id(number: usize, rng: &mut StdRng) -> String {
    if number == 0 { FIRST_INTEGRATION.to_owned() } else { format!("sandbox:{}", Id::random(rng)) }
}
