//! Who is trusted, and to whom the client's certificate is shown: a real TLS server with certificates made here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use etl::config::{Header, HttpConfig, RequestConfig, RetryConfig, Secret, TlsConfig};
use etl::error::ErrorKind;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::bench::*;
use crate::server::*;

/// An authority of certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Certified {
    pem: String,
    key_pem: String,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn certify(&self, name: &str) -> Certified {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Certified {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            der: certificate.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    /// The settings of a client that trusts this authority alone.
    pub(crate) fn trusted(&self) -> TlsConfig {
        TlsConfig { authorities: Some(self.0.pem().into()), identity: None }
    }
}

impl Certified {
    fn identity(&self) -> Option<Secret> {
        Some(Secret::new(format!("{}\n{}", self.pem, self.key_pem)))
    }
}

/// A server of pages behind TLS: what it was asked, and whether by someone with a certificate.
struct TlsServer {
    origin: String,
    seen: Arc<Mutex<Vec<(String, bool)>>>,
    accepting: JoinHandle<()>,
}

impl TlsServer {
    async fn start(authority: &Authority, is_strict: bool, answer: Vec<u8>) -> Self {
        let Certified { der, key, .. } = authority.certify("127.0.0.1");
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
        let verifier = if is_strict { verifier } else { verifier.allow_unauthenticated() };
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![der], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let accepting = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Ok((connection, _)) = listener.accept().await {
                    let Ok(mut connection) = acceptor.accept(connection).await else { continue };
                    let is_known = connection.get_ref().1.peer_certificates().is_some();
                    let Some(request) = read_request(&mut connection).await else { continue };
                    seen.lock().unwrap().push((request, is_known));
                    let _ = connection.write_all(&answer).await;
                    let _ = connection.shutdown().await;
                }
            }
        });
        Self { origin, seen, accepting }
    }

    fn seen(&self) -> Vec<(String, bool)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn page() -> Vec<u8> {
    complete("200 OK", &["Connection: close"], BODY)
}

fn moved(location: &str) -> Vec<u8> {
    complete("302 Found", &["Connection: close", &format!("Location: {location}")], b"")
}

fn bench(tls: TlsConfig) -> Bench {
    let headers = vec![Header::parse("X-Api-Key: hunter2").unwrap()];
    Bench::new(&HttpConfig { request: RequestConfig { tls, headers, ..RequestConfig::default() }, ..once() })
}

#[tokio::test]
async fn authority_that_is_named_is_trusted_and_no_other() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = TlsServer::start(&ours, false, page()).await;
    assert_eq!(bench(ours.trusted()).get(&server.origin).await.unwrap().body, BODY);
    let fault = bench(theirs.trusted()).get(&server.origin).await.unwrap_err();
    assert!(
        fault.reason.starts_with("could not connect: ") && fault.reason.contains("certificate"),
        "{}",
        fault.reason
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn certificate_of_the_client_is_shown_where_it_is_wanted() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, true, page()).await;
    let identity = authority.certify("client").identity();
    bench(TlsConfig { identity, ..authority.trusted() }).get(&server.origin).await.unwrap();
    assert!(server.seen()[0].1);
    bench(authority.trusted()).get(&server.origin).await.unwrap_err();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn redirect_shows_the_certificate_of_the_client_to_no_other_origin() {
    let authority = Authority::new();
    let away = TlsServer::start(&authority, false, page()).await;
    let home = TlsServer::start(&authority, false, moved(&format!("{}/there", away.origin))).await;
    let identity = authority.certify("client").identity();
    bench(TlsConfig { identity, ..authority.trusted() }).get(&home.origin).await.unwrap();
    let ([(at_home, shown_at_home)], [(at_away, shown_away)]) = (&home.seen()[..], &away.seen()[..]) else {
        panic!("one request each")
    };
    assert!(*shown_at_home && !*shown_away);
    assert!(at_home.contains("hunter2") && !at_away.contains("hunter2"));
}

#[tokio::test]
async fn redirect_between_http_and_https_goes_up_without_secrets_and_never_down() {
    let authority = Authority::new();
    let plain = Server::always(Reply::Close(page())).await;
    let down = TlsServer::start(&authority, false, moved(&plain.origin)).await;
    let bench = bench(authority.trusted());
    let fault = bench.get(&down.origin).await.unwrap_err();
    assert_eq!(fault.reason, "HTTP 302 Found: its Location leads from https to http, which is refused");
    assert!(plain.requests().is_empty());

    let secure = TlsServer::start(&authority, false, page()).await;
    let up = Server::always(Reply::Close(moved(&secure.origin))).await;
    bench.get(&up.origin).await.unwrap();
    assert!(up.requests()[0].contains("hunter2") && !secure.seen()[0].0.contains("hunter2"));
}

#[test]
fn certificates_that_can_not_be_used_are_found_before_any_request() {
    let authority = Authority::new();
    let (one, other) = (authority.certify("one"), authority.certify("other"));
    let mixed = Some(Secret::new(format!("{}\n{}", one.pem, other.key_pem)));
    for (tls, needle) in [
        (TlsConfig { authorities: Some("no PEM".into()), identity: None }, "--cacert: expected"),
        (TlsConfig { identity: Some(Secret::new(one.pem)), ..authority.trusted() }, "--key: expected"),
        (TlsConfig { identity: mixed, ..authority.trusted() }, "--cert and --key"),
    ] {
        let request = RequestConfig { tls, ..RequestConfig::default() };
        let error = Bench::try_new(&HttpConfig { request, ..once() }).err().expect("an error");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.one_line().contains(needle), "{}", error.one_line());
    }
}

#[tokio::test]
async fn fault_of_tls_is_not_tried_again() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let retry = RetryConfig { retry_count: 3, base: Duration::from_millis(1), ..RetryConfig::default() };
    let config = |tls| HttpConfig {
        request: RequestConfig { tls, ..RequestConfig::default() },
        retry: retry.clone(),
        ..HttpConfig::default()
    };
    // An authority that nobody trusts; a certificate that is wanted and not shown; a server that speaks no TLS.
    let unknown = TlsServer::start(&ours, false, page()).await;
    let strict = TlsServer::start(&ours, true, page()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = format!("https://{}", listener.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.write_all(&page()).await;
            // Kept open, so that the answer comes before the end.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    for (origin, tls) in
        [(&unknown.origin, theirs.trusted()), (&strict.origin, ours.trusted()), (&plain, ours.trusted())]
    {
        let fault = Bench::new(&config(tls)).get(origin).await.unwrap_err();
        assert_eq!(fault.attempt_count, 1, "{origin}: {}", fault.reason);
    }
    answering.abort();
}

#[tokio::test]
async fn connection_that_ends_in_its_handshake_is_tried_again() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    let closing = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
        }
    });
    let retry = RetryConfig { retry_count: 2, base: Duration::from_millis(1), ..RetryConfig::default() };
    let request = RequestConfig { tls: authority.trusted(), ..RequestConfig::default() };
    let config = HttpConfig { request, retry, ..HttpConfig::default() };
    let fault = Bench::new(&config).get(&origin).await.unwrap_err();
    closing.abort();
    assert_eq!(fault.attempt_count, 3, "{}", fault.reason);
}
