//! The one connection that writes, on a thread of its own.
//!
//! A commit costs a write to the disk, however little was written. So units that wait for their turn anyway share one:
//! each is undone alone if it fails, and none is answered before all are durable.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, Connection as _, TransactionManager as _};
use diesel::result::Error;
use diesel::{QueryResult, SqliteConnection};
use sync_core::ports::{StoreError, Tx};
use tokio::sync::oneshot;

use super::database::Database;
use crate::backend::panicked;
use crate::error::statement_failed;
use crate::transaction::SqliteTx;

/// After this long no further unit joins a transaction: those that are in it wait for its commit.
const JOIN_WITHIN: Duration = Duration::from_millis(5);
/// Maximum number of store transactions that share one of SQLite.
const MOST_UNITS: usize = 256;

/// How long the last handle waits until the file is closed: another process may hold the thread up.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Hands work to the thread that writes. The thread ends when all handles are gone.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: Arc<Jobs>,
    /// Units that are not answered yet.
    waiting: Arc<AtomicUsize>,
}

/// The way to the thread. Dropping it waits until the thread has closed the file: a program that ends before that leaves
/// what was written last in the write-ahead log, beside the file.
struct Jobs {
    /// Some until it is dropped.
    sender: Option<Sender<Job>>,
    thread: ThreadId,
    /// Ends when the thread has closed the file.
    closed: Mutex<Receiver<Infallible>>,
}

impl Drop for Jobs {
    fn drop(&mut self) {
        drop(self.sender.take());
        // A job may hold the last handle.
        if self.thread != std::thread::current().id() {
            let closed = self.closed.get_mut().unwrap_or_else(PoisonError::into_inner);
            // Closed, or not in time: there is nobody to tell.
            let _ = closed.recv_timeout(CLOSE_WITHIN);
        }
    }
}

/// Counts a unit as long as it is not answered.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(units: &Arc<AtomicUsize>) -> Self {
        units.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(units))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

enum Job {
    /// To be run in a transaction.
    Unit(Box<dyn Unit>),
    /// To be run by itself, outside of any transaction.
    Alone(Box<dyn Unit>),
    /// To look whether the files are still the same.
    Look,
}

/// Work that somebody waits for.
trait Unit: Send {
    /// Does it, and says whether it may be committed.
    fn run(&mut self, conn: &mut SqliteConnection) -> bool;

    /// Tells whoever waits, once it is known what became of the transaction.
    fn answer(self: Box<Self>, committed: Result<(), String>);
}

struct Waited<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
    _counted: Counted,
}

