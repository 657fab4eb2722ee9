//! Where a chain of pages ends, as APIs say it: nothing is lost quietly, and nothing is doubled.

use serde_json::{Value, json};

use super::paginate::{ids, number, parameter, plain, reasons, records, run};
use crate::bench::{Etl, Folder};
use crate::server::Api;

#[test]
fn cursor_that_stays_as_it_is_is_followed_until_a_page_is_empty() {
    // Crossref, Elasticsearch: the server remembers how far it has come.
    let scroll = |page_count: u64| {
        let asked = std::sync::atomic::AtomicU64::new(0);
        Api::new(move |_| {
            let page = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            let items = records((page <= page_count).then_some(page));
            plain(&json!({"m": {"next-cursor": "S", "items": items}}))
        })
    };
    let options = "--records /m/items --paginate cursor --next-path /m/next-cursor --cursor-param cursor";
    for first in ["/x?cursor=*", "/x", "/x?cursor=S"] {
        let api = scroll(4);
        let (outcome, output) = run(&api.site(&[first]), options, 0);
        assert_eq!(ids(&output), [1, 2, 3, 4]);
        assert_eq!(api.asked()[1..], ["/x?cursor=S"; 4]);
        assert_eq!((outcome.count("/pages/listed"), outcome.count("/pages/fetched")), (5, 5));
        assert_eq!(outcome.count("/pages/duplicate"), 0);
    }
    let (outcome, output) = run(&scroll(9).site(&["/x"]), &format!("{options} --max-pages 3"), 3);
    assert_eq!(ids(&output), [1, 2, 3]);
    assert!(reasons(&outcome)[0].1.contains("--max-pages"), "{:?}", reasons(&outcome));
}

#[test]
fn cursor_that_stays_with_the_same_page_doubles_no_record() {
    let pages = [json!([{"id": 1}]), json!([{"id": 2}]), json!([{"id": 2}])];
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let api = Api::new(move |_| {
        let page = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed).min(pages.len() - 1);
        plain(&json!({"items": pages[page], "next": "S"}))
    });
    let options = "--records /items --paginate cursor --next-path /next --cursor-param c";
    let (outcome, output) = run(&api.site(&["/x"]), options, 3);
    assert_eq!(ids(&output), [1, 2]);
    let [(3, reason)] = &reasons(&outcome)[..] else { panic!("{}", outcome.stdout) };
    assert!(reason.contains("same bytes again"), "{reason}");
    // Two cursors that lead to each other are no scroll.
    let circle = Api::new(|target| {
        let (id, next) = match parameter(target, "c") {
            None => (1, "a"),
            Some("a") => (2, "b"),
            _ => (3, "a"),
        };
        plain(&json!({"items": records([id]), "next": next}))
    });
    let (outcome, output) = run(&circle.site(&["/x"]), options, 3);
    assert_eq!(ids(&output), [1, 2, 3]);
    assert!(reasons(&outcome)[0].1.contains("has no end"), "{:?}", reasons(&outcome));
}

#[test]
fn page_that_leaves_out_its_records_is_one_without_records() {
    // Google: what is empty is left out, also in the midst of a chain.
    let google = |last: Value| {
        Api::new(move |target| {
            plain(&match parameter(target, "pageToken") {
                None => {
                    json!({"kind": "list", "etag": "a", "meta": {"ok": true, "code": 0}, "items": records([1]), "nextPageToken": "x"})
                }
                Some("x") => json!({"kind": "list", "etag": "b", "nextPageToken": "y"}),
                Some("y") => {
                    json!({"kind": "list", "meta": {"ok": true, "code": 0}, "items": records([2]), "nextPageToken": "z"})
                }
                _ => last.clone(),
            })
        })
    };
    for last in [
        json!({}),
        json!({"kind": "list", "etag": "c"}),
        json!({"nextPageToken": "", "meta": {"ok": true}, "warnings": []}),
    ] {
        for paging in ["cursor --next-path /nextPageToken --cursor-param pageToken", "auto"] {
            let api = google(last.clone());
            let (outcome, output) =
                run(&api.site(&["/x"]), &format!("--records /items --paginate {paging}"), 0);
            assert_eq!(ids(&output), [1, 2], "{last}");
            assert_eq!(outcome.count("/pages/fetched"), 4);
            assert_eq!(api.asked().len(), 4);
        }
    }
    // What says anything else may say that something failed.
    for last in [
        json!({"error": "token expired"}),
        json!({"kind": "error"}),
        json!({"meta": {"ok": false}}),
        json!({"meta": {"ok": true, "code": 500}}),
        json!({"message": "rate limit"}),
        json!({"code": 0}),
        json!([]),
        json!(null),
    ] {
        let (outcome, output) =
            run(&google(last.clone()).site(&["/x"]), "--records /items --paginate auto", 3);
        assert_eq!(ids(&output), [1, 2], "{last}");
        let [(4, reason)] = &reasons(&outcome)[..] else { panic!("{}", outcome.stdout) };
        assert!(reason.contains("--records /items finds nothing"), "{reason}");
        assert_eq!(output.json_lines("out.parquet.rejects.ndjson").len(), 1);
    }
    // Two documents, the second of which was not looked at.
    let api = Api::new(|target| match parameter(target, "pageToken") {
        None => plain(&json!({"items": records([1]), "nextPageToken": "x"})),
        _ => (String::new(), "{}\n{\"error\":\"boom\"}".to_owned()),
    });
    run(&api.site(&["/x"]), "--records /items --paginate auto", 3);
    let first = Api::new(|_| plain(&json!({})));
    let (outcome, _) = run(&first.site(&["/x"]), "--records /items --paginate auto", 1);
    assert!(reasons(&outcome)[0].1.contains("finds nothing"), "{:?}", reasons(&outcome));
}

