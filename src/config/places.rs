//! The places in pages where APIs that people know tell of the next page: found in recorded answers and in manuals.

/// Members whose value is the URL of the next page. A token such as `rel=next` finds the element of a list whose `rel` is
/// `next`.
pub const KNOWN_LINKS: [&str; 28] = [
    "/next",
    "/next_page",
    "/next_url",
    "/next_page_url",
    "/nextPageUrl",
    "/nextLink",
    "/@odata.nextLink",
    "/nextRecordsUrl",
    "/after_url",
    "/links/next",
    "/links/next/href",
    "/links/pages/next",
    "/links/rel=next/href",
    "/link/relation=next/url",
    "/_links/next",
    "/_links/next/href",
    "/paging/next",
    "/paging/next/link",
    "/pagination/next",
    "/pagination/next_url",
    "/pagination/links/next",
    "/meta/next",
    "/meta/next_page",
    "/meta/next_url",
    "/meta/links/next",
    "/meta/pagination/links/next",
    "/meta/pagination/next_page",
    "/search_metadata/next_results",
];

/// A member whose value is a cursor, and the parameter of the URL that takes it.
#[derive(Debug)]
pub struct KnownCursor {
    /// Its place.
    pub place: &'static str,
    /// The parameter, where the place alone tells which API it is.
    pub parameter: Option<&'static str>,
    /// Members that a page has beside it in one API, and the parameter there.
    pub marks: &'static [(&'static str, &'static str)],
    /// The parameter that takes it in many APIs.
    pub usual: &'static str,
    /// Whether a record may well have a member of its name, so that it counts only beside what are known to be records.
    pub is_generic: bool,
}

/// Members whose value is a cursor.
pub const KNOWN_CURSORS: [KnownCursor; 22] = [
    // Notion, Twitter; in others it is `cursor` more often than not.
    KnownCursor {
        place: "/next_cursor",
        parameter: None,
        marks: &[("/object", "start_cursor"), ("/next_cursor_str", "cursor"), ("/previous_cursor", "cursor")],
        usual: "cursor",
        is_generic: false,
    },
    // Slack.
    sure("/response_metadata/next_cursor", "cursor"),
    unsure("/meta/next_cursor", "cursor"),
    unsure("/meta/pagination/next_cursor", "cursor"),
    unsure("/pagination/next_cursor", "cursor"),
    // Google.
    sure("/nextPageToken", "pageToken"),
    // Google Places.
    KnownCursor {
        place: "/next_page_token",
        parameter: None,
        marks: &[("/html_attributions", "pagetoken")],
        usual: "page_token",
        is_generic: false,
    },
    sure("/NextToken", "NextToken"),
    sure("/nextToken", "nextToken"),
    // Twitter.
    KnownCursor {
        place: "/meta/next_token",
        parameter: None,
        marks: &[("/meta/result_count", "pagination_token")],
        usual: "next_token",
        is_generic: false,
    },
    // Kubernetes.
    sure("/metadata/continue", "continue"),
    // Crossref.
    sure("/message/next-cursor", "cursor"),
    // Reddit.
    KnownCursor {
        place: "/data/after",
        parameter: None,
        marks: &[("/kind", "after")],
        usual: "after",
        is_generic: true,
    },
    // HubSpot.
    sure("/paging/next/after", "after"),
    sure("/vid-offset", "vidOffset"),
    unsure("/meta/page/after", "page[cursor]"),
    unsure("/meta/after_cursor", "page[after]"),
    unsure("/end_cursor", "after"),
    unsure("/page_info/end_cursor", "after"),
    unsure("/pageInfo/endCursor", "after"),
    unsure("/PaginationToken", "PaginationToken"),
    KnownCursor { place: "/after", parameter: None, marks: &[], usual: "after", is_generic: true },
];

const fn sure(place: &'static str, parameter: &'static str) -> KnownCursor {
    KnownCursor { place, parameter: Some(parameter), marks: &[], usual: parameter, is_generic: false }
}

const fn unsure(place: &'static str, usual: &'static str) -> KnownCursor {
    KnownCursor { place, parameter: None, marks: &[], usual, is_generic: false }
}

/// Whether these keys lead to a member that tells one API from another, and nothing of pages.
pub fn is_mark(keys: &[String]) -> bool {
    let is_place = |mark: &str| mark.split('/').skip(1).eq(keys.iter().map(String::as_str));
    KNOWN_CURSORS.iter().any(|cursor| cursor.marks.iter().any(|(mark, _)| is_place(mark)))
}

/// Parameters of a request's own URL that are there for a cursor and nothing else.
pub const CURSOR_PARAMETERS: [&str; 12] = [
    "cursor",
    "start_cursor",
    "next_cursor",
    "page_token",
    "pageToken",
    "pagetoken",
    "next_page_token",
    "next_token",
    "nextToken",
    "pagination_token",
    "page[cursor]",
    "page[after]",
];

/// Members that say whether more pages follow, and the value that says that none does.
pub const SIGNS: [(&str, bool); 18] = [
    ("has_more", false),
    ("hasMore", false),
    ("has-more", false),
    ("more", false),
    ("has_next", false),
    ("hasNext", false),
    ("has_next_page", false),
    ("hasNextPage", false),
    ("more_results", false),
    ("is_truncated", false),
    ("isTruncated", false),
    ("end_of_stream", true),
    ("isLast", true),
    ("is_last", true),
    ("isLastPage", true),
    ("is_last_page", true),
    ("last", true),
    ("done", true),
];

/// Members whose value is the number of all records, and that of all pages. `count` is none of them: it is as often that
/// of one page, or what was asked for.
pub const TOTALS: [&str; 8] = [
    "total",
    "total_count",
    "totalCount",
    "TotalCount",
    "total_results",
    "totalResults",
    "total_items",
    "totalItems",
];
/// See [`TOTALS`].
pub const PAGE_COUNTS: [&str; 6] =
    ["total_pages", "totalPages", "page_count", "pageCount", "last_page", "lastPage"];

/// Objects that hold signs, totals and numbers of pages.
pub(super) const PARENTS: [&str; 13] = [
    "",
    "/meta",
    "/meta/pagination",
    "/meta/page",
    "/metadata",
    "/metadata/page",
    "/pagination",
    "/paging",
    "/page",
    "/page_info",
    "/pageInfo",
    "/response_metadata",
    "/data",
];

/// Keys of members around the records that are another one on every page and say nothing of how it went: where the page
/// is, and which answer it was.
pub const CHANGING_KEYS: [&str; 20] = [
    "etag",
    "requestId",
    "request_id",
    "responseId",
    "took",
    "self",
    "selfLink",
    "first",
    "prev",
    "previous",
    "prevPageToken",
    "previous_cursor",
    "previous_cursor_str",
    "page",
    "pageNumber",
    "current_page",
    "offset",
    "startAt",
    "start",
    "count",
];
