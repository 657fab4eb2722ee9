//! Chains of pages, as APIs have them: followed to their end, in one order, and never ended quietly.

use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::server::{Api, Server};
use crate::table::Table;

const REJECTS: &str = "out.parquet.rejects.ndjson";

#[track_caller]
pub(crate) fn run(site: &Folder, options: &str, code: i32) -> (Outcome, Folder) {
    let output = Folder::new();
    let outcome = Etl::between(site, &output).with(options).run().exits(code);
    (outcome, output)
}

#[track_caller]
pub(crate) fn ids(output: &Folder) -> Vec<i64> {
    let table = Table::read(&output.path("out.parquet"));
    table.column("id").iter().map(|id| id.as_i64().unwrap()).collect()
}

/// The value of a parameter of a target.
pub(crate) fn parameter<'a>(target: &'a str, name: &str) -> Option<&'a str> {
    let query = target.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

pub(crate) fn number(target: &str, name: &str, default: u64) -> u64 {
    parameter(target, name).map_or(default, |value| value.parse().unwrap())
}

pub(crate) fn records(ids: impl IntoIterator<Item = u64>) -> Vec<Value> {
    ids.into_iter().map(|id| json!({"id": id})).collect()
}

pub(crate) fn plain(body: &Value) -> (String, String) {
    (String::new(), body.to_string())
}

