//! What a list says and how a wrong one is refused.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::config::{Header, Method, Secret};
use crate::error::ErrorKind;

fn config(urls: &[&str]) -> InputConfig {
    InputConfig {
        urls: urls.iter().map(ToString::to_string).collect(),
        as_of: Day::parse("2026-01-31"),
        ..InputConfig::default()
    }
}

fn open(list: &[u8], urls: &[&str]) -> Result<UrlList> {
    let source = Source::Memory(Cursor::new(list.to_vec()));
    let mut config = config(urls);
    config.urls_file = Some("urls.txt".into());
    UrlList::check(Some(source), "urls.txt", Path::new("/lists"), &config)
}

fn rows(list: &[u8], urls: &[&str]) -> Vec<(u64, u64, String)> {
    let requests = open(list, urls).unwrap().requests().unwrap();
    requests.map(|request| request.unwrap()).map(|r| (r.id.ordinal, r.id.line, r.shown.to_string())).collect()
}

fn fault(list: &str) -> String {
    let error = open(list.as_bytes(), &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    error.to_string()
}

#[test]
fn comments_blank_lines_carriage_returns_and_a_bom_are_no_urls() {
    let list = "\u{feff}# head\r\nhttp://h/1\r\n\r\n   \n  # indented\nhttp://h/2";
    assert_eq!(rows(list.as_bytes(), &[]), [(0, 2, "http://h/1".into()), (1, 6, "http://h/2".into())]);
}

#[test]
fn arguments_come_after_the_list_with_line_0() {
    let rows = rows(b"http://h/1\n", &["http://h/{2..3}"]);
    let shown: Vec<_> = rows.iter().map(|(ordinal, line, shown)| (*ordinal, *line, shown.as_str())).collect();
    assert_eq!(shown, [(0, 1, "http://h/1"), (1, 0, "http://h/2"), (2, 0, "http://h/3")]);
}

#[test]
fn path_is_relative_to_the_list_and_to_the_working_folder_for_an_argument() {
    let list = open(b"pages/a b.json\n/abs.json\nfile:///x/%7By%7D.json\n", &["arg.json"]).unwrap();
    let paths: Vec<_> = list.requests().unwrap().map(|request| request.unwrap().location).collect();
    let here = std::env::current_dir().unwrap().join("arg.json");
    assert_eq!(
        paths,
        ["/lists/pages/a b.json".into(), "/abs.json".into(), "/x/{y}.json".into(), here].map(Location::File)
    );
}

#[test]
fn repeated_url_is_asked_for_once_and_counted() {
    let list = open(
        b"http://h/1\nHTTP://H:80/1#x\nhttp://h/{1..3}\na//b.json\n./a/./b.json\nfile:///lists/a/b.json\n",
        &[],
    )
    .unwrap();
    assert_eq!(list.listed(), 8);
    let mut requests = list.requests().unwrap();
    let shown: Vec<_> = requests.by_ref().map(|request| request.unwrap().shown.to_string()).collect();
    assert_eq!(shown, ["http://h/1", "http://h/2", "http://h/3", "a//b.json"]);
    assert_eq!(requests.duplicates(), 4);
}

#[test]
fn url_is_shown_without_its_secrets() {
    assert_eq!(rows(b"http://u:p@h/?token=t&n={1..1}\n", &[])[0].2, "http://***@h/?token=***&n=1");
}

#[test]
fn wrong_line_is_named_with_what_was_expected() {
    assert!(
        fault("http://h/\nftp://h/\n")
            .starts_with("urls.txt:2: expected http, https, file or a path, got ftp;")
    );
    assert!(fault("http://h/{id}\n").starts_with("urls.txt:1: expected {1..2000}"));
    assert!(fault("http://\n").starts_with("urls.txt:1: expected a URL"));
    assert!(fault("http://h:{65535..65536}/\n").contains("invalid port"));
    assert!(fault("http://10.0.0.{254..256}/\n").contains("invalid IPv4"));
    assert!(fault("http://h/a http://h/b\n").contains("%20"));
    assert!(fault("file://other/x.json\n").contains("another host"));
    assert!(fault("a\u{1}b\n").contains("control character"));
    assert!(fault(&"x".repeat(70_000)).contains("longer than 65536 bytes"));
    let error = open(b"http://h/\n\xff\n", &[]).unwrap_err().to_string();
    assert_eq!(error, "urls.txt:2: expected UTF-8, got bytes that are not");
    let error = UrlList::open(&config(&["http://h/", "s3://b/k"])).unwrap_err().to_string();
    assert!(error.starts_with("URL argument 2: expected http"), "{error}");
}

#[test]
fn fault_in_a_url_does_not_repeat_its_secrets() {
    for line in ["http://u:hunter2@h:x/\n", "http://h /?token=hunter2\n", "s3://hunter2@h/\n"] {
        assert!(!fault(line).contains("hunter2"), "{}", fault(line));
    }
}

#[test]
fn missing_empty_or_unnamed_list_is_one_clear_line() {
    assert_eq!(fault("# nothing\n\n"), "urls.txt: expected at least one URL, got an empty list");
    let none = UrlList::open(&config(&[])).unwrap_err();
    assert!(none.to_string().contains("--urls FILE"));
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("no.txt"), folder.path().to_owned()] {
        let error = UrlList::open(&InputConfig { urls_file: Some(path), ..config(&[]) }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.one_line().starts_with("could not open the URL list"), "{}", error.one_line());
    }
}

