use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Time limit for the head of a request from its first byte; for the first request, from the start of its connection.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Time limit for reading the rest of a request that was answered before its end. A client that receives a reset while
/// it sends may never see the answer.
const REST_WITHIN: Duration = Duration::from_secs(10);
const REST_PAUSE: Duration = Duration::from_secs(2);
const REST_BYTES: usize = 64 * 1024 * 1024;

/// Whether a connection serves a request, or waits for the head of the next one.
#[derive(Debug, Default)]
pub(super) struct Phase {
    in_request: AtomicBool,
    /// Whether a request was served before.
    is_kept: AtomicBool,
}

impl Phase {
    /// Marks the beginning of a request: its head was read.
    pub(super) fn request(&self) {
        self.in_request.store(true, Ordering::SeqCst);
    }

    /// Marks the end of a request: it was answered.
    pub(super) fn idle(&self) {
        self.is_kept.store(true, Ordering::SeqCst);
        self.in_request.store(false, Ordering::SeqCst);
    }
}

/// A connection with a deadline for the heads of requests, which closes without a reset.
pub(super) struct Guarded<S> {
    stream: S,
    phase: Arc<Phase>,
    /// Deadline of the head that is being read.
    deadline: Option<Pin<Box<Sleep>>>,
    rest: Option<Rest>,
}

/// Limits for reading while the connection closes.
struct Rest {
    deadline: Pin<Box<Sleep>>,
    pause: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S, phase: Arc<Phase>) -> Self {
        Self { stream, phase, deadline: None, rest: None }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let in_request = this.phase.in_request.load(Ordering::SeqCst);
        if in_request {
            this.deadline = None;
        } else if this.deadline.is_none() && !this.phase.is_kept.load(Ordering::SeqCst) {
            this.deadline = Some(Box::pin(sleep(HEAD_WITHIN)));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        match read {
            Poll::Ready(Ok(())) if !in_request && buffer.filled().len() > before => {
                this.deadline.get_or_insert_with(|| Box::pin(sleep(HEAD_WITHIN)));
                read
            }
            Poll::Ready(_) => read,
            Poll::Pending => match &mut this.deadline {
                Some(deadline) => {
                    ready!(deadline.as_mut().poll(cx));
                    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
                }
                None => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Ends sending, and reads until the client does the same, within the limits of [`Rest`].
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.rest.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let rest = this.rest.get_or_insert_with(|| Rest {
            deadline: Box::pin(sleep(REST_WITHIN)),
            pause: Box::pin(sleep(REST_PAUSE)),
            bytes: 0,
        });
        loop {
            if rest.deadline.as_mut().poll(cx).is_ready() || rest.bytes > REST_BYTES {
                return Poll::Ready(Ok(()));
            }
            let mut part = [0; 16_384];
            let mut buffer = ReadBuf::new(&mut part);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    rest.bytes = rest.bytes.saturating_add(buffer.filled().len());
                    rest.pause.as_mut().reset(Instant::now() + REST_PAUSE);
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return rest.pause.as_mut().poll(cx).map(Ok),
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
