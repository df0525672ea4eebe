//! Statements that are sent one behind the other. While the server works on one, the next is encoded, or the rows of the
//! one before are read: neither side waits for the other. Mostly they arrive in this order, and must not depend on it: the
//! first of its kind is prepared first, while another one may go ahead.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use diesel::QueryResult;
use diesel::result::Error;
use diesel_async::{AsyncConnectionCore, AsyncPgConnection};
use futures_util::TryStreamExt as _;
use tokio::runtime::Handle;

use super::Conn;
use crate::statement::Statement;

/// A statement that was sent.
enum Sent<'a, T> {
    Waiting(Pin<Box<dyn Future<Output = QueryResult<T>> + Send + 'a>>),
    Answered(QueryResult<T>),
}

impl<'a, T> Sent<'a, T> {
    /// Sends what `answer` waits for.
    async fn new(mut answer: Pin<Box<dyn Future<Output = QueryResult<T>> + Send + 'a>>) -> Self {
        match poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await {
            Poll::Ready(answered) => Self::Answered(answered),
            Poll::Pending => Self::Waiting(answer),
        }
    }

    async fn answer(self) -> QueryResult<T> {
        match self {
            Self::Waiting(answer) => answer.await,
            Self::Answered(answered) => answered,
        }
    }
}

/// Runs statements, and hands over how many rows each of them touched, in the statements' order. After one that failed,
/// what follows has no effect, as in any transaction.
pub(crate) fn execute_all<'a>(
    conn: &Conn,
    statements: impl Iterator<Item = Statement<'a>>,
    mut touched: impl FnMut(usize),
) -> QueryResult<()> {
    let mut session: &AsyncPgConnection = conn;
    let run = async {
        let mut before = None;
        for statement in statements {
            let next = Sent::new(session.execute_returning_count(statement)).await;
            if let Some(before) = before.replace(next) {
                touched(before.answer().await?);
            }
        }
        if let Some(last) = before {
            touched(last.answer().await?);
        }
        Ok(())
    };
    Handle::current().block_on(run)
}

/// A row as it came.
pub(crate) type PgRow = <AsyncPgConnection as AsyncConnectionCore>::Row<'static, 'static>;

/// What is handed over.
pub(crate) enum Found<'a> {
    /// The rows of the next statement begin.
    Statement,
    Row(&'a PgRow),
}

/// Runs statements, and hands over the rows of each in the statements' order.
pub(crate) fn load_all<'a, E: From<Error>>(
    conn: &Conn,
    statements: impl Iterator<Item = Statement<'a>>,
    mut take: impl FnMut(Found<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut session: &AsyncPgConnection = conn;
    let run = async {
        let mut before = None;
        for statement in statements.map(Some).chain([None]) {
            let next = match statement {
                Some(statement) => Some(Sent::new(session.load(statement)).await),
                None => None,
            };
            if let Some(sent) = std::mem::replace(&mut before, next) {
                let mut rows = sent.answer().await?;
                take(Found::Statement)?;
                while let Some(row) = rows.try_next().await? {
                    take(Found::Row(&row))?;
                }
            }
        }
        Ok(())
    };
    Handle::current().block_on(run)
}