#[test]
fn digest_depends_on_the_urls_and_the_day_alone() {
    let digest = |list: &str| open(list.as_bytes(), &[]).unwrap().digest().to_owned();
    let plain = digest("http://h/{1..3}\nhttp://h/2026-01-31\n");
    assert_eq!(digest("# x\r\nhttp://h/{1..3}\r\n\nhttp://h/{date:%Y-%m-%d}"), plain);
    assert_ne!(digest("http://h/{1..4}\nhttp://h/2026-01-31\n"), plain);
    assert_eq!(open(b"", &["http://h/{1..3}", "http://h/2026-01-31"]).unwrap().digest(), plain);
}

/// A line that asks for `http://h/` and says more of it.
fn line(more: &str) -> String {
    format!("{{\"url\":\"http://h/\"{more}}}\n")
}

#[test]
fn another_method_body_or_header_is_another_page() {
    let plain = ["http://h/\n".to_owned(), line(""), line(r#","method":"GET""#), line(r#","headers":{}"#)];
    let others = [
        line(r#","method":"POST""#),
        line(r#","body":"a""#),
        line(r#","body":"b""#),
        line(r#","headers":{"X-Api-Key":"a"}"#),
        line(r#","headers":{"X-Api-Key":"b"}"#),
        line(r#","headers":{"a":"bc"}"#),
        line(r#","headers":{"ab":"c"}"#),
    ];
    let all = [plain.concat(), others.concat(), others.concat()].concat();
    let mut requests = open(all.as_bytes(), &[]).unwrap().requests().unwrap();
    let asked: Vec<_> = requests.by_ref().map(|request| request.unwrap().ask).collect();
    assert_eq!((asked.len(), requests.duplicates()), (1 + others.len(), 3 + others.len() as u64));
    assert_eq!(asked[2].own().body, Some(Secret::new("a")));
    assert_eq!(asked[4].own().headers, [Header::known("x-api-key", "a")]);
}

#[test]
fn page_is_asked_for_as_all_are_unless_its_line_says_otherwise() {
    let list =
        ["http://h/\n".to_owned(), line(r#","body":"all""#), line(r#","method":"GET""#), "a.json".into()];
    let mut config = config(&[]);
    (config.method, config.body) = (Method::Post, Some(Secret::new("all")));
    config.urls_file = Some("urls.txt".into());
    let source = Source::Memory(Cursor::new(list.concat().into_bytes()));
    let list = UrlList::check(Some(source), "urls.txt", Path::new("/lists"), &config).unwrap();
    let asked: Vec<_> = list.requests().unwrap().map(|request| request.unwrap().ask).collect();
    let methods: Vec<_> = asked.iter().map(|ask| ask.own().method).collect();
    assert_eq!(methods, [Method::Post, Method::Get, Method::Post]);
}

#[test]
fn digest_is_that_of_the_pages_whatever_the_keys_to_them() {
    let digest = |list: &str| open(list.as_bytes(), &[]).unwrap().digest().to_owned();
    let keyed = |key: &str| digest(&line(&format!(r#","headers":{{"X-Api-Key":"{key}"}}"#)));
    assert_eq!(keyed("a"), keyed("b"));
    let tenant = |name: &str| digest(&line(&format!(r#","headers":{{"X-Tenant":"{name}"}}"#)));
    assert_ne!(tenant("a"), tenant("b"));
    assert_eq!(digest("http://h/\n"), digest(&line("")));
    assert_ne!(digest("http://h/\n"), digest(&line(r#","body":"a""#)));
}

#[test]
fn list_that_is_replaced_between_the_passes_is_the_one_that_was_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("urls.txt");
    std::fs::write(&path, "http://h/1\nhttp://h/2\n").unwrap();
    let list = UrlList::open(&InputConfig { urls_file: Some(path.clone()), ..config(&[]) }).unwrap();
    std::fs::write(folder.path().join("new"), "http://h/3\n").unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    assert_eq!(list.requests().unwrap().filter_map(Result::ok).count(), 2);
}

#[test]
fn list_that_is_written_over_between_the_passes_ends_in_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("urls.txt");
    for new in [
        "",
        "http://h/1\n",
        "http://h/1\nftp://x\n",
        "http://h/1\n\u{0}",
        "http://h/1\nhttp://h/2\nhttp://h/3\n",
    ] {
        std::fs::write(&path, "http://h/1\nhttp://h/2\n").unwrap();
        let list = UrlList::open(&InputConfig { urls_file: Some(path.clone()), ..config(&[]) }).unwrap();
        std::fs::write(&path, new).unwrap();
        let mut requests = list.requests().unwrap();
        let last = requests.by_ref().last().expect("at least the error").unwrap_err();
        assert!(last.to_string().contains("changed while it was read"), "{new:?}: {last}");
        assert!(requests.next().is_none());
    }
}

proptest! {
    #[test]
    fn no_list_panics_and_what_was_checked_can_be_read(list in "([a-z:/.#{}0-9 \r\n?=@\u{feff}]|http://h/|\\{1\\.\\.3\\}){0,40}") {
        if let Ok(list) = open(list.as_bytes(), &[]) {
            let listed = list.listed();
            prop_assume!(listed < 1000);
            let mut requests = list.requests().unwrap();
            let asked = requests.by_ref().collect::<Result<Vec<_>>>().unwrap().len() as u64;
            prop_assert_eq!(asked + requests.duplicates(), listed);
        }
    }
}