pub(crate) fn reasons(outcome: &Outcome) -> Vec<(u64, String)> {
    let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let failures = summary["failures"].as_array().unwrap().clone();
    failures
        .iter()
        .map(|of| (of["page"].as_u64().unwrap(), of["reason"].as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn links_are_followed_and_rows_stand_by_page_then_by_line() {
    let pages = Folder::new();
    for (name, first) in [("a", 100), ("b", 200)] {
        for page in 1..=3 {
            let id = first + page;
            pages.write(&format!("{name}-{page}.json"), format!("[{{\"id\":{id}}}]"));
        }
    }
    pages.write("c.json", "[{\"id\":300}]");
    let server = Server::over(pages.root());
    let site = Folder::new();
    server.list(&site, &["a.json?pages=3", "c.json", "b.json?pages=2"]);
    let mut files = Vec::new();
    for machine in ["", " -j 1", " -j 64 --threads 1"] {
        let (outcome, output) = run(&site, &format!("--paginate link --provenance{machine}"), 0);
        assert_eq!(ids(&output), [101, 300, 201, 102, 202, 103]);
        let table = Table::read(&output.path("out.parquet"));
        assert_eq!(table.column("_etl_page"), [1, 1, 1, 2, 2, 3].map(|page| json!(page)));
        assert_eq!((outcome.count("/pages/listed"), outcome.count("/pages/fetched")), (6, 6));
        files.push(output.read("out.parquet"));
    }
    assert!(files.iter().all(|file| *file == files[0]), "one file on any machine");
}

#[test]
fn every_kind_of_pagination_comes_to_its_end() {
    let all = || (0..25).collect::<Vec<i64>>();
    // Django REST framework.
    let django = Api::new(|target| {
        let from = number(target, "from", 0);
        let next = (from < 20).then(|| format!("?from={}", from + 10));
        plain(&json!({"count": 25, "next": next, "results": records(from..(from + 10).min(25))}))
    });
    let (_, output) = run(
        &django.site(&["/logs"]),
        "--records /results --paginate json-link --next-path /next --total-path /count",
        0,
    );
    assert_eq!(ids(&output), all());
    assert_eq!(django.asked(), ["/logs", "/logs?from=10", "/logs?from=20"]);

    // Slack, Kubernetes: a cursor that is empty at the end.
    let slack = Api::new(|target| {
        let from = parameter(target, "cursor")
            .map_or(0, |cursor| cursor.strip_suffix("%3D").unwrap().parse().unwrap());
        let next = if from < 20 { format!("{}=", from + 10) } else { String::new() };
        plain(
            &json!({"messages": records(from..(from + 10).min(25)), "response_metadata": {"next_cursor": next}}),
        )
    });
    let options = "--records /messages --paginate cursor --next-path /response_metadata/next_cursor --cursor-param cursor";
    let (_, output) = run(&slack.site(&["/history?limit=10"]), options, 0);
    assert_eq!(ids(&output), all());
    assert_eq!(
        slack.asked(),
        ["/history?limit=10", "/history?limit=10&cursor=10%3D", "/history?limit=10&cursor=20%3D"]
    );

    // Jira: an offset, and a total.
    let jira = Api::new(|target| {
        let from = number(target, "startAt", 0);
        plain(&json!({"startAt": from, "total": 25, "issues": records(from..(from + 10).min(25))}))
    });
    let options = "--records /issues --paginate offset --offset-param startAt --total-path /total";
    let (_, output) = run(&jira.site(&["/search?startAt=0&maxResults=10"]), options, 0);
    assert_eq!(ids(&output), all());
    assert_eq!(jira.asked().len(), 4, "the empty page is the last");
    let (_, output) = run(&jira.site(&["/search"]), &format!("{options} --page-size 10"), 0);
    assert_eq!(ids(&output), all());
    assert_eq!(jira.asked().len(), 7, "a short page is the last");

    // GitLab: numbered pages of bare arrays.
    let gitlab = Api::new(|target| {
        let from = (number(target, "page", 1) - 1) * 10;
        plain(&Value::from(records(from..(from + 10).min(25.max(from)))))
    });
    let (_, output) = run(&gitlab.site(&["/events?page=1&per_page=10"]), "--paginate page", 0);
    assert_eq!(ids(&output), all());
    assert_eq!(gitlab.asked().last().unwrap(), "/events?page=4&per_page=10");
}

#[test]
fn auto_says_what_it_chose_and_why() {
    let next = |target: &str| number(target, "n", 0) + 1;
    let page = move |target: &str, beside: Value| {
        let mut page = json!({"items": records([next(target)])});
        page.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
        page
    };
    let link = Api::new(move |target| {
        let next = next(target);
        let head =
            if next < 3 { format!("Link: </x?n={next}>; rel=\"prev next\"\r\n") } else { String::new() };
        (head, page(target, json!({})).to_string())
    });
    let json_link = Api::new(move |target| {
        let next = next(target);
        plain(&page(target, json!({"@odata.nextLink": (next < 3).then(|| format!("/x?n={next}"))})))
    });
    let cursor = Api::new(move |target| {
        let next = number(target, "pageToken", 0) + 1;
        let token = (next < 3).then(|| next.to_string());
        plain(&json!({"items": records([next]), "nextPageToken": token}))
    });
    for (api, choice) in [
        (&link, "link: the first page has a Link header"),
        (&json_link, "json-link --next-path /@odata.nextLink"),
        (&cursor, "cursor --next-path /nextPageToken --cursor-param pageToken"),
    ] {
        let (outcome, output) = run(&api.site(&["/x"]), "--records /items --paginate auto", 0);
        assert_eq!(ids(&output), [1, 2, 3], "{choice}");
        assert!(outcome.stdout.contains(choice), "{choice}: {}", outcome.stdout);
    }
    let alone = Api::new(|_| plain(&json!([{"id": 1}])));
    let (outcome, output) = run(&alone.site(&["/x"]), "--paginate auto", 0);
    assert_eq!(ids(&output), [1]);
    assert!(outcome.stdout.contains("none: the first page tells of no other one"), "{}", outcome.stdout);
}

#[test]
fn server_that_turns_no_pages_doubles_no_record() {
    let api = Api::new(|_| plain(&json!([{"id": 1}, {"id": 2}])));
    for (paging, name) in [("page", "page"), ("offset", "offset"), ("page --page-param p", "p")] {
        let (outcome, output) =
            run(&api.site(&[&format!("/x?{name}=1")]), &format!("--paginate {paging}"), 3);
        assert_eq!(ids(&output), [1, 2]);
        let [(2, reason)] = &reasons(&outcome)[..] else { panic!("{}", outcome.stdout) };
        assert!(reason.contains("same bytes again") && reason.contains(name), "{reason}");
        assert_eq!(output.json_lines(REJECTS).len(), 1);
    }
}

#[test]
fn chain_that_leads_back_is_a_failure_and_its_pages_count_once() {
    // Pages 1, 2 and 3, and then 2 again.
    let api = Api::new(|target| {
        let page = number(target, "p", 1);
        let next = if page == 3 { 2 } else { page + 1 };
        (format!("Link: <?p={next}>; rel=next\r\n"), json!([{"id": page}]).to_string())
    });
    let (outcome, output) = run(&api.site(&["/x"]), "--paginate link", 3);
    assert_eq!(ids(&output), [1, 2, 3]);
    let [(4, reason)] = &reasons(&outcome)[..] else { panic!("{}", outcome.stdout) };
    assert!(reason.contains("has no end"), "{reason}");
    assert_eq!((outcome.count("/pages/listed"), outcome.count("/pages/failed")), (4, 1));
    // A cursor that stays as it is.
    let stuck = Api::new(|_| plain(&json!({"items": [{"id": 1}], "next_cursor": "same"})));
    let options = "--records /items --paginate cursor --next-path /next_cursor --cursor-param c";
    let (outcome, output) = run(&stuck.site(&["/x"]), options, 3);
    assert_eq!(ids(&output), [1]);
    assert_eq!(reasons(&outcome).len(), 1);
}

#[test]
fn endless_chain_is_a_failure_at_its_limit() {
    let api = Api::new(|target| {
        let page = number(target, "p", 1);
        (format!("Link: <?p={}>; rel=next\r\n", page + 1), json!([{"id": page}]).to_string())
    });
    let (outcome, output) = run(&api.site(&["/x", "/y"]), "--paginate link --max-pages 3", 3);
    assert_eq!(ids(&output), [1, 1, 2, 2, 3, 3]);
    assert_eq!(api.asked().len(), 6);
    for (page, reason) in reasons(&outcome) {
        assert_eq!(page, 4);
        assert!(reason.contains("within 3 pages (--max-pages)"), "{reason}");
    }
    assert_eq!(outcome.count("/pages/failed"), 2);
    let (_, output) = run(&api.site(&["/x"]), "--paginate link --max-pages 3 --strict", 4);
    assert!(!output.names().contains(&"out.parquet".to_owned()), "nothing is published");
}

#[test]
fn total_that_was_not_met_is_a_failure() {
    let api = |total: Value| {
        Api::new(move |target| {
            let next = if target.contains("p=2") { Value::Null } else { json!("?p=2") };
            let id = u64::from(target.contains("p=2"));
            plain(&json!({"meta": {"total": total, "next": next}, "items": [{"id": id}, 7]}))
        })
    };
    let options = "--records /items --paginate json-link --next-path /meta/next --total-path /meta/total";
    let (outcome, output) = run(&api(json!(4)).site(&["/x"]), options, 3);
    assert_eq!((ids(&output), reasons(&outcome)), (vec![0, 1], vec![]), "records that are rejected count");
    for (total, reason) in [
        (json!(5), "expected 5 records in the chain (--total-path /meta/total), got 4"),
        (json!("3"), "expected 3 records in the chain (--total-path /meta/total), got 4"),
        (json!(null), "expected a total at --total-path /meta/total in a page of the chain, got none"),
        (json!("many"), "expected a count at --total-path /meta/total, got many"),
    ] {
        let (outcome, output) = run(&api(total).site(&["/x"]), options, 3);
        assert_eq!(ids(&output)[0], 0);
        assert_eq!(reasons(&outcome)[0].1, reason);
    }
}

#[test]
fn chain_stays_at_its_origin_unless_it_may_leave() {
    let other = Api::new(|_| plain(&json!([{"id": 2}])));
    let there = other.origin.clone();
    let api =
        Api::new(move |_| (format!("Link: <{there}/next>; rel=next\r\n"), json!([{"id": 1}]).to_string()));
    let (outcome, output) = run(&api.site(&["/x"]), "--paginate link", 3);
    assert_eq!(ids(&output), [1]);
    assert!(reasons(&outcome)[0].1.contains("--allow-next-origin"), "{:?}", reasons(&outcome));
    assert_eq!(other.asked(), Vec::<String>::new());
    let (_, output) = run(&api.site(&["/x"]), "--paginate link --allow-next-origin", 0);
    assert_eq!(ids(&output), [1, 2]);
}

#[test]
fn page_that_is_listed_and_linked_is_fetched_once() {
    let api = Api::new(|target| {
        let page = number(target, "p", 1);
        let head = if page < 4 { format!("Link: <?p={}>; rel=next\r\n", page + 1) } else { String::new() };
        (head, json!([{"id": page}]).to_string())
    });
    let (outcome, output) = run(&api.site(&["/x", "/x?p=3"]), "--paginate link", 0);
    assert_eq!(ids(&output), [1, 3, 2, 4]);
    assert_eq!(outcome.count("/pages/duplicate"), 1);
    assert_eq!(api.asked().len(), 4);
}

#[test]
fn chain_ends_at_a_page_that_fails_and_others_go_on() {
    let api = Api::new(|target| {
        let page = number(target, "p", 1);
        let head = if page < 3 { format!("Link: <?p={}>; rel=next\r\n", page + 1) } else { String::new() };
        let is_broken = target.starts_with("/a") && page == 2;
        (head, if is_broken { "<html>".to_owned() } else { json!([{"id": page}]).to_string() })
    });
    let (outcome, output) = run(&api.site(&["/a", "/b"]), "--paginate link", 3);
    assert_eq!(ids(&output), [1, 1, 2, 3]);
    assert_eq!((outcome.count("/pages/listed"), outcome.count("/pages/failed")), (5, 1));
}

#[test]
fn schema_is_that_of_all_pages_of_the_chains() {
    let api = Api::new(|target| {
        let page = number(target, "p", 1);
        let head = if page < 3 { format!("Link: <?p={}>; rel=next\r\n", page + 1) } else { String::new() };
        (head, json!([{format!("k{page}"): page}]).to_string())
    });
    let schema =
        Etl::bare().arg("schema").with("--paginate link").arg(format!("{}/x", api.origin)).run_as_typed();
    assert_eq!(schema.code, 0, "{}", schema.stderr);
    for key in ["k1", "k2", "k3"] {
        assert!(schema.stdout.contains(&format!("name = \"{key}\"")), "{}", schema.stdout);
    }
}

#[test]
fn options_of_pagination_that_would_do_nothing_are_refused() {
    for (options, needle) in [
        ("--next-path /next", "--paginate json-link or cursor"),
        ("--paginate link --next-path /next", "--paginate json-link or cursor"),
        ("--paginate json-link --records /r", "--next-path"),
        ("--paginate cursor --records /r --next-path /n", "--cursor-param"),
        ("--paginate json-link --next-path /n", "--records"),
        ("--paginate link --page-size 10", "--page-size belongs to --paginate offset or page"),
        ("--paginate none --total-path /t", "--total-path belongs to"),
        ("--paginate page --page-param p --offset-param o", "--offset-param belongs to --paginate offset"),
        ("--max-pages 5", "--max-pages belongs to"),
        ("--allow-next-origin", "--allow-next-origin belongs to"),
        ("--paginate auto --total-path /t", "--records"),
        ("--paginate json-link --records /r --next-path /r/0/next", "beside the records"),
        ("--paginate page --page-param=", "name of a parameter"),
    ] {
        let output = Folder::new();
        let run =
            Etl::bare().arg("--out").arg(output.path("out.parquet")).arg("http://127.0.0.1:1/").with(options);
        let outcome = run.run_as_typed();
        assert_eq!(outcome.code, 2, "{options}");
        assert!(outcome.stderr.contains(needle), "{options}: {}", outcome.stderr);
    }
}

#[test]
fn first_page_is_named_where_it_can_not_be_known() {
    // Some count from 0: `page=2` behind a URL without a number would leave a page out.
    let api = Api::new(|target| {
        plain(&Value::from(records((number(target, "page", 0) < 3).then(|| number(target, "page", 0)))))
    });
    let (outcome, output) = run(&api.site(&["/x"]), "--paginate page", 3);
    assert_eq!(ids(&output), [0]);
    assert!(reasons(&outcome)[0].1.contains("page=1, or 0"), "{:?}", reasons(&outcome));
    let (_, output) = run(&api.site(&["/x?page=0"]), "--paginate page", 0);
    assert_eq!(ids(&output), [0, 1, 2]);
}

#[test]
fn links_that_are_written_oddly_are_followed() {
    for link in [
        "</x?p=2>; rel=\"next\"; title=\"é\"",
        "</x?p=2>; rel='next'",
        "/y; rel=self, </x?p=2>; rel=\"next\"",
    ] {
        let api = Api::new(move |target| {
            let is_first = !target.contains("p=2");
            let head = if is_first { format!("Link: {link}\r\n") } else { String::new() };
            (head, json!([{"id": i32::from(!is_first)}]).to_string())
        });
        let (_, output) = run(&api.site(&["/x"]), "--paginate link", 0);
        assert_eq!(ids(&output), [0, 1], "{link}");
    }
}

#[test]
fn page_of_two_homes_is_two_pages() {
    // What it holds is only for who asks with the key.
    let other = Api::new(|target| {
        let head =
            if target.starts_with("/p1") { "Link: </p2>; rel=next\r\n".to_owned() } else { String::new() };
        (head, json!([{"id": 1}, {"at": target}]).to_string())
    });
    let there = other.origin.clone();
    let api =
        Api::new(move |_| (format!("Link: <{there}/p2>; rel=next\r\n"), json!([{"id": 0}]).to_string()));
    let site = Folder::new();
    site.write("urls.txt", format!("{}/x\n{}/p1\n", api.origin, other.origin));
    let (outcome, _) = run(&site, "--paginate link --allow-next-origin", 0);
    assert_eq!(outcome.count("/pages/duplicate"), 0);
    assert_eq!(other.asked().iter().filter(|target| *target == "/p2").count(), 2);
}

#[test]
fn place_that_no_page_has_is_told() {
    let api = Api::new(|_| plain(&json!({"items": [{"id": 1}], "next": "/y"})));
    let options = "--records /items --paginate json-link --next-path /nxt";
    let (outcome, _) = run(&api.site(&["/x"]), options, 0);
    assert!(outcome.stdout.contains("nothing stands at --next-path /nxt"), "{}", outcome.stdout);
    let (outcome, _) = run(&api.site(&["/x?page=1"]), "--records /items --paginate auto", 3);
    assert!(outcome.stdout.contains("json-link --next-path /next"), "{}", outcome.stdout);
    let done = Api::new(|_| plain(&json!({"items": [{"id": 1}], "next": null})));
    let (outcome, _) = run(&done.site(&["/x?page=1"]), "--records /items --paginate auto", 0);
    assert!(outcome.stdout.contains("says at /next that there is no other one"), "{}", outcome.stdout);
}

#[test]
fn sample_of_a_schema_says_nothing_of_the_rest_of_a_chain() {
    let api = Api::new(|_| plain(&json!({"count": 100, "items": records(0..50)})));
    let options = "--sample 5 --records /items --paginate offset --total-path /count";
    let schema = Etl::bare().arg("schema").with(options).arg(format!("{}/x", api.origin)).run_as_typed();
    assert_eq!(schema.code, 0, "{}", schema.stderr);
}
