//! Requests as bytes over a socket, so that invalid ones can be sent as well.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than the daemon takes for any answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Head and body as received.
    pub text: String,
}

/// Opens a connection.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads until the other side closes; `None` if it closes without an answer.
pub fn read_answer(stream: &mut TcpStream) -> io::Result<Option<Answer>> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let last = text.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n");
    let status = last.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    Ok(status.map(|status| Answer { status, text }))
}

/// Sends bytes, all of them unless the other side stops reading, and reads the answer.
pub fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Option<Answer>> {
    let mut stream = connect(address)?;
    match stream.write_all(request) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
            return Err(error);
        }
        Ok(()) | Err(_) => {}
    }
    read_answer(&mut stream)
}

/// Like [`exchange`], but closes the sending side after the bytes.
pub fn exchange_and_go(address: SocketAddr, request: &[u8]) -> io::Result<Option<Answer>> {
    let mut stream = connect(address)?;
    stream.write_all(request)?;
    stream.shutdown(Shutdown::Write)?;
    read_answer(&mut stream)
}

/// Sends a `GET`.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    get_with(address, path, &[])
}

/// Sends a `GET` with headers.
pub fn get_with(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.extend([*name, ": ", *value, "\r\n"]);
    }
    request.push_str("\r\n");
    exchange(address, request.as_bytes())?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Sends a `POST` with a length.
pub fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n").into_bytes();
    for (name, value) in headers {
        request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    request.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    exchange(address, &request)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
