//! Misuse: exit 2, one line that says where and what to do, and not one request.

use std::path::Path;

use crate::bench::{Etl, Folder, Outcome};
use crate::server::Server;

/// A list of one good page, so that a run that should not begin would be seen.
struct Scene {
    server: Server,
    input: Folder,
    output: Folder,
}

impl Scene {
    fn new() -> Self {
        let input = Folder::with_pages(&[("a.json", "[{\"id\":1}]")]);
        let server = Server::over(input.root());
        server.list(&input, &["a.json"]);
        Self { server, input, output: Folder::new() }
    }

    fn list(&self) -> std::path::PathBuf {
        self.input.path("urls.txt")
    }

    /// A list whose first line is good and whose second one is `line`.
    fn list_with(&self, line: &str) -> std::path::PathBuf {
        self.input.write("wrong.txt", format!("{}/a.json\n{line}\n", self.server.origin))
    }

    /// Exit 2, one line that holds all of `needles`, silence elsewhere, nothing asked, nothing left.
    #[track_caller]
    fn check(&self, outcome: &Outcome, needles: &[&str]) {
        let Outcome { code, stdout, stderr } = outcome;
        assert_eq!(*code, 2, "{stdout}{stderr}");
        assert_eq!(stdout, "");
        assert!(stderr.ends_with('\n') && stderr.lines().count() == 1, "not one line: {stderr:?}");
        for needle in needles {
            assert!(stderr.contains(needle), "{needle:?} is missing: {stderr}");
        }
        assert_eq!(self.server.log().len(), 0, "a request was sent");
        assert!(self.output.names().is_empty(), "{:?}", self.output.names());
    }

    #[track_caller]
    fn check_options(&self, options: &str, needles: &[&str]) {
        let run = Etl::new(&self.list(), &self.output.path("out.parquet")).with(options);
        self.check(&run.run_as_typed(), needles);
    }

    #[track_caller]
    fn check_list(&self, list: &Path, needles: &[&str]) {
        self.check(&Etl::new(list, &self.output.path("out.parquet")).run_as_typed(), needles);
    }

    #[track_caller]
    fn check_out(&self, out: &Path, needles: &[&str]) {
        self.check(&Etl::new(&self.list(), out).run_as_typed(), needles);
    }
}

#[test]
fn missing_list_is_named() {
    let scene = Scene::new();
    scene.check_list(&scene.input.path("nowhere.txt"), &["nowhere.txt", "--urls"]);
}

#[test]
fn list_without_a_url_is_named() {
    let scene = Scene::new();
    for text in ["", "\n\n", "# only a comment\n", "\u{feff}"] {
        scene.check_list(&scene.input.write("empty.txt", text), &["empty.txt", "URL"]);
    }
}

#[test]
fn list_that_is_a_folder_is_named() {
    let scene = Scene::new();
    scene.check_list(scene.input.root(), &["--urls"]);
}

#[test]
fn scheme_that_is_not_served_is_named_with_its_line() {
    let scene = Scene::new();
    for line in ["ftp://example.org/a.json", "s3://bucket/a.json", "gopher://x/"] {
        let scheme = line.split(':').next().unwrap();
        scene.check_list(&scene.list_with(line), &["wrong.txt:2", scheme, "http"]);
    }
}

#[test]
fn garbage_in_the_list_is_named_with_its_line() {
    let scene = Scene::new();
    for line in ["http://", "http://[::1/a.json", "https://exa mple.org:99999/"] {
        scene.check_list(&scene.list_with(line), &["wrong.txt:2"]);
    }
    let list = scene.list_with("");
    let mut bytes = std::fs::read(&list).unwrap();
    bytes.extend(b"\n\xff\xfe.json\n");
    scene.check_list(&scene.input.write("wrong.txt", bytes), &["wrong.txt:4", "UTF-8"]);
}

#[test]
fn wrong_ranges_and_dates_in_the_list_are_named_with_their_line() {
    let scene = Scene::new();
    for pattern in
        ["{1..x}", "{1..}", "{..5}", "{1..2", "{1..99999999999999999999}", "{1..99999999999}", "{date:%Q}"]
    {
        scene.check_list(&scene.list_with(&format!("p{pattern}.json")), &["wrong.txt:2"]);
    }
}

#[test]
fn output_that_is_no_file_is_named() {
    let scene = Scene::new();
    let folder = Folder::new();
    scene.check_out(folder.root(), &[folder.root().to_str().unwrap(), "folder"]);
    scene.check_out(Path::new("-"), &["standard output"]);
    #[cfg(unix)]
    scene.check_out(Path::new("/dev/null"), &["/dev/null"]);
}

#[test]
fn output_in_a_missing_folder_is_named() {
    let scene = Scene::new();
    scene.check_out(&scene.output.path("missing/out.parquet"), &["missing", "create it"]);
}

