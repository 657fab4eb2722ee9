//! What is sent with the requests: headers, logins, bodies, proxies; and that none of it is shown or stands in a flag.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::bench::{Etl, Folder, Outcome};
use crate::server::closed_origin;
use crate::table::Table;

/// An origin, or a proxy, that answers everything with a page of one record, and keeps what it was told.
struct Recorder {
    host: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    fn new() -> Self {
        Self::answering(|_| "200 OK\r\n".to_owned(), r#"[{"id":1}]"#)
    }

    /// Answers with this status line and these headers.
    fn answering(head: impl Fn(&str) -> String + Send + 'static, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    let mut request = Vec::new();
                    while !is_whole(&request) {
                        let mut byte = [0];
                        if stream.read(&mut byte).unwrap_or(0) == 0 {
                            break;
                        }
                        request.push(byte[0]);
                    }
                    let request = String::from_utf8(request).unwrap();
                    let answer = format!(
                        "HTTP/1.1 {}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                        head(&request),
                        body.len()
                    );
                    seen.lock().unwrap().push(request);
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
        });
        Self { host, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.host)
    }

    fn seen(&self) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap().clone();
        seen.sort();
        seen
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.to_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// A folder with a list and files that nobody else may read.
struct Scene {
    input: Folder,
    output: Folder,
}

impl Scene {
    fn new(list: &str) -> Self {
        let input = Folder::new();
        input.write("urls.txt", list);
        Self { input, output: Folder::new() }
    }

