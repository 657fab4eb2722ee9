//! Where a chain of pages ends, as APIs say it: nothing is lost quietly, and nothing is doubled.

use serde_json::json;

use super::paginate::{ids, parameter, plain, reasons, records, run};
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