#[test]
fn page_without_a_place_of_records_is_replayed_as_one_without_records() {
    let api = Api::new(|target| {
        plain(&match parameter(target, "pageToken") {
            None => json!({"items": records([1]), "nextPageToken": "x"}),
            _ => json!({}),
        })
    });
    let site = api.site(&["/x"]);
    let raw = Folder::new();
    let kept = raw.path("raw").display().to_string();
    let (_, output) = run(&site, &format!("--records /items --paginate auto --keep-raw {kept}"), 0);
    let replayed = Folder::new();
    let outcome = Etl::bare()
        .with(&format!("--records /items --replay {kept} --json --out"))
        .arg(replayed.path("out.parquet"))
        .run_as_typed();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(ids(&replayed), ids(&output));
    assert_eq!(outcome.count("/pages/fetched"), 2);
}

#[test]
fn page_may_say_beside_its_link_that_no_other_one_follows() {
    for (sign, is_end) in [
        (json!({"end_of_stream": true}), true),
        (json!({"meta": {"has_more": false}}), true),
        (json!({"has_more": false}), true),
        (json!({"hasMore": false}), true),
        (json!({"isLast": true}), true),
        (json!({"more": false}), true),
        (json!({"end_of_stream": false}), false),
        (json!({"has_more": true}), false),
        // They contradict each other.
        (json!({"has_more": false, "isLast": false}), false),
        // A number is no sign.
        (json!({"last": 1}), false),
    ] {
        let of_last = sign.clone();
        let api = Api::new(move |target| {
            let page = number(target, "c", 1);
            let mut body = json!({"items": records([page]), "after_url": format!("/x?c={}", page + 1)});
            if page == 2 {
                body.as_object_mut().unwrap().extend(of_last.as_object().unwrap().clone());
            }
            if page == 3 {
                body = json!({"items": [], "after_url": null});
            }
            plain(&body)
        });
        for paging in ["json-link --next-path /after_url", "auto"] {
            let asked_before = api.asked().len();
            let (_, output) = run(&api.site(&["/x"]), &format!("--records /items --paginate {paging}"), 0);
            assert_eq!(ids(&output), [1, 2]);
            assert_eq!(api.asked().len() - asked_before, if is_end { 2 } else { 3 }, "{sign}");
        }
    }
}

#[test]
fn chain_that_ends_where_its_page_says_there_is_more_is_a_failure() {
    for (body, options) in [
        (json!({"items": records([1]), "has_more": true}), "auto"),
        (json!({"items": records([1]), "meta": {"isLast": false}}), "auto"),
        (json!({"items": records([1]), "total": 7}), "auto"),
        (json!({"items": records([1]), "meta": {"total_pages": 2}}), "auto"),
        (json!({"items": records([1]), "next_page": "b3BhcXVl"}), "auto"),
        (json!({"items": records([1]), "pagination": {"next": 1_628_537_900}}), "auto"),
        (json!({"items": records([1]), "next": null, "has_more": true}), "json-link --next-path /next"),
        (json!({"items": records([1]), "has_more": true}), "cursor --next-path /c --cursor-param c"),
        (json!({"items": records([1]), "has_more": true}), "link"),
    ] {
        let api = Api::new({
            let body = body.clone();
            move |_| plain(&body)
        });
        let (outcome, output) = run(&api.site(&["/x"]), &format!("--records /items --paginate {options}"), 3);
        assert_eq!(ids(&output), [1]);
        let [(2, reason)] = &reasons(&outcome)[..] else { panic!("{body} {}", outcome.stdout) };
        assert!(reason.contains('/'), "{reason}");
        assert_eq!(api.asked().len(), 1);
    }
    // As many as there are, and a count that may be of anything.
    for body in [json!({"items": records([1]), "total": 1}), json!({"items": records([1]), "count": 100})] {
        let api = Api::new(move |_| plain(&body));
        run(&api.site(&["/x"]), "--records /items --paginate auto", 0);
    }
}

