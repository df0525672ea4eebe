//! The only connection that writes, on its own thread.
//!
//! A commit costs a write to the disk, regardless of its size. Transactions that are waiting therefore share one
//! commit. Each is undone alone if it fails, and none is answered before all are durable.

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

/// After this long no other store transaction joins: those that already ran wait for the commit.
const JOIN_WITHIN: Duration = Duration::from_millis(5);
/// Maximum number of store transactions that share one of SQLite.
const MOST_UNITS: usize = 256;

/// Time limit of the last handle for waiting until the file is closed. Another process may delay the thread.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Sends work to the thread that writes. The thread ends when all handles are gone.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: Arc<Jobs>,
    /// Number of store transactions that are not answered yet.
    waiting: Arc<AtomicUsize>,
}

/// The channel to the thread. Its drop waits until the thread has closed the file; otherwise a program that ends would
/// leave its last writes in the write-ahead log next to the file.
struct Jobs {
    /// `Some` until the drop.
    sender: Option<Sender<Job>>,
    thread: ThreadId,
    /// Disconnected when the thread has closed the file.
    closed: Mutex<Receiver<Infallible>>,
}

impl Drop for Jobs {
    fn drop(&mut self) {
        drop(self.sender.take());
        // A job may own the last handle.
        if self.thread != std::thread::current().id() {
            let closed = self.closed.get_mut().unwrap_or_else(PoisonError::into_inner);
            // Either the file was closed or the time is over. Nobody needs the result.
            let _ = closed.recv_timeout(CLOSE_WITHIN);
        }
    }
}

/// Counts a store transaction until it is answered.
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
    /// Runs in a transaction.
    Unit(Box<dyn Unit>),
    /// Runs alone, outside of any transaction.
    Alone(Box<dyn Unit>),
    /// Checks whether the files are still the same.
    Look,
}

/// Work with a waiting caller.
trait Unit: Send {
    /// Runs the work, and returns whether it may be committed.
    fn run(&mut self, conn: &mut SqliteConnection) -> bool;

    /// Answers the caller when the result of the transaction is known.
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
        // A panic must not affect the other store transactions.
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
        // The caller may have stopped waiting.
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

    /// Makes the thread check whether the files are still the same.
    pub(super) fn look(&self) {
        // Without the thread there is nothing to open.
        if let Some(sender) = &self.jobs.sender {
            drop(sender.send(Job::Look));
        }
    }

    /// Runs work in a transaction, which others may share. It runs to its end even if nobody waits for it.
    pub(super) async fn transact<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        self.wait(Job::Unit, |conn| work(&mut SqliteTx::new(conn))).await
    }

    /// Runs `work` alone, outside of any transaction.
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

/// The writer's state on its thread.
struct WriterQueue {
    /// `None` after a failure that left an open transaction, and while there is no usable file.
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

/// Runs `first` and the jobs behind it in one transaction. Returns a job that has to wait for the end of this
/// transaction.
fn share(conn: &mut SqliteConnection, first: Box<dyn Unit>, jobs: &Receiver<Job>, database: &Database) -> Option<Job> {
    let began = Instant::now();
    let (mut units, mut later) = (vec![first], None);
    // Immediate: if a transaction begins with a read, it cannot wait for another process when it writes later.
    let committed = conn.immediate_transaction(|conn| {
        // The first needs no savepoint, which would cost time: if it fails, there is nothing else to keep.
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
    // Commits to a file that has been replaced are lost.
    let committed = committed.and_then(|()| database.check());
    for unit in units {
        unit.answer(committed.clone());
    }
    later
}

/// Runs work so that it can be undone alone. Fails if the surrounding transaction is lost.
fn in_savepoint(conn: &mut SqliteConnection, unit: &mut dyn Unit) -> QueryResult<()> {
    let ran = conn.transaction(|conn| if unit.run(conn) { Ok(()) } else { Err(Error::RollbackTransaction) });
    match ran {
        Ok(()) | Err(Error::RollbackTransaction) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a failure left the connection in an open transaction.
pub(super) fn is_broken(conn: &mut SqliteConnection) -> bool {
    AnsiTransactionManager::is_broken_transaction_manager(conn)
}

/// Message of a panic.
fn words(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref().copied()).unwrap_or("it panicked")
}
