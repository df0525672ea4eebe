use std::fmt;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Something that fails, or happens at a bad time.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// All faults.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the name for reports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

faults! {
    /// A record changes at Kombo while a list is being fetched.
    EditDuringFetch = "edit during a fetch",
    /// A record changes at Kombo while a transaction runs.
    EditDuringTransaction = "edit during a transaction of work",
    /// A change becomes visible some time after its `changed_at`.
    EditLate = "edit visible late",
    /// A record changes without a trace.
    EditSilent = "edit without a trace",
    /// A record is gone without a trace.
    Purge = "record gone without a trace",
    /// A webhook never arrives.
    WebhookLost = "webhook lost",
    /// A webhook arrives late.
    WebhookLate = "webhook late",
    /// A webhook arrives twice.
    WebhookTwice = "webhook twice",
    /// A webhook arrives after one that was sent later.
    WebhookOvertaken = "webhook out of order",
    /// Somebody else sends a webhook.
    WebhookForged = "webhook forged",
    /// A page takes seconds.
    PageSlow = "page slow",
    /// A page takes longer than a lease lasts.
    PageVerySlow = "page slower than a lease",
    /// A record cannot be read.
    RecordUnreadable = "record unreadable",
    /// Neither a record nor its id can be read.
    RecordNameless = "record unreadable with its id",
    /// A whole page cannot be read.
    PageUnintelligible = "page unintelligible",
    /// A list ends without a last page.
    ListTruncated = "list truncated",
    /// Kombo answers 429.
    RateLimited = "answer 429",
    /// A request exceeds Kombo's limit of the key.
    LimitExceeded = "rate limit exceeded",
    /// The receiver of changes does not accept a batch.
    DeliveryFailed = "delivery failed",
    /// The receiver accepts a batch, but its answer is lost.
    DeliveryUnanswered = "delivery without an answer",
    /// Old entries are deleted.
    EntriesTrimmed = "old entries deleted",
    /// Kombo fails.
    ServerError = "answer 5xx",
    /// An answer has no `Date`.
    DateMissing = "answer without a date",
    /// Page cursors expire.
    CursorsExpired = "page cursors expired",
    /// The key is rejected for a while.
    KeyRejected = "key rejected",
    /// A model is not offered for a while.
    ModelUnavailable = "model unavailable",
    /// An integration is refused, unknown or not set up for a while.
    IntegrationRefused = "integration refused",
    /// The requests of one integration are refused with 401 or 403, the others are not.
    OneDenied = "401 or 403 of one integration",
    /// The requests of one integration get 429, the others do not.
    OneRateLimited = "429 of one integration",
    /// The requests of one integration get no answer, the others do.
    OneSilent = "one integration without answers",
    /// Each answer to the requests of one integration is a server error.
    OneDown = "one integration with server errors",
    /// A record cannot be read for a while.
    RecordSpoiled = "record unreadable for a while",
    /// The database refuses a row because of a value.
    RowRefused = "row refused by the database",
    /// A list ends early, as if that was its last page.
    ListCut = "list cut without a trace",
    /// A record comes without its members.
    MembersCut = "record without its members",
    /// A person edits a value.
    HandValue = "value edited by hand",
    /// A person sets `removed_at`, or clears it.
    HandRemoved = "removed_at edited by hand",
    /// A person changes `synced_at`.
    HandSynced = "synced_at edited by hand",
    /// A person inserts a row.
    HandInserted = "row inserted by hand",
    /// One integration keeps failing while the others are observed.
    FailsAlone = "integration that keeps failing",
    /// A person pauses an integration for a while.
    Paused = "integration paused by a person",
    /// The configuration leaves an endpoint out for a while.
    EndpointOff = "endpoint switched off and on",
    /// Deleted records keep their values.
    TombstonesKept = "tombstones kept",
    /// No answer has a `Date`.
    Undated = "no answer with a date",
    /// Kombo's clock differs from ours.
    KomboSkewed = "Kombo's clock off by a minute or more",
    /// The replicas' clocks differ.
    ReplicaSkewed = "a replica's clock off",
    /// Our clocks jump ahead.
    ClockAhead = "clock jumps ahead",
    /// Our clocks jump back.
    ClockBack = "clock jumps back",
    /// The clock of a process is hours or days ahead, and later corrected.
    ClockFarAhead = "clock ahead by hours or days",
    /// The clock of a process is hours or days behind, and later corrected.
    ClockFarBehind = "clock behind by hours or days",
    /// A process dies at any point.
    CrashAnywhere = "crash at any moment",
    /// A process dies before a transaction is committed.
    CrashBeforeCommit = "crash before a commit",
    /// A process dies after a commit, before it receives the result.
    CrashAfterCommit = "crash after a commit",
    /// A process is stopped, and started again.
    Restart = "restart",
    /// A process is frozen for longer than a lease lasts.
    ProcessFrozen = "process frozen past its lease",
    /// A transaction takes longer than a lease lasts.
    TransactionStalled = "transaction of work slower than a lease",
    /// A statement fails, and its transaction is rolled back.
    StatementFailed = "statement failed",
    /// A transaction is committed, but its caller gets an error.
    AnswerLost = "commit's answer lost",
    /// The database crashes and loses the notes of full fetches, and commits that may be lost.
    DatabaseCrash = "crash of the database",
}

