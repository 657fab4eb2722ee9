//! Reads the head of a request from a connection, and not one byte more.
//!
//! Request bodies are not read: a request that has one is the last of its connection.

use std::io::{self, Read};
use std::net::TcpStream;

/// Longest head; a client's own limits are far below.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The head of a request.
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query as they were sent.
    pub(crate) target: String,
    /// Whether the client can send another request on this connection.
    pub(crate) keep_alive: bool,
}

impl Request {
    /// Reads the next head, all but its very last byte: closing a socket that holds unread bytes resets
    /// the connection, which the standard library offers no other way to do. `None` when the client has
    /// closed, or sent what is no HTTP.
    pub(crate) fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        let mut arrived = [0; 4096];
        while head.len() < HEAD_BYTES_MAX {
            let count = stream.peek(&mut arrived)?;
            if count == 0 {
                return Ok(None);
            }
            let known = head.len();
            head.extend_from_slice(&arrived[..count]);
            if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                stream.read_exact(&mut arrived[..end + 3 - known])?;
                return Ok(Self::parse(&String::from_utf8_lossy(&head[..end])));
            }
            stream.read_exact(&mut arrived[..count])?;
        }
        Ok(None)
    }

    /// Takes the byte that [`Request::read`] left.
    pub(crate) fn consume_last_byte(&self, stream: &mut TcpStream) -> io::Result<()> {
        stream.read_exact(&mut [0])
    }

    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
            return None;
        }
        let mut keep_alive = version != "HTTP/1.0";
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            let closes = name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close");
            let has_body = name.eq_ignore_ascii_case("content-length") && value != "0"
                || name.eq_ignore_ascii_case("transfer-encoding");
            keep_alive &= !closes && !has_body;
        }
        Some(Self { method: method.to_owned(), target: target.to_owned(), keep_alive })
    }

    /// The path, still percent-encoded.
    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// What follows the question mark.
    pub(crate) fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// Decodes `%41`; what is no such triple stays as it stands, and `+` is a plus.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |at: usize| tail.get(at).and_then(|byte| (*byte as char).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            _ => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_triples_are_decoded_and_all_else_stays() {
        assert_eq!(percent_decoded("a%20b%2Fc+d"), b"a b/c+d");
        assert_eq!(percent_decoded("100%"), b"100%");
        assert_eq!(percent_decoded("%zz%4"), b"%zz%4");
    }

    #[test]
    fn a_request_with_a_body_is_the_last_of_its_connection() {
        let parse = |head| Request::parse(head).expect("a request");
        assert!(parse("GET /a HTTP/1.1\r\nHost: x").keep_alive);
        assert!(!parse("GET /a HTTP/1.1\r\nContent-Length: 3").keep_alive);
        assert!(!parse("GET /a HTTP/1.1\r\nConnection: Close").keep_alive);
        assert!(!parse("GET /a HTTP/1.0").keep_alive);
        assert!(Request::parse("PRI * HTTP/2.0").is_none());
    }
}
