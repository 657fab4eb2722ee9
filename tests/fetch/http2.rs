//! Where the body of an HTTP/2 stream ends: at END_STREAM or at its length, and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use etl::config::{HttpConfig, RequestConfig};
use etl::model::PageFault;
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::bench::*;
use crate::tls::Authority;

const LINES: &[u8] = b"{\"id\":1}\n{\"id\":2}\n";
const REASONS: [Reason; 9] = [
    Reason::NO_ERROR,
    Reason::PROTOCOL_ERROR,
    Reason::INTERNAL_ERROR,
    Reason::FLOW_CONTROL_ERROR,
    Reason::STREAM_CLOSED,
    Reason::REFUSED_STREAM,
    Reason::CANCEL,
    Reason::ENHANCE_YOUR_CALM,
    Reason::HTTP_1_1_REQUIRED,
];
/// So that what was sent before is not dropped with the stream, and comes in a read of its own.
const PAUSE: Duration = Duration::from_millis(20);

/// End of a stream.
#[derive(Debug, Clone, Copy)]
enum End {
    /// With the last bytes.
    OnData,
    /// With a frame without bytes, after a pause.
    OnEmptyData,
    /// With trailers, after a pause.
    OnTrailers,
    Reset(Reason),
}

/// An answer of the server.
#[derive(Debug, Clone, Copy)]
struct Streamed {
    content_type: &'static str,
    length: Option<usize>,
    body: &'static [u8],
    end: End,
}

impl Streamed {
    async fn send(self, mut respond: SendResponse<Bytes>) {
        let mut head = Response::builder().header("content-type", self.content_type);
        if let Some(length) = self.length {
            head = head.header("content-length", length);
        }
        let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
        let is_last = matches!(self.end, End::OnData);
        stream.send_data(Bytes::from_static(self.body), is_last).unwrap();
        tokio::time::sleep(PAUSE).await;
        match self.end {
            End::OnData => {}
            End::OnEmptyData => stream.send_data(Bytes::new(), true).unwrap(),
            End::OnTrailers => stream.send_trailers(HeaderMap::new()).unwrap(),
            End::Reset(reason) => stream.send_reset(reason),
        }
    }
}

/// A server that gives every request the same answer.
struct Http2Server {
    origin: String,
    accepting: JoinHandle<()>,
}

impl Http2Server {
    async fn start(authority: &Authority, answer: Streamed) -> Self {
        let certified = authority.certify("127.0.0.1");
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certified.der], certified.key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://{}", listener.local_addr().unwrap());
        let accepting = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let Ok(connection) = acceptor.accept(connection).await else { continue };
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(connection).await else { return };
                    while let Some(Ok((_, respond))) = connection.accept().await {
                        tokio::spawn(answer.send(respond));
                    }
                });
            }
        });
        Self { origin, accepting }
    }
}

impl Drop for Http2Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn fetched(authority: &Authority, answer: Streamed) -> Result<Page, PageFault> {
    let server = Http2Server::start(authority, answer).await;
    let request = RequestConfig { tls: authority.trusted(), ..RequestConfig::default() };
    Bench::new(&HttpConfig { request, ..once() }).get(&server.origin).await
}

#[tokio::test]
async fn stream_that_is_reset_before_its_end_is_never_a_page() {
    let authority = Authority::new();
    for reason in REASONS {
        for (content_type, body) in [("application/x-ndjson", LINES), ("application/json", BODY)] {
            for length in [None, Some(body.len() + 9)] {
                let answer = Streamed { content_type, length, body, end: End::Reset(reason) };
                let fault = match fetched(&authority, answer).await {
                    Ok(page) => panic!("{answer:?}: {:?}", String::from_utf8_lossy(&page.body)),
                    Err(fault) => fault,
                };
                let broke_off = format!("the body broke off after {} ", body.len());
                assert!(fault.reason.starts_with(&broke_off), "{answer:?}: {}", fault.reason);
                assert_eq!(
                    fault.received.map(|received| received.size),
                    Some(body.len() as u64),
                    "{answer:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn stream_that_is_reset_behind_its_length_is_whole() {
    let authority = Authority::new();
    let answer = Streamed {
        content_type: "application/x-ndjson",
        length: Some(LINES.len()),
        body: LINES,
        end: End::Reset(Reason::NO_ERROR),
    };
    assert_eq!(fetched(&authority, answer).await.unwrap().body, LINES);
}

#[tokio::test]
async fn stream_that_ends_well_is_whole_however_it_ends() {
    let authority = Authority::new();
    for end in [End::OnData, End::OnEmptyData, End::OnTrailers] {
        for length in [None, Some(LINES.len())] {
            let answer = Streamed { content_type: "application/x-ndjson", length, body: LINES, end };
            let page = fetched(&authority, answer).await.unwrap_or_else(|fault| {
                panic!("{answer:?}: {}", fault.reason);
            });
            assert_eq!(page.body, LINES, "{answer:?}");
            assert!(page.end_proven, "{answer:?}");
        }
        let nothing = Streamed { content_type: "application/x-ndjson", length: None, body: b"", end };
        assert_eq!(fetched(&authority, nothing).await.unwrap().body, b"", "{nothing:?}");
    }
}