/// Counts of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Ended runs, with any outcome.
    pub runs: u64,
    /// Completed runs.
    pub completed: u64,
    /// Changes at Kombo.
    pub edits: u64,
    /// Entries of the change log.
    pub changes: u64,
    /// Transactions.
    pub transactions: u64,
    /// Pages and look-ups answered.
    pub pages: u64,
    /// Leases that another worker took over.
    pub leases_lost: u64,
    /// Number of complete checks.
    pub checks: u64,
    /// The longest wait of any request, in seconds.
    pub longest_wait: u64,
    /// The longest wait of a due request, in seconds.
    pub longest_due: u64,
    /// The longest time until a change was in the mirror while another integration failed, in seconds.
    pub longest_beside: u64,
    /// Virtual time in milliseconds.
    pub virtual_millis: u64,
    faults: Vec<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            runs: 0,
            completed: 0,
            edits: 0,
            changes: 0,
            transactions: 0,
            pages: 0,
            leases_lost: 0,
            checks: 0,
            longest_wait: 0,
            longest_due: 0,
            longest_beside: 0,
            virtual_millis: 0,
            faults: vec![0; Fault::ALL.len()],
        }
    }
}

impl Tally {
    pub(crate) fn count(&mut self, fault: Fault) {
        let place = Fault::ALL.iter().position(|known| *known == fault);
        if let Some(number) = place.and_then(|place| self.faults.get_mut(place)) {
            *number += 1;
        }
    }

    /// Returns the number of occurrences of each fault.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, u64)> + '_ {
        Fault::ALL.iter().copied().zip(self.faults.iter().copied())
    }

    /// Adds the counts of another simulation.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.completed += other.completed;
        self.edits += other.edits;
        self.changes += other.changes;
        self.transactions += other.transactions;
        self.pages += other.pages;
        self.leases_lost += other.leases_lost;
        self.checks += other.checks;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.longest_due = self.longest_due.max(other.longest_due);
        self.longest_beside = self.longest_beside.max(other.longest_beside);
        self.virtual_millis += other.virtual_millis;
        for (mine, others) in self.faults.iter_mut().zip(&other.faults) {
            *mine += others;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.virtual_millis / 3_600_000;
        writeln!(f, "{hours:>12} hours of virtual time")?;
        for (number, what) in [
            (self.edits, "changes at Kombo"),
            (self.pages, "pages and look-ups"),
            (self.transactions, "transactions of work"),
            (self.runs, "runs ended"),
            (self.completed, "of them completed"),
            (self.changes, "entries of the change log"),
            (self.leases_lost, "leases lost"),
            (self.checks, "checks of what must hold"),
            (self.longest_wait, "seconds: the longest wait of a request"),
            (self.longest_due, "seconds: the longest wait of a request that was due"),
            (
                self.longest_beside,
                "seconds: the longest until a change was in the mirror while another integration failed",
            ),
        ] {
            writeln!(f, "{number:>12} {what}")?;
        }
        for (fault, number) in self.faults() {
            writeln!(f, "{number:>12} × {}", fault.as_str())?;
        }
        Ok(())
    }
}
