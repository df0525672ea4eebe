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
const MOST_TRANSACTIONS: usize = 256;

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
    fn new(transactions: &Arc<AtomicUsize>) -> Self {
        transactions.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(transactions))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

enum Job {
    /// Runs in a transaction.
    Transaction(Box<dyn Transaction>),
    /// Runs alone, outside of any transaction.
    Alone(Box<dyn Transaction>),
    /// Checks whether the files are still the same.
    Look,
}

/// Work with a waiting caller.
trait Transaction: Send {
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

impl<F, T, E> Transaction for Waited<F, T, E>
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
            (None, Ok(())) => Err(unavailable("the transaction was not run".to_owned())),
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
        self.wait(Job::Transaction, |conn| work(&mut SqliteTx::new(conn))).await
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
        job: fn(Box<dyn Transaction>) -> Job,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let gone =
            || E::from(StoreError::Failed { message: "the thread that writes is gone".to_owned(), source: None });
        let (answer, answered) = oneshot::channel();
        let transaction = Waited { work: Some(work), result: None, answer, _counted: Counted::new(&self.waiting) };
        let sender = self.jobs.sender.as_ref().ok_or_else(gone)?;
        sender.send(job(Box::new(transaction))).map_err(|_| gone())?;
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
                (Err(error), Job::Transaction(transaction) | Job::Alone(transaction)) => {
                    transaction.answer(Err(error));
                    None
                }
                (Ok(Some(conn)), Job::Alone(mut transaction)) => {
                    transaction.run(conn);
                    transaction.answer(Ok(()));
                    None
                }
                (Ok(Some(conn)), Job::Transaction(transaction)) => share(conn, transaction, jobs, &self.database),
                (Ok(None), Job::Transaction(transaction) | Job::Alone(transaction)) => {
                    transaction.answer(Err("there is no connection".to_owned()));
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
fn share(
    conn: &mut SqliteConnection,
    first: Box<dyn Transaction>,
    jobs: &Receiver<Job>,
    database: &Database,
) -> Option<Job> {
    let began = Instant::now();
    let (mut transactions, mut later) = (vec![first], None);
    // Immediate: if a transaction begins with a read, it cannot wait for another process when it writes later.
    let committed = conn.immediate_transaction(|conn| {
        // The first needs no savepoint, which would cost time: if it fails, there is nothing else to keep.
        if !transactions.iter_mut().all(|transaction| transaction.run(conn)) {
            return Err(Error::RollbackTransaction);
        }
        while transactions.len() < MOST_TRANSACTIONS && began.elapsed() < JOIN_WITHIN {
            match jobs.try_recv() {
                Ok(Job::Transaction(mut transaction)) => {
                    let ran = in_savepoint(conn, transaction.as_mut());
                    transactions.push(transaction);
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
    for transaction in transactions {
        transaction.answer(committed.clone());
    }
    later
}

/// Runs work so that it can be undone alone. Fails if the surrounding transaction is lost.
fn in_savepoint(conn: &mut SqliteConnection, transaction: &mut dyn Transaction) -> QueryResult<()> {
    let ran = conn.transaction(|conn| if transaction.run(conn) { Ok(()) } else { Err(Error::RollbackTransaction) });
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