#[test]
fn zero_ends_a_chain_of_numbers() {
    // Twitter.
    for (last, first, expected) in [
        (json!(0), "/x", [1, 2]),
        (json!("0"), "/x?cursor=7", [1, 2]),
        (json!(null), "/x", [1, 2]),
        // A text may be any cursor.
        (json!(null), "/x?cursor=a", [1, 3]),
    ] {
        let api = Api::new(move |target| {
            let (id, next) = match parameter(target, "cursor") {
                Some("12") => (2, last.clone()),
                Some("0") => (3, Value::Null),
                Some("a") => (1, json!("0")),
                _ => (1, json!(12)),
            };
            plain(&json!({"ids": records([id]), "next_cursor": next}))
        });
        let options = "--records /ids --paginate cursor --next-path /next_cursor --cursor-param cursor";
        let (_, output) = run(&api.site(&[first]), options, 0);
        assert_eq!(ids(&output), expected);
        assert_eq!(api.asked().len(), 2, "{:?}", api.asked());
    }
}

#[test]
fn page_size_that_is_larger_than_what_the_server_gives_loses_nothing() {
    // It gives 10 at most, whatever is asked for.
    let capped = |beside: fn(u64) -> Value| {
        Api::new(move |target| {
            let from = number(target, "offset", 0).max((number(target, "page", 1) - 1) * 10);
            let mut body = json!({"items": records(from..(from + 10).min(25).max(from))});
            body.as_object_mut().unwrap().extend(beside(from).as_object().unwrap().clone());
            plain(&body)
        })
    };
    let all: Vec<i64> = (0..25).collect();
    for (beside, asked) in [
        ((|_| json!({})) as fn(u64) -> Value, 4),
        (|from| json!({"has_more": from < 20}), 3),
        (|from| json!({"next": (from < 20).then_some("/x?more=1")}), 3),
        (|_| json!({"total": 25}), 4),
    ] {
        for options in ["--paginate page --page-size 100", "--paginate auto --page-size 100"] {
            let api = capped(beside);
            let is_linked = beside(0).get("next").is_some();
            if is_linked && options.contains("auto") {
                continue;
            }
            let (_, output) = run(&api.site(&["/x?page=1"]), &format!("--records /items {options}"), 0);
            assert_eq!(ids(&output), all);
            assert_eq!(api.asked().len(), asked, "{:?}", api.asked());
        }
        let api = capped(beside);
        let (_, output) = run(&api.site(&["/x"]), "--records /items --paginate offset --page-size 100", 0);
        assert_eq!((ids(&output), api.asked().len()), (all.clone(), asked));
    }
    let api = capped(|_| json!({"total": 25}));
    let options = "--records /items --paginate page --page-size 100 --total-path /total";
    let (_, output) = run(&api.site(&["/x?page=1"]), options, 0);
    assert_eq!((ids(&output), api.asked().len()), (all, 3), "the total says where the end is");
}

#[test]
fn page_whose_records_are_those_of_the_page_before_doubles_none() {
    // What stands around the records is another one each time.
    let volatile = |items: Value, has_cursor: bool| {
        let asked = std::sync::atomic::AtomicU64::new(0);
        Api::new(move |_| {
            let request = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let mut body = json!({"request_id": request, "items": items});
            if has_cursor && request < 3 {
                body["next"] = json!(format!("c{request}"));
            }
            plain(&body)
        })
    };
    let several = json!([{"id": 1}, {"id": 2}]);
    for (items, options) in [
        (&several, "page"),
        (&several, "offset"),
        (&several, "cursor --next-path /next --cursor-param c"),
        (&json!([{"id": 1}]), "page"),
    ] {
        let api = volatile(items.clone(), options.contains("cursor"));
        let (outcome, output) =
            run(&api.site(&["/x?page=1"]), &format!("--records /items --paginate {options}"), 3);
        assert_eq!(ids(&output).len(), items.as_array().unwrap().len());
        let [(2, reason)] = &reasons(&outcome)[..] else { panic!("{}", outcome.stdout) };
        assert!(reason.contains("records of the page before again"), "{reason}");
    }
    // Records that say nothing of themselves may be as many and alike: the server leads on.
    for items in [json!([{"id": 0}]), json!([{"id": 0}, {"id": 0}])] {
        let count = items.as_array().unwrap().len();
        let api = volatile(items, true);
        let options = "--records /items --paginate cursor --next-path /next --cursor-param c";
        let (_, output) = run(&api.site(&["/x"]), options, 0);
        assert_eq!(ids(&output).len(), 4 * count);
    }
}
