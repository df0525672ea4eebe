//! Pipelined statements. While the server works on one, the next one is encoded, or the rows of the previous one are
//! read. Neither side waits for the other.

use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::task::Poll;

use diesel::QueryResult;
use diesel::result::Error;
use futures_util::TryStreamExt as _;
use tokio::runtime::Handle;
use tokio_postgres::Statement as Prepared;

use super::connection::Conn;
use super::query::{Bind, Encoded};
use super::row::PgRow;
use crate::statement::Statement;

type Answered<T> = Result<T, tokio_postgres::Error>;
type Answer<'a, T> = Pin<Box<dyn Future<Output = Answered<T>> + 'a>>;

/// A statement that was sent.
enum Sent<'a, T> {
    Waiting(Answer<'a, T>),
    Answered(Answered<T>),
}

impl<'a, T> Sent<'a, T> {
    /// Sends the statement behind `answer`.
    fn new(mut answer: Answer<'a, T>) -> Self {
        match Handle::current().block_on(poll_fn(|context| Poll::Ready(answer.as_mut().poll(context)))) {
            Poll::Ready(answered) => Self::Answered(answered),
            Poll::Pending => Self::Waiting(answer),
        }
    }

    fn wait(self, conn: &Conn) -> QueryResult<T> {
        match self {
            Self::Waiting(answer) => conn.wait(answer),
            Self::Answered(answered) => conn.wait(ready(answered)),
        }
    }
}

/// Runs statements, and passes on their answers in order.
fn run<'a, 'b, T, E: From<Error>>(
    conn: &'a Conn,
    statements: impl Iterator<Item = Statement<'b>>,
    send: impl Fn(&'a Conn, Prepared, Vec<Bind>) -> Answer<'a, T>,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let mut before: Option<Sent<'a, T>> = None;
    for statement in statements {
        let Encoded { text, binds, .. } = Encoded::new(&statement)?;
        let prepared = if let Some(prepared) = conn.prepared(&text) {
            prepared
        } else {
            // The server's answer comes after the previous one, which nobody would read in the meantime.
            if let Some(before) = before.take() {
                take(before.wait(conn)?)?;
            }
            conn.prepare(text)?
        };
        let next = Sent::new(send(conn, prepared, binds));
        if let Some(before) = before.replace(next) {
            take(before.wait(conn)?)?;
        }
    }
    before.map_or(Ok(()), |last| take(last.wait(conn)?))
}

/// Runs statements, and passes on the number of rows that each affected, in order. After a failed statement the
/// following ones have no effect, as in any transaction.
pub(crate) fn execute_all<'a>(
    conn: &Conn,
    statements: impl Iterator<Item = Statement<'a>>,
    mut touched: impl FnMut(usize),
) -> QueryResult<()> {
    run(
        conn,
        statements,
        |conn, prepared, binds| Box::pin(async move { conn.client.execute_raw(&prepared, binds).await }),
        |rows| {
            touched(usize::try_from(rows).unwrap_or(usize::MAX));
            Ok(())
        },
    )
}

/// An item that [`load_all`] passes on.
pub(crate) enum Found<'a> {
    /// The rows of the next statement begin.
    Statement,
    Row(&'a PgRow),
}

/// Runs statements, and passes on the rows of each, in order.
pub(crate) fn load_all<'a, E: From<Error>>(
    conn: &Conn,
    statements: impl Iterator<Item = Statement<'a>>,
    mut take: impl FnMut(Found<'_>) -> Result<(), E>,
) -> Result<(), E> {
    run(
        conn,
        statements,
        |conn, prepared, binds| Box::pin(async move { conn.client.query_raw(&prepared, binds).await }),
        |rows| {
            let mut rows = Box::pin(rows);
            take(Found::Statement)?;
            while let Some(row) = conn.wait(rows.try_next())? {
                take(Found::Row(&PgRow(row)))?;
            }
            Ok(())
        },
    )
}
