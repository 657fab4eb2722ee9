//! An answer, and its way onto the wire: whole, or ended where a fault wants it to end.

use std::io::{self, Write};
use std::time::Duration;

/// Chunks of an odd size, so that their borders fall into records, numbers and characters.
const CHUNK_BYTES: usize = 8_191;

/// What is answered to one request.
pub(crate) struct Answer {
    pub(crate) latency: Duration,
    pub(crate) status: u16,
    headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: Framing,
    pub(crate) ending: Ending,
    /// The fault as the log names it.
    pub(crate) fault: Option<&'static str>,
}

/// How the client learns where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    Chunked,
    Close,
}

/// Where the answer ends; the numbers count bytes of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Whole,
    Cut(usize),
    Stall(usize),
    Reset(usize),
    ResetAtOnce,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    NextRequest,
    Close,
    Stall,
}

impl Answer {
    /// An answer without a body.
    pub(crate) fn new(status: u16) -> Self {
        Self {
            latency: Duration::ZERO,
            status,
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length,
            ending: Ending::Whole,
            fault: None,
        }
    }

    /// A status with a JSON object that says why. An object on purpose: a client that forgets to look at
    /// the status takes it for a record.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        let mut answer = Self::new(status).with("Content-Type", "application/json");
        if !has_no_body(status) {
            let reason = reason_phrase(status);
            let object = serde_json::json!({"status": status, "error": reason, "message": message});
            answer.body = format!("{object}\n").into_bytes();
        }
        answer
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Whether the connection is reset in place of an answer.
    pub(crate) fn resets_at_once(&self) -> bool {
        self.ending == Ending::ResetAtOnce
    }

    /// Whether the connection is reset, sooner or later.
    pub(crate) fn resets(&self) -> bool {
        matches!(self.ending, Ending::ResetAtOnce | Ending::Reset(_))
    }

    /// Sends the answer. `log` is told the bytes of the body just before the last byte leaves, and also
    /// when the client has gone before.
    pub(crate) fn send(
        &self,
        stream: &mut impl Write,
        head_only: bool,
        keep_alive: bool,
        log: impl FnOnce(u64),
    ) -> io::Result<After> {
        let keep_alive = keep_alive && self.framing != Framing::Close;
        let head = self.head(keep_alive);
        let body = match self.ending {
            _ if head_only => &[],
            Ending::Whole => self.body.as_slice(),
            Ending::Cut(after) | Ending::Stall(after) | Ending::Reset(after) => &self.body[..after],
            Ending::ResetAtOnce => unreachable!("an answer that is a reset is never sent"),
        };
        let is_whole = head_only || self.ending == Ending::Whole;
        let has_last_chunk = self.framing == Framing::Chunked && is_whole && !head_only;
        let (sent_early, held_back) = match (is_whole, has_last_chunk, body.split_last()) {
            (true, true, _) => (body, b"0\r\n\r\n".as_slice()),
            (true, false, Some((last, rest))) => (rest, std::slice::from_ref(last)),
            // A head alone, which is held back itself; or a cut, after which nothing comes.
            _ => (body, [].as_slice()),
        };
        if body.is_empty() && is_whole {
            log(0);
            stream.write_all(&[head.as_bytes(), held_back].concat())?;
        } else {
            let mut sent_bytes = 0;
            let outcome = stream
                .write_all(head.as_bytes())
                .and_then(|()| self.send_body(stream, sent_early, &mut sent_bytes));
            log(if outcome.is_ok() { body.len() } else { sent_bytes } as u64);
            outcome?;
            stream.write_all(held_back)?;
        }
        Ok(match self.ending {
            Ending::Stall(_) if !head_only => After::Stall,
            _ if is_whole && keep_alive => After::NextRequest,
            _ => After::Close,
        })
    }

    fn send_body(&self, stream: &mut impl Write, body: &[u8], sent_bytes: &mut usize) -> io::Result<()> {
        for piece in body.chunks(CHUNK_BYTES) {
            if self.framing == Framing::Chunked {
                let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
                stream.write_all(&chunk)?;
            } else {
                stream.write_all(piece)?;
            }
            *sent_bytes += piece.len();
        }
        Ok(())
    }

    fn head(&self, keep_alive: bool) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason_phrase(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.framing {
            _ if has_no_body(self.status) => {}
            Framing::Length => head.push_str(&format!("Content-Length: {}\r\n", self.body.len())),
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::Close => {}
        }
        if !keep_alive {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head
    }
}

fn has_no_body(status: u16) -> bool {
    matches!(status, 204 | 304)
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(answer: &Answer) -> (String, u64, After) {
        let (mut wire, mut logged) = (Vec::new(), None);
        let after = answer.send(&mut wire, false, true, |bytes| logged = Some(bytes)).expect("a vector");
        (String::from_utf8(wire).expect("ASCII"), logged.expect("one log line"), after)
    }

    fn page(framing: Framing, ending: Ending) -> Answer {
        let mut answer = Answer::new(200);
        answer.body = b"[1,2]".to_vec();
        (answer.framing, answer.ending) = (framing, ending);
        answer
    }

    #[test]
    fn a_whole_page_keeps_the_connection_unless_its_end_is_the_end() {
        let whole = |framing| sent(&page(framing, Ending::Whole));
        let (wire, logged, after) = whole(Framing::Length);
        assert!(wire.ends_with("Content-Length: 5\r\n\r\n[1,2]"), "{wire}");
        assert_eq!((logged, after), (5, After::NextRequest));
        let (wire, logged, after) = whole(Framing::Chunked);
        assert!(wire.ends_with("\r\n\r\n5\r\n[1,2]\r\n0\r\n\r\n"), "{wire}");
        assert_eq!((logged, after), (5, After::NextRequest));
        let (wire, logged, after) = whole(Framing::Close);
        assert!(wire.ends_with("Connection: close\r\n\r\n[1,2]"), "{wire}");
        assert_eq!((logged, after), (5, After::Close));
    }

    #[test]
    fn a_cut_page_promises_more_than_it_sends() {
        let (wire, logged, after) = sent(&page(Framing::Length, Ending::Cut(2)));
        assert!(wire.ends_with("Content-Length: 5\r\n\r\n[1"), "{wire}");
        assert_eq!((logged, after), (2, After::Close));
        let (wire, ..) = sent(&page(Framing::Chunked, Ending::Cut(2)));
        assert!(wire.ends_with("\r\n\r\n2\r\n[1\r\n"), "{wire}");
    }

    #[test]
    fn an_empty_body_is_whole() {
        let mut answer = page(Framing::Chunked, Ending::Whole);
        answer.body.clear();
        let (wire, logged, _) = sent(&answer);
        assert!(wire.ends_with("chunked\r\n\r\n0\r\n\r\n"), "{wire}");
        assert_eq!(logged, 0);
        let (wire, ..) = sent(&Answer::error(204, ""));
        assert!(!wire.contains("Content-Length"), "{wire}");
    }
}
