//! What `--paginate auto` makes of first pages, and what it says where it can't know.

use serde_json::{Value, json};

use super::paginate::{ids, number, parameter, plain, reasons, records, run};
use crate::server::Api;

/// An API of three pages of one record each, which tells of the next one by what `beside` gives.
fn of_three(beside: impl Fn(&Next, u64) -> Value + Send + Sync + 'static) -> Api {
    Api::new(move |target| {
        let page = number(target, "p", 1);
        let mut body = json!({"items": records([page])});
        let more = beside(&Next { next: (page < 3).then(|| format!("/x?p={}", page + 1)) }, page);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        plain(&body)
    })
}

struct Next {
    next: Option<String>,
}

#[test]
fn links_are_found_at_the_places_of_known_apis() {
    let places: [fn(&Next, u64) -> Value; 13] = [
        |api, _| json!({"next_page_url": api.next}),
        |api, _| json!({"nextPageUrl": api.next}),
        |api, _| json!({"after_url": api.next, "end_of_stream": api.next.is_none()}),
        |api, _| json!({"links": {"pages": api.next.as_ref().map(|next| json!({"next": next})).unwrap_or(json!({}))}}),
        |api, _| json!({"meta": {"pagination": {"links": {"next": api.next}}}}),
        |api, _| json!({"search_metadata": {"next_results": api.next.as_ref().map(|next| &next[2..])}}),
        |api, _| json!({"links": [{"rel": "self", "href": "/y"}, {"rel": "next", "href": api.next}]}),
        |api, _| match &api.next {
            Some(next) => json!({"links": [{"rel": "next", "href": next}, {"rel": "prev", "href": "/y"}]}),
            None => json!({"links": [{"rel": "prev", "href": "/y"}]}),
        },
        |api, _| json!({"link": [{"relation": "next", "url": api.next}]}),
        |api, _| json!({"meta": {"next_page": api.next}}),
        |api, _| json!({"pagination": {"next": api.next}}),
        |api, _| json!({"paging": api.next.as_ref().map(|next| json!({"next": {"link": next}}))}),
        |api, page| json!({"meta": {"links": {"next": api.next}, "total": 3, "page": page}}),
    ];
    for (place, beside) in places.into_iter().enumerate() {
        let (outcome, output) = run(&of_three(beside).site(&["/x"]), "--records /items --paginate auto", 0);
        assert_eq!(ids(&output), [1, 2, 3], "{place}: {}", outcome.stdout);
    }
}

#[test]
fn cursor_goes_to_the_parameter_that_its_api_has() {
    // A page with these members, the URL that it begins at, and the parameter.
    type Beside = fn(Option<String>) -> Value;
    let apis: [(Beside, &str, &str); 10] = [
        (
            |next| json!({"object": "list", "next_cursor": next, "has_more": next.is_some()}),
            "/x",
            "start_cursor",
        ),
        (|next| json!({"next_page_token": next, "html_attributions": []}), "/x", "pagetoken"),
        (
            |next| json!({"next_cursor": next.map_or(0, |next| next.parse().unwrap()), "previous_cursor": 0}),
            "/x",
            "cursor",
        ),
        (|next| json!({"next_cursor": next}), "/x?cursor=1", "cursor"),
        (|next| json!({"next_page_token": next}), "/x?page_token=1", "page_token"),
        (|next| json!({"meta": {"pagination": {"next_cursor": next}}}), "/x?page[size]=1", "page[cursor]"),
        (|next| json!({"meta": {"page": {"after": next}}}), "/x?page[limit]=1", "page[cursor]"),
        (|next| json!({"meta": {"next_token": next, "result_count": 1}}), "/x", "pagination_token"),
        (|next| json!({"message": {"next-cursor": next}}), "/x?cursor=*", "cursor"),
        (|next| json!({"kind": "Listing", "data": {"after": next}}), "/x", "after"),
    ];
    for (beside, first, name) in apis {
        let api = Api::new(move |target| {
            let page = number(&target.replace("%5B", "[").replace("%5D", "]").replace('*', "1"), name, 1);
            let page = if target == first { 1 } else { page };
            let mut body = beside((page < 3).then(|| (page + 1).to_string()));
            body["items"] = json!(records([page]));
            plain(&body)
        });
        let (outcome, output) = run(&api.site(&[first]), "--records /items --paginate auto", 0);
        assert_eq!(ids(&output), [1, 2, 3], "{name}: {}", outcome.stdout);
        assert!(outcome.stdout.contains(&format!("--cursor-param {name}")), "{name}: {}", outcome.stdout);
    }
    // One that nothing tells.
    let api = Api::new(|target| {
        let page = number(target, "c", 1);
        plain(&json!({"items": records([page]), "next_cursor": (page < 3).then(|| (page + 1).to_string())}))
    });
    let (outcome, output) = run(&api.site(&["/x"]), "--records /items --paginate auto", 3);
    assert_eq!(ids(&output), [1]);
    let [(2, reason)] = &reasons(&outcome)[..] else { panic!("{}", outcome.stdout) };
    assert!(reason.contains("/next_cursor") && reason.contains("--cursor-param"), "{reason}");
    assert_eq!(api.asked().len(), 1, "nothing is asked for on a guess");
    let (_, output) = run(&api.site(&["/x"]), "--records /items --paginate auto --cursor-param c", 0);
    assert_eq!(ids(&output), [1, 2, 3]);
}