impl<F, T, E> Unit for Waited<F, T, E>
where
    F: FnOnce(&mut SqliteConnection) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, conn: &mut SqliteConnection) -> bool {
        // One that panics must not take the others with it.
        let run = |work: F| catch_unwind(AssertUnwindSafe(|| work(conn)));
        self.result =
            self.work.take().map(run).map(|ran| ran.unwrap_or_else(|panic| Err(panicked(&words(&*panic)).into())));
        self.result.as_ref().is_some_and(Result::is_ok)
    }

    fn answer(self: Box<Self>, committed: Result<(), String>) {
        let unavailable = |message| E::from(StoreError::Unavailable { message, source: None });
        let result = match (self.result, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(_)) | None, Err(error)) => Err(unavailable(error)),
            (None, Ok(())) => Err(unavailable("the unit was not run".to_owned())),
        };
        // Nobody may wait any more.
        drop(self.answer.send(result));
    }
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(conn: SqliteConnection, database: Arc<Database>) -> std::io::Result<Self> {
        let (jobs, waiting) = channel();
        let (closing, closed) = channel();
        let mut desk = WriterQueue { conn: Some(conn), database };
        let thread = std::thread::Builder::new().name("sqlite-writer".to_owned());
        let thread = thread.spawn(move || {
            desk.work(&waiting);
            drop(desk);
            drop(closing);
        })?;
        let jobs = Jobs { sender: Some(jobs), thread: thread.thread().id(), closed: Mutex::new(closed) };
        Ok(Self { jobs: Arc::new(jobs), waiting: Arc::default() })
    }

    /// Number of store transactions that are not answered yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Has the thread look whether the files are still the same.
    pub(super) fn look(&self) {
        // Without the thread there is nothing to be opened.
        if let Some(sender) = &self.jobs.sender {
            drop(sender.send(Job::Look));
        }
    }

    /// Runs a unit in a transaction, which it may share with others. It runs to its end even if nobody waits for it.
    pub(super) async fn transact<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        self.wait(Job::Unit, |conn| work(&mut SqliteTx::new(conn))).await
    }

    /// Runs `work` by itself.
    pub(super) async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        self.wait(Job::Alone, |conn| Ok(work(conn))).await
    }

    async fn wait<T, E>(
        &self,
        job: fn(Box<dyn Unit>) -> Job,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let gone =
            || E::from(StoreError::Failed { message: "the thread that writes is gone".to_owned(), source: None });
        let (answer, answered) = oneshot::channel();
        let unit = Waited { work: Some(work), result: None, answer, _counted: Counted::new(&self.waiting) };
        let sender = self.jobs.sender.as_ref().ok_or_else(gone)?;
        sender.send(job(Box::new(unit))).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Where the work is done.
struct WriterQueue {
    /// None after a failure that left it in the midst of a transaction, and while there is no file to be used.
    conn: Option<SqliteConnection>,
    database: Arc<Database>,
}

impl WriterQueue {
    fn work(&mut self, jobs: &Receiver<Job>) {
        let mut next = jobs.recv().ok();
        while let Some(job) = next {
            let opened = self.database.renew(&mut self.conn);
            next = match (opened.map(|()| self.conn.as_mut()), job) {
                (Err(error), Job::Unit(unit) | Job::Alone(unit)) => {
                    unit.answer(Err(error));
                    None
                }
                (Ok(Some(conn)), Job::Alone(mut unit)) => {
                    unit.run(conn);
                    unit.answer(Ok(()));
                    None
                }
                (Ok(Some(conn)), Job::Unit(unit)) => share(conn, unit, jobs, &self.database),
                (Ok(None), Job::Unit(unit) | Job::Alone(unit)) => {
                    unit.answer(Err("there is no connection".to_owned()));
                    None
                }
                (_, Job::Look) => None,
            };
            self.conn.take_if(is_broken);
            next = next.or_else(|| jobs.recv().ok());
        }
    }
}

/// Runs a unit and those that wait behind it in one transaction. Returns a job that has to wait for its end.
fn share(conn: &mut SqliteConnection, first: Box<dyn Unit>, jobs: &Receiver<Job>, database: &Database) -> Option<Job> {
    let began = Instant::now();
    let (mut units, mut later) = (vec![first], None);
    // Immediate: a transaction that begins by reading could not wait for another process that writes later.
    let committed = conn.immediate_transaction(|conn| {
        // The first needs no savepoint, which has its price: if it fails, nothing else has happened yet.
        if !units.iter_mut().all(|unit| unit.run(conn)) {
            return Err(Error::RollbackTransaction);
        }
        while units.len() < MOST_UNITS && began.elapsed() < JOIN_WITHIN {
            match jobs.try_recv() {
                Ok(Job::Unit(mut unit)) => {
                    let ran = in_savepoint(conn, unit.as_mut());
                    units.push(unit);
                    ran?;
                }
                Ok(Job::Look) => {}
                Ok(alone @ Job::Alone(_)) => {
                    later = Some(alone);
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(())
    });
    let committed = committed.map_err(|error| statement_failed("transaction", error).to_string());
    // Commits to a file that was replaced meanwhile are lost.
    let committed = committed.and_then(|()| database.check());
    for unit in units {
        unit.answer(committed.clone());
    }
    later
}

/// Runs a unit so that it can be undone alone. Fails if the transaction around it is lost.
fn in_savepoint(conn: &mut SqliteConnection, unit: &mut dyn Unit) -> QueryResult<()> {
    let ran = conn.transaction(|conn| if unit.run(conn) { Ok(()) } else { Err(Error::RollbackTransaction) });
    match ran {
        Ok(()) | Err(Error::RollbackTransaction) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a failure left the connection in the midst of a transaction.
pub(super) fn is_broken(conn: &mut SqliteConnection) -> bool {
    AnsiTransactionManager::is_broken_transaction_manager(conn)
}

/// Message of a panic.
fn words(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref().copied()).unwrap_or("it panicked")
}
