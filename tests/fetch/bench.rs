//! A fetcher to try things on, and bodies in every coding.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use etl::budget::ByteBudget;
use etl::config::{HttpConfig, RetryConfig};
use etl::cpu::CpuPool;
use etl::error::Error;
use etl::fetch::{AttemptFault, BacklogRoom, Body, FetchError, Fetcher, PageFetch, Waiting};
use etl::metrics::Metrics;
use etl::model::{Ask, DeclaredForm, Location, PageFault, PageId, PageOptions, PageRequest, Received};
use etl::sink::LocalOutput;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use tempfile::TempDir;

use crate::server::{Reply, Server};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const BODY: &[u8] = b"[{\"id\":1},{\"id\":2}]";

/// [`text`] by the reference encoder (`brotli -q 11`).
const BROTLI_TEXT: &[u8] = b"\
    \x1f\x31\x05\x40\x9c\x05\xee\xde\x2d\x8e\x16\x7e\x9f\xd3\xae\x22\x50\xa5\xed\x99\x31\x9d\xf2\xd5\
    \x85\xcb\xaf\x0c\xa5\xd1\xa4\x8e\x42\x5f\x8a\x74\x91\xf1\xff\xff\xdc\xd3\x96\xf7\x8e\x8d\xc2\xdd\
    \x36\xa3\x92\x85\x96\x84\x9f\xbd\x2e\x60\x36\x9e\xbf\x33\xf5\x3e\x0b\xff\xf2\xab\x97\xdf\xbc\x9f\
    \xfa\xab\x0b\x16\x87\xc5\xf2\xb8\x5c\x9d\x56\xeb\xf3\x7a\x73\xd9\x6c\x5f\x6f\xef\xdc\xec\xec\xde\
    \xee\xee\xdd\xed\x3d\x70\xdc\x0f\x3c\xe1\xaf\x6f\x0f\x34\x30\x42\x94\x10\xce\x98\x14\x42\xd7\x34\
    \xd3\x30\x6c\xcb\x72\xdd\xde\x3b\xeb\xc5\xfa\x60\x81\x00\x60\x84\x28\x21\x9c\x31\x29\x84\xae\x69\
    \xa6\x61\xd8\x96\xe5\xba\xbd\x77\xd5\x4b\xf5\xa1\x02\x01\xc0\x08\x51\x42\x38\x63\x52\x08\x5d\xd3\
    \x4c\xc3\xb0\x2d\xcb\x75\x5f\x07";

pub(crate) fn text() -> Vec<u8> {
    (0..40).flat_map(|n| format!("{{\"id\":{n},\"values\":[{n},2.5,-{n}e3]}}\n").into_bytes()).collect()
}

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn raw_deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn compressed_samples() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("gzip", gzip(&text())),
        ("zstd", zstd::encode_all(text().as_slice(), 3).unwrap()),
        ("br", BROTLI_TEXT.to_vec()),
        ("deflate", zlib(&text())),
        ("deflate", raw_deflate(&text())),
    ]
}

/// No retries and timeouts that no answer on this machine meets by chance.
pub(crate) fn once() -> HttpConfig {
    HttpConfig {
        connect_timeout: Duration::from_secs(20),
        read_timeout: Duration::from_secs(20),
        retry: RetryConfig { retry_count: 0, ..RetryConfig::default() },
        ..HttpConfig::default()
    }
}

/// Four retries with delays that a test does not notice.
pub(crate) fn retrying() -> HttpConfig {
    let retry = RetryConfig {
        retry_count: 4,
        base: Duration::from_millis(1),
        cap: Duration::from_millis(2),
        retry_max_time: Duration::from_secs(60),
    };
    HttpConfig { retry, ..once() }
}

/// A complete body.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) body: Vec<u8>,
    pub(crate) form: DeclaredForm,
    pub(crate) end_proven: bool,
}

pub(crate) struct Bench {
    pub(crate) fetcher: Fetcher,
    pub(crate) metrics: Arc<Metrics>,
    _folder: TempDir,
}

impl Bench {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        Self::try_new(config).unwrap()
    }

    pub(crate) fn try_new(config: &HttpConfig) -> Result<Self, Error> {
        let metrics = Arc::new(Metrics::default());
        let folder = tempfile::tempdir().unwrap();
        let spools = LocalOutput::lock(&folder.path().join("out.parquet"), None).unwrap().spools();
        let backlog = BacklogRoom { budget: ByteBudget::new(64 * MIB), memory_bytes_max: MIB, spools };
        let pool = CpuPool::new(1).unwrap();
        let fetcher = Fetcher::new(config, backlog, Arc::clone(&metrics), pool)?.with_seed(7);
        Ok(Self { fetcher, metrics, _folder: folder })
    }

    pub(crate) fn begin<'a>(&'a self, request: &'a PageRequest) -> PageFetch<'a> {
        self.fetcher.begin(request, Arc::new(Waiting::new(0)))
    }

    /// Reads the page whole, trying again as long as that may help.
    pub(crate) async fn fetch(&self, location: Location) -> Result<Page, PageFault> {
        self.fetch_with(location, PageOptions::default()).await
    }

    /// The same for a page that its line says more of.
    pub(crate) async fn fetch_with(
        &self,
        location: Location,
        options: PageOptions,
    ) -> Result<Page, PageFault> {
        let request = request_with(location, options);
        let mut fetch = self.begin(&request);
        loop {
            let mut body = Vec::new();
            let fault = match fetch.open().await {
                Ok(mut answer) => match read(&mut answer, &mut body).await {
                    Ok(()) => {
                        return Ok(Page { body, form: answer.form(), end_proven: answer.end_proven() });
                    }
                    Err(fault) => fault,
                },
                Err(error) => attempt_fault(error),
            };
            fetch.wait_after(fault).await.map_err(|end| {
                let received = (!body.is_empty()).then(|| Received::of(&body));
                PageFault { received: received.or(end.received), ..end }
            })?;
        }
    }

    pub(crate) async fn get(&self, url: &str) -> Result<Page, PageFault> {
        self.fetch(Location::Http(url.parse().unwrap())).await
    }

    pub(crate) async fn open(&self, path: &Path) -> Result<Page, PageFault> {
        self.fetch(Location::File(path.to_owned())).await
    }
}

/// Reads a body to its end.
pub(crate) async fn read(answer: &mut Body, body: &mut Vec<u8>) -> Result<(), AttemptFault> {
    loop {
        let length = body.len() + 1000;
        // What decompressing takes is not counted here.
        answer.pay();
        match answer.fill(body, length).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return Err(attempt_fault(error)),
        }
    }
}

pub(crate) fn attempt_fault(error: FetchError) -> AttemptFault {
    match error {
        FetchError::Attempt(fault) => fault,
        FetchError::Run(error) => panic!("{error}"),
    }
}

pub(crate) fn request(location: Location) -> PageRequest {
    request_with(location, PageOptions::default())
}

/// A request as a line of the list with these options makes it.
pub(crate) fn request_with(location: Location, options: PageOptions) -> PageRequest {
    let ask = Ask::new(&location, Arc::new(options)).unwrap();
    let id = PageId { ordinal: 0, line: 1, page: 1 };
    PageRequest { id, location, key: [0; 16], shown: "shown".into(), ask }
}

/// What a single attempt at this answer gives.
pub(crate) async fn outcome(reply: Reply) -> Result<Page, PageFault> {
    let server = Server::always(reply).await;
    Bench::new(&once()).get(&server.origin).await
}

pub(crate) fn chunked(body: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for chunk in body.chunks(9) {
        wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}
