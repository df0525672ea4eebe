//! Statements that are sent one behind the other. While the server works on one, the next is encoded, or the rows of the
//! one before are read: neither side waits for the other.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use diesel::QueryResult;
use diesel::deserialize::QueryableByName;
use diesel::result::Error;
use diesel_async::{AsyncConnectionCore as _, AsyncPgConnection};
use futures_util::TryStreamExt as _;
use tokio::runtime::Handle;

use super::Conn;
use crate::statement::{Cells, Statement};

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

/// Runs statements in their order. After one that failed, what follows has no effect, as in any transaction.
pub(crate) fn execute_all<'a>(conn: &Conn, statements: impl Iterator<Item = Statement<'a>>) -> QueryResult<()> {
    let mut session: &AsyncPgConnection = conn;
    let run = async {
        let mut before = None;
        for statement in statements {
            let next = Sent::new(session.execute_returning_count(statement)).await;
            if let Some(before) = before.replace(next) {
                before.answer().await?;
            }
        }
        if let Some(last) = before {
            last.answer().await?;
        }
        Ok(())
    };
    Handle::current().block_on(run)
}

/// Runs statements in their order, and hands over the rows of each together.
pub(crate) fn load_all<'a, E: From<Error>>(
    conn: &Conn,
    statements: impl Iterator<Item = Statement<'a>>,
    mut take: impl FnMut(Vec<Cells>) -> Result<(), E>,
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
                let mut cells = Vec::new();
                while let Some(row) = rows.try_next().await? {
                    cells.push(<Cells as QueryableByName<_>>::build(&row).map_err(Error::DeserializationError)?);
                }
                take(cells)?;
            }
        }
        Ok(())
    };
    Handle::current().block_on(run)
}
