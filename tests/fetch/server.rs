//! A server that sends exactly the bytes it is told to, whole or not.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server does with one request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Sends these bytes and closes the connection.
    Close(Vec<u8>),
    /// Sends these bytes and answers the next request on the same connection.
    Keep(Vec<u8>),
    /// Sends these bytes and then nothing more, with the connection open.
    Stall(Vec<u8>),
    /// Closes with the request unread, which resets the connection.
    Reset,
}

/// A listening server; it ends when this is dropped.
pub(crate) struct Server {
    pub(crate) origin: String,
    seen: Arc<Mutex<Seen>>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    requests: Vec<String>,
    connections: usize,
}

impl Server {
    /// Answers the nth request (from 0), whose head is given, with what `script` returns.
    pub(crate) async fn start(script: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let script = Arc::new(script);
        let accepting = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                // Connections that stall are held here and closed together with the server.
                let mut connections = tokio::task::JoinSet::new();
                while let Ok((connection, _)) = listener.accept().await {
                    seen.lock().unwrap().connections += 1;
                    connections.spawn(serve(connection, Arc::clone(&seen), Arc::clone(&script)));
                }
            }
        });
        Self { origin, seen, accepting }
    }

    /// A server with one answer to everything.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_, _| reply.clone()).await
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }

    pub(crate) fn connection_count(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut connection: TcpStream,
    seen: Arc<Mutex<Seen>>,
    script: Arc<impl Fn(usize, &str) -> Reply + Send + Sync + 'static>,
) {
    loop {
        // Looked at but not taken: what is left unread at the end makes the kernel send a reset.
        if connection.peek(&mut [0]).await.unwrap_or(0) == 0 {
            return;
        }
        let number = seen.lock().unwrap().requests.len();
        if matches!(script(number, ""), Reply::Reset) {
            seen.lock().unwrap().requests.push(String::new());
            return;
        }
        let Some(head) = read_request(&mut connection).await else { return };
        let reply = script(number, &head);
        seen.lock().unwrap().requests.push(head);
        // The client may hang up in the middle; that is its answer.
        match reply {
            Reply::Keep(bytes) => drop(connection.write_all(&bytes).await),
            Reply::Stall(bytes) => {
                drop(connection.write_all(&bytes).await);
                std::future::pending::<()>().await;
            }
            Reply::Close(bytes) => {
                drop(connection.write_all(&bytes).await);
                drop(connection.shutdown().await);
                return;
            }
            Reply::Reset => return,
        }
    }
}

/// A head, and the body behind it if its length is given.
pub(crate) async fn read_request(connection: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(connection.read_u8().await.ok()?);
    }
    let mut request = String::from_utf8(request).ok()?;
    let length =
        request.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    connection.read_exact(&mut body).await.ok()?;
    request.push_str(std::str::from_utf8(&body).ok()?);
    Some(request)
}

/// A head with these lines, and the body behind it.
pub(crate) fn answer(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(format!("{header}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// A complete answer with its Content-Length.
pub(crate) fn complete(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    answer(status, &[headers, &[length.as_str()]].concat(), body)
}