#[test]
fn number_of_the_next_page_is_followed() {
    let api = Api::new(|target| {
        let page = number(target, "page", 1);
        let next = (page < 3).then_some(page + 1);
        plain(&json!({"items": records([page]), "meta": {"pagination": {"page": page, "next_page": next}}}))
    });
    let (_, output) = run(&api.site(&["/x"]), "--records /items --paginate auto", 0);
    assert_eq!(ids(&output), [1, 2, 3]);
}

#[test]
fn pages_that_are_taken_for_records_are_followed_too() {
    for key in ["results", "value"] {
        let api = Api::new(move |target| {
            let page = number(target, "o", 0);
            let items = if key == "value" && page == 0 { Vec::new() } else { records([page]) };
            plain(&json!({"id": page, key: items, "next": (page < 2).then(|| format!("/x?o={}", page + 1))}))
        });
        let (outcome, output) = run(&api.site(&["/x"]), "--paginate auto", 0);
        assert_eq!(ids(&output), [0, 1, 2]);
        assert!(outcome.stdout.contains("json-link --next-path /next"), "{}", outcome.stdout);
        assert!(outcome.stdout.contains(&format!("--records /{key}")), "{}", outcome.stdout);
    }
    // In the object that holds the records.
    let api = Api::new(|target| {
        let page = number(target, "o", 0);
        let next = (page < 2).then(|| format!("/x?o={}", page + 1));
        plain(&json!({"body": {"items": records([page]), "next_url": next}}))
    });
    let (outcome, output) = run(&api.site(&["/x"]), "--records /body/items --paginate auto", 0);
    assert_eq!(ids(&output), [0, 1, 2]);
    assert!(outcome.stdout.contains("json-link --next-path /body/next_url"), "{}", outcome.stdout);
    for beside in [json!({"after": "x"}), json!({"PaginationToken": "x"}), json!({"TotalCount": 9})] {
        let mut body = json!({"body": {"items": records([1])}});
        body["body"].as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
        let api = Api::new(move |_| plain(&body));
        run(&api.site(&["/x"]), "--records /body/items --paginate auto", 3);
    }
    // What is no object around records may have such a key of its own.
    for page in [
        json!({"id": 1, "next_cursor": "x"}),
        json!({"id": 1, "more": true, "total": 9}),
        json!({"id": 1, "tags": ["a"], "next": "b", "done": false}),
        json!({"id": 1, "pull_requests": [], "after": "f00"}),
    ] {
        let api = Api::new(move |_| plain(&page));
        let (_, output) = run(&api.site(&["/x"]), "--paginate auto", 0);
        assert_eq!(ids(&output), [1]);
    }
    // Which page is the last would never be known.
    let api = Api::new(|target| plain(&json!({"page": number(target, "page", 1), "items": records([1])})));
    let (outcome, _) = run(&api.site(&["/x?page=1"]), "--paginate auto", 3);
    assert!(reasons(&outcome)[0].1.contains("--records /items"), "{:?}", reasons(&outcome));
    assert_eq!(api.asked().len(), 1);
}

#[test]
fn choices_for_all_chains_are_told_in_one_hint() {
    let api = Api::new(|target| {
        let next =
            (parameter(target, "p").is_none() && !target.starts_with("/c")).then(|| format!("{target}?p=2"));
        let id = json!(target);
        plain(&match &target[..2] {
            "/a" => json!({"items": [{"id": 1, "at": id}], "next": next}),
            _ => json!({"items": [{"id": 1, "at": id}], "links": {"next": next}}),
        })
    });
    let (outcome, _) = run(&api.site(&["/a", "/b", "/a1", "/c"]), "--records /items --paginate auto", 0);
    let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let hints: Vec<_> =
        summary["hints"].as_array().unwrap().iter().map(|hint| hint.as_str().unwrap()).collect();
    let [hint] = hints[..] else { panic!("{hints:?}") };
    for part in [
        "--paginate auto chose json-link --next-path /next: the first page has a URL there (2 chains, the first of line 1 page 1)",
        "; json-link --next-path /links/next: the first page has a URL there (the chain of line 2 page 1)",
        "; none: the first page says at /links/next that there is no other one (the chain of line 4 page 1)",
    ] {
        assert!(hint.contains(part), "{hint}");
    }
}
