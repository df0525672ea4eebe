use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The server's reaction to a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Sends these bytes and closes the connection.
    Bytes(Vec<u8>),
    /// Closes the connection immediately.
    Drop,
    /// Reads the request and never answers.
    Hang,
    /// Sends the first bytes once, and the others repeatedly.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends the first bytes immediately, then a blank every ten milliseconds.
    Dribble(Vec<u8>),
}

impl Reply {
    /// Creates a complete response with this body.
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let length = body.as_ref().len().to_string();
        let mut all = vec![("content-length", length.as_str())];
        all.extend_from_slice(headers);
        Self::raw(status, &all, body)
    }

    /// Creates a response with exactly these headers.
    pub(crate) fn raw(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let mut bytes = format!("HTTP/1.1 {status} Whatever\r\nconnection: close\r\n").into_bytes();
        for (name, value) in headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body.as_ref());
        Self::Bytes(bytes)
    }

    pub(crate) fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::new(200, &[("content-type", "application/json")], body)
    }

    pub(crate) fn json(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::new(status, &[("content-type", "application/json")], body)
    }
}

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The method.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// The lines of the head after the first.
    headers: Vec<(String, String)>,
    /// The body, as long as announced in the head.
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A server on its own port that answers each request with the next reply, and stops answering after the last.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    sent: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut replies: VecDeque<Reply> = replies.into_iter().collect();
        let record = Arc::clone(&seen);
        let sent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        let task = tokio::spawn(async move {
            // Kept open, so that a hanging request does not end.
            let mut hanging = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(request) = read_request(&mut stream).await else { continue };
                record.lock().unwrap().push(request);
                match replies.pop_front() {
                    Some(Reply::Bytes(bytes)) => {
                        stream.write_all(&bytes).await.ok();
                        stream.shutdown().await.ok();
                    }
                    Some(Reply::Drop) => drop(stream),
                    Some(Reply::Dribble(head)) => drop(tokio::spawn(dribble(stream, head))),
                    Some(Reply::Endless(head, more)) => {
                        let count = Arc::clone(&count);
                        drop(tokio::spawn(async move {
                            stream.write_all(&head).await.ok();
                            while stream.write_all(&more).await.is_ok() {
                                count.fetch_add(more.len(), Ordering::SeqCst);
                            }
                        }));
                    }
                    Some(Reply::Hang) | None => hanging.push(stream),
                }
            }
        });
        Self { address, seen, sent, task }
    }

    /// Returns the number of bytes of an endless reply that the client and the sockets accepted.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        self.seen().into_iter().map(|request| request.target).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A server that answers each request by its path and query.
pub(crate) struct Answering {
    address: SocketAddr,
    targets: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Answering {
    /// Starts a server that sends the bytes of a reply, and nothing for other replies.
    pub(crate) async fn start(answer: impl Fn(&str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let targets = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&targets);
        let task = tokio::spawn(async move {
            let mut hanging = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(request) = read_request(&mut stream).await else { continue };
                let reply = answer(&request.target);
                record.lock().unwrap().push(request.target);
                if let Reply::Bytes(bytes) = reply {
                    stream.write_all(&bytes).await.ok();
                    stream.shutdown().await.ok();
                } else {
                    hanging.push(stream);
                }
            }
        });
        Self { address, targets, task }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        self.targets.lock().unwrap().clone()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a request to its end; `None` if the peer has closed the connection.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let target = target.split(' ').next()?.to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut seen = Seen { method: method.to_owned(), target, headers, body: String::new() };
    let length: usize = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    seen.body = String::from_utf8(body).unwrap();
    Some(seen)
}

async fn dribble(mut stream: TcpStream, head: Vec<u8>) {
    let mut clock = tokio::time::interval(Duration::from_millis(10));
    stream.write_all(&head).await.ok();
    while stream.write_all(b" ").await.is_ok() {
        clock.tick().await;
    }
}