#[test]
fn output_below_a_file_is_named_with_what_to_do() {
    let scene = Scene::new();
    let below_a_file = scene.input.path("a.json").join("out.parquet");
    scene.check_out(&below_a_file, &["a.json/out.parquet"]);
}

/// `/proc` is a folder in which nobody, root included, can create a file.
#[cfg(target_os = "linux")]
#[test]
fn folder_that_can_not_be_written_is_named_in_one_line_before_any_request() {
    let scene = Scene::new();
    let outcome = Etl::new(&scene.list(), std::path::Path::new("/proc/out.parquet")).run_as_typed();
    assert_eq!(outcome.code, 6, "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("/proc; make it writable or choose another --out"), "{}", outcome.stderr);
    assert_eq!(scene.server.log().len(), 0, "a request was sent");
}

#[test]
fn rejects_file_that_cannot_be_written_is_named() {
    let scene = Scene::new();
    for rejects in [scene.output.path("missing/r.ndjson"), scene.input.root().to_owned()] {
        let run = Etl::new(&scene.list(), &scene.output.path("out.parquet")).arg("--rejects").arg(&rejects);
        scene.check(&run.run_as_typed(), &[rejects.to_str().unwrap()]);
    }
}

#[test]
fn rejects_file_that_is_the_output_is_refused() {
    let scene = Scene::new();
    let out = scene.output.path("out.parquet");
    let run = Etl::new(&scene.list(), &out).arg("--rejects").arg(&out);
    scene.check(&run.run_as_typed(), &["--rejects"]);
}

#[test]
fn wrong_numbers_name_their_option_and_what_is_expected() {
    let scene = Scene::new();
    scene.check_options("--memory 1", &["--memory", "64MiB"]);
    scene.check_options("--memory 63MiB", &["--memory", "64MiB"]);
    scene.check_options("--memory lots", &["--memory"]);
    scene.check_options("--threads 0", &["--threads", "1"]);
    scene.check_options("-j 0", &["--concurrency", "1"]);
    scene.check_options("--concurrency-per-host 0", &["--concurrency-per-host", "1"]);
    scene.check_options("--rate 0/s", &["--rate", "second"]);
    scene.check_options("--rate 100", &["--rate", "100/s"]);
    scene.check_options("--row-group-rows 0", &["--row-group-rows"]);
    scene.check_options("--read-timeout soon", &["--read-timeout"]);
    scene.check_options("--retry=-1", &["--retry"]);
    scene.check_options("--max-rejects 101%", &["--max-rejects"]);
    scene.check_options("--max-failed x", &["--max-failed"]);
    scene.check_options("--as-of 2026-02-30", &["--as-of"]);
    scene.check_options("--as-of yesterday", &["--as-of"]);
}

#[test]
fn wrong_features_and_fields_name_their_option_and_what_is_expected() {
    let scene = Scene::new();
    scene.check_options("--features mode", &["--features", "mode", "variance"]);
    scene.check_options("--features none,mean", &["--features"]);
    scene.check_options("--features mean,mean", &["--features"]);
    scene.check_options("--on-nonfinite drop", &["--on-nonfinite", "skip"]);
    scene.check_options("--values a --values a", &["--values", "a"]);
    scene.check_options("--values x=a --values x=b", &["--values", "x"]);
    scene.check_options("--values /a~2", &["--values"]);
    scene.check_options("--records Records", &["--records", "/Records"]);
    scene.check_options("--records /a~x", &["--records"]);
}

#[test]
fn secrets_on_the_command_line_are_refused_and_not_repeated() {
    let scene = Scene::new();
    let options: [(&[&str], &[&str]); 9] = [
        (&["-H", "Authorization: Bearer hunter2"], &["authorization", "-H @FILE", "--bearer-file"]),
        (&["-H", "Cookie: sid=hunter2"], &["cookie", "-H @FILE"]),
        (&["-H", "X-Api-Key: hunter2"], &["x-api-key", "-H @FILE"]),
        (&["--header", "x-vault-token:hunter2"], &["x-vault-token"]),
        (&["-H", "X-Mine: hunter2", "--redact", "mine"], &["x-mine"]),
        (&["-H", "Proxy-Authorization: Basic hunter2"], &["HTTPS_PROXY"]),
        (&["-x", "http://bob:hunter2@127.0.0.1:1"], &["--proxy", "HTTPS_PROXY"]),
        (&["--body", "hunter2"], &["--body", "@FILE"]),
        (&["{\"url\":\"a.json\",\"body\":\"hunter2\"}"], &["URL argument 1", "--urls"]),
    ];
    for (words, needles) in options {
        let run = Etl::new(&scene.list(), &scene.output.path("out.parquet"));
        let outcome = words.iter().fold(run, Etl::arg).run_as_typed();
        assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
        scene.check(&outcome, needles);
    }
}

#[test]
fn wrong_headers_and_logins_name_their_option_and_repeat_no_secret() {
    let scene = Scene::new();
    let file = |name: &str, text: &str| scene.input.write(name, text).to_str().unwrap().to_owned();
    let (two, crlf) = (file("two", "hunter2 hunter2"), file("crlf", "X-A: 1\nHost: hunter2\n"));
    let (netrc, oauth2) = (file("netrc", "machine a\nhunter2"), file("oauth2", "client_secret = hunter2"));
    let (token, good) = (file("token", "hunter2"), file("good", "Authorization: hunter2"));
    let wide = file("wide", &"hunter2".repeat(200_000));
    for (options, needles) in [
        ("-H hunter2".to_owned(), &["--header", "no colon"][..]),
        ("-H Host:hunter2".into(), &["--header", "host"]),
        ("-H content-length:7".into(), &["content-length"]),
        ("-H Transfer-Encoding:chunked".into(), &["transfer-encoding"]),
        ("-H Accept-Encoding:br".into(), &["accept-encoding"]),
        ("-H Connection:close".into(), &["connection"]),
        ("-H @nowhere".into(), &["--header", "nowhere"]),
        (format!("-H @{crlf}"), &["crlf:2", "host"]),
        (format!("-H @{wide}"), &["--header", "1MiB"]),
        (format!("--bearer-file {two}"), &["--bearer-file", "one token"]),
        (format!("--bearer-file {wide}"), &["--bearer-file", "1MiB"]),
        (format!("--netrc-file {netrc}"), &["--netrc-file", "netrc:2", "machine"]),
        (format!("--oauth2 {oauth2}"), &["--oauth2", "line 1"]),
        (format!("--oauth2 {oauth2} --bearer-file {token}"), &["--oauth2", "--bearer-file"]),
        (format!("--bearer-file {token} -H @{good}"), &["-H", "--bearer-file"]),
        ("--method PUT".into(), &["--method", "POST"]),
        (format!("--method GET --body @{token}"), &["--body", "POST"]),
        ("--body @nowhere".into(), &["--body", "nowhere"]),
        ("-x socks5://127.0.0.1:1".into(), &["--proxy", "http://HOST:PORT"]),
        (format!("--cacert {token}"), &["--cacert", "PEM"]),
        (format!("--cert {token}"), &["--cert", "--key", "PEM"]),
        (format!("--key {token}"), &["--cert"]),
    ] {
        let outcome =
            Etl::new(&scene.list(), &scene.output.path("out.parquet")).with(&format!("-q {options}"));
        let outcome = outcome.run_as_typed();
        assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
        scene.check(&outcome, needles);
    }
    let run = Etl::new(&scene.list(), &scene.output.path("out.parquet")).arg("-H").arg("X-A: b\r\nX-C: d");
    scene.check(&run.run_as_typed(), &["--header", "x-a", "control character"]);
    let run = Etl::new(&scene.list(), &scene.output.path("out.parquet")).arg("-A").arg("b\n");
    scene.check(&run.run_as_typed(), &["--user-agent", "control character"]);
}

#[test]
fn wrong_objects_in_the_list_are_named_with_their_line_and_repeat_no_secret() {
    let scene = Scene::new();
    for (line, needle) in [
        (r#"{"url":"http://h/","header":{"a":"hunter2"}}"#, "unknown field `header`"),
        (r#"{"url":"http://h/","headers":{"a":7,"b":"hunter2"}}"#, "headers: expected"),
        (r#"{"url":"http://h/","body":"hunter2""#, "column"),
        (r#"{"url":"a.json","headers":{"a":"hunter2"}}"#, "http or https"),
        (r#"{"url":"http://u:hunter2@h/","headers":{"Authorization":"hunter2"}}"#, "one Authorization"),
        (r#"{"url":"ftp://u:hunter2@h/"}"#, "http"),
        (r#"{"method":"POST"}"#, "missing field `url`"),
    ] {
        let list = scene.list_with(line);
        let outcome = Etl::new(&list, &scene.output.path("out.parquet")).run_as_typed();
        assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
        scene.check(&outcome, &["wrong.txt:2", needle]);
    }
}

#[test]
fn missing_or_unknown_options_are_named() {
    let scene = Scene::new();
    scene.check_options("--frobnicate", &["--frobnicate"]);
    let no_out = Etl::bare().arg("--urls").arg(scene.list());
    scene.check(&no_out.run_as_typed(), &["--out"]);
    let no_urls = Etl::bare().arg("--out").arg(scene.output.path("out.parquet"));
    scene.check(&no_urls.run_as_typed(), &["--urls"]);
    scene.check_options("--state s --keep-raw raw", &["--state", "--keep-raw"]);
    // An option exists once it works.
    for later in ["--partition-by day", "--file-bytes 1GiB", "--metrics-addr 127.0.0.1:0"] {
        let (name, _) = later.split_once(' ').unwrap();
        scene.check_options(later, &[name]);
    }
}