    fn private(&self, name: &str, text: &str) -> PathBuf {
        let path = self.input.write(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn etl(&self) -> Etl {
        Etl::between(&self.input, &self.output).current_dir(self.input.root())
    }

    fn run(&self, options: &str) -> Outcome {
        self.etl().with(options).run()
    }

    /// Nothing that was said or written holds it.
    #[track_caller]
    fn check_hidden(&self, outcome: &Outcome, secret: &str) {
        let mut texts = vec![outcome.stdout.clone(), outcome.stderr.clone()];
        for name in self.output.names() {
            texts.push(String::from_utf8_lossy(&self.output.read(&name)).into_owned());
        }
        for text in texts {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn headers_come_from_the_command_line_and_from_files() {
    let server = Recorder::new();
    let scene = Scene::new(&server.url("a"));
    scene.private("headers", "# of the vault\nAuthorization: Token hunter2\r\n\nCookie: sid=hunter2\n");
    let run = scene.etl().arg("-H").arg("X-Tenant: blue").arg("--header").arg("@headers");
    let outcome = run.with("-A me/1 -vv").run().exits(0);
    let [request] = server.seen().try_into().unwrap();
    for line in ["x-tenant: blue", "authorization: Token hunter2", "cookie: sid=hunter2", "user-agent: me/1"]
    {
        assert!(request.lines().any(|sent| sent == line), "{line}: {request}");
    }
    assert!(!outcome.stderr.contains("can read"), "{}", outcome.stderr);
    scene.check_hidden(&outcome, "hunter2");
}

#[test]
fn logins_come_from_files() {
    for (option, text, sent) in [
        ("--bearer-file", "hunter2\n", "authorization: Bearer hunter2"),
        (
            "--netrc-file",
            "machine 127.0.0.1\n login bob\n password hunter2\n",
            "authorization: Basic Ym9iOmh1bnRlcjI=",
        ),
    ] {
        let server = Recorder::new();
        let scene = Scene::new(&server.url("a"));
        scene.private("login", text);
        let outcome = scene.run(&format!("{option} login -vv")).exits(0);
        assert!(server.seen()[0].lines().any(|line| line == sent), "{:?}", server.seen());
        scene.check_hidden(&outcome, "hunter2");
        scene.check_hidden(&outcome, "Ym9iOmh1bnRlcjI=");
    }
}

#[test]
fn token_is_had_from_the_endpoint_in_the_file() {
    let tokens = Recorder::answering(|_| "200 OK\r\n".to_owned(), r#"{"access_token":"hunter3"}"#);
    let server = Recorder::new();
    let scene = Scene::new(&format!("{}\n{}\n", server.url("a"), server.url("b")));
    let text = format!(
        "token_url = \"{}\"\nclient_id = \"me\"\nclient_secret = \"hunter2\"\nclient_auth = \"body\"\n",
        tokens.url("token")
    );
    scene.private("oauth2.toml", &text);
    let outcome = scene.run("--oauth2 oauth2.toml -vv").exits(0);
    let [asked] = tokens.seen().try_into().unwrap();
    assert!(asked.ends_with("grant_type=client_credentials&client_id=me&client_secret=hunter2"), "{asked}");
    for request in server.seen() {
        assert!(request.contains("authorization: Bearer hunter3\r\n"), "{request}");
    }
    assert_eq!(outcome.count("/requests/sent"), 3);
    for secret in ["hunter2", "hunter3"] {
        scene.check_hidden(&outcome, secret);
    }
    std::fs::write(
        scene.input.path("oauth2.toml"),
        text.replace(&format!("http://{}", tokens.host), &closed_origin()),
    )
    .unwrap();
    let outcome = scene.run("--oauth2 oauth2.toml --retry 0 -vv").exits(5);
    scene.check_hidden(&outcome, "hunter2");
}

#[test]
fn body_is_posted() {
    let server = Recorder::new();
    let scene = Scene::new(&server.url("search"));
    scene.input.write("query.json", r#"{"q":"hunter2"}"#);
    for options in ["--body @query.json", "--body @query.json --method post", "--method POST"] {
        let outcome = scene.run(&format!("{options} -vv")).exits(0);
        scene.check_hidden(&outcome, "hunter2");
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| request.starts_with("POST /search ")), "{seen:?}");
    let with_body = seen.iter().filter(|request| {
        request.contains("content-type: application/json\r\n")
            && request.ends_with("\r\n\r\n{\"q\":\"hunter2\"}")
    });
    assert_eq!(with_body.count(), 2);
}

#[test]
fn line_of_the_list_may_say_how_its_pages_are_asked_for() {
    let server = Recorder::new();
    let list = [
        server.url("a"),
        format!(
            r#"{{"url":"{}","headers":{{"Authorization":"hunter2","X-A":"own"}}}}"#,
            server.url("b{1..2}")
        ),
        format!(r#"{{"url":"{}","body":{{"q":"hunter2"}}}}"#, server.url("c")),
        format!(r#"{{"url":"{}","body":{{"q":"other"}}}}"#, server.url("c")),
        format!(r#"{{"url":"{}","method":"POST","body":{{"q":"other"}}}}"#, server.url("c")),
        format!(r#"{{"url":"{}","method":"GET"}}"#, server.url("a")),
    ];
    let scene = Scene::new(&list.join("\n"));
    let run = scene.etl().arg("-H").arg("X-A: all").with("-vv --provenance");
    let outcome = run.run().exits(0);
    // A GET is what the first line asks for too, and the two posts of `other` are one.
    assert_eq!((outcome.count("/pages/fetched"), outcome.count("/pages/duplicate")), (5, 1 + 1));
    let seen = server.seen();
    assert_eq!(seen.len(), 5);
    for (request, (begin, lines)) in seen.iter().zip([
        ("GET /a ", &["x-a: all"][..]),
        ("GET /b1 ", &["authorization: hunter2", "x-a: own"]),
        ("GET /b2 ", &["authorization: hunter2", "x-a: own"]),
        ("POST /c ", &["x-a: all", "{\"q\":\"other\"}"]),
        ("POST /c ", &["x-a: all", "{\"q\":\"hunter2\"}"]),
    ]) {
        assert!(request.starts_with(begin), "{request}");
        assert!(lines.iter().all(|line| request.lines().any(|sent| sent == *line)), "{request}");
        assert_eq!(request.matches("x-a: ").count(), 1);
    }
    assert_eq!(Table::read(&scene.output.path("out.parquet")).rows.len(), 5);
    scene.check_hidden(&outcome, "hunter2");
}

#[test]
fn failed_page_shows_nothing_of_what_was_sent() {
    let server = Recorder::answering(|_| "403 Forbidden\r\n".to_owned(), "no");
    let line = format!(
        r#"{{"url":"http://{}/x?token=hunter2&day=1","headers":{{"X-Api-Key":"hunter2"}},"body":"hunter2"}}"#,
        server.host
    );
    let scene = Scene::new(&line);
    let outcome = scene.run("-vv").exits(1);
    scene.check_hidden(&outcome, "hunter2");
    assert!(outcome.stdout.contains("day=1"), "{}", outcome.stdout);
    let rejects = scene.output.path("out.parquet.rejects.ndjson");
    assert_eq!(std::fs::metadata(rejects).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn redirect_takes_no_header_to_another_origin() {
    let away = Recorder::new();
    let location = format!("302 Found\r\nSet-Cookie: a=b\r\nLocation: {}\r\n", away.url("there"));
    let home = Recorder::answering(move |_| location.clone(), "");
    let scene = Scene::new(&home.url("a"));
    scene.private("headers", "X-Api-Key: hunter2");
    scene.run("-H @headers").exits(0);
    assert!(home.seen()[0].contains("hunter2"));
    let [request] = away.seen().try_into().unwrap();
    for word in ["hunter2", "x-api-key", "cookie", "referer"] {
        assert!(!request.contains(word), "{request}");
    }
}

#[test]
fn proxy_is_the_one_of_the_option_or_of_the_environment() {
    for (options, variable) in [("-x http://PROXY", ""), ("--proxy PROXY", ""), ("", "HTTP_PROXY")] {
        let (proxy, server) = (Recorder::new(), Recorder::new());
        let direct = Recorder::new();
        let (_, port) = direct.host.split_once(':').unwrap();
        let direct_url = format!("http://localhost:{port}/direct");
        let scene = Scene::new(&format!("{}\n{direct_url}\n", server.url("a")));
        let mut etl = scene.etl().with(&options.replace("PROXY", &proxy.host)).env("NO_PROXY", "localhost");
        if !variable.is_empty() {
            etl = etl.env(variable, &format!("http://bob:hunter2@{}", proxy.host));
        }
        let outcome = etl.with("-vv").run().exits(0);
        let [request] = proxy.seen().try_into().unwrap();
        assert!(request.starts_with(&format!("GET {} ", server.url("a"))), "{request}");
        assert_eq!(request.contains("Basic Ym9iOmh1bnRlcjI="), !variable.is_empty(), "{request}");
        assert!(server.seen().is_empty() && direct.seen()[0].starts_with("GET /direct "));
        scene.check_hidden(&outcome, "hunter2");
        scene.check_hidden(&outcome, "Ym9iOmh1bnRlcjI=");
    }
}

#[test]
fn secret_file_that_all_can_read_is_warned_of_once() {
    let server = Recorder::new();
    let scene = Scene::new(&server.url("a"));
    let path = scene.private("token", "hunter2");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = scene.run("--bearer-file token").exits(0);
    assert_eq!(
        outcome.stderr.matches("etl: --bearer-file: every user of this machine can read token").count(),
        1
    );
    assert!(scene.run("--bearer-file token -q").exits(0).stderr.is_empty());
}

#[test]
fn etl_schema_asks_as_a_run_does() {
    let server = Recorder::new();
    let scene = Scene::new(&server.url("a"));
    scene.private("token", "hunter2");
    let run = Etl::bare().arg("schema").arg("--urls").arg(scene.input.path("urls.txt")).arg("--bearer-file");
    let outcome = run.arg(scene.input.path("token")).run_as_typed();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(server.seen()[0].contains("authorization: Bearer hunter2"));
}
