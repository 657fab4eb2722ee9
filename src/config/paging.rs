//! How the pages behind the first one are found.

use std::sync::Arc;

use crate::pointer;

/// Members beside the records whose value is the URL of the next page, in APIs that people know.
pub const KNOWN_LINKS: [&str; 10] = [
    "/next",
    "/next_page",
    "/next_url",
    "/nextLink",
    "/@odata.nextLink",
    "/links/next",
    "/_links/next/href",
    "/paging/next",
    "/pagination/next_url",
    "/meta/next",
];
/// Members whose value is a cursor, and the parameter that takes it.
pub const KNOWN_CURSORS: [(&str, &str); 9] = [
    ("/next_cursor", "cursor"),
    ("/response_metadata/next_cursor", "cursor"),
    ("/meta/next_cursor", "cursor"),
    ("/pagination/next_cursor", "cursor"),
    ("/nextPageToken", "pageToken"),
    ("/next_page_token", "page_token"),
    ("/NextToken", "NextToken"),
    ("/nextToken", "nextToken"),
    ("/metadata/continue", "continue"),
];

/// What leads from a page to the next one of its chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Paging {
    /// Nothing: each URL is one page.
    #[default]
    None,
    /// The `Link` header with `rel="next"` (RFC 8288).
    Link,
    /// A URL beside the records.
    JsonLink {
        /// Reference tokens of the pointer to it.
        next: Vec<String>,
    },
    /// A cursor beside the records, which a parameter of the next URL takes.
    Cursor {
        /// Reference tokens of the pointer to it.
        next: Vec<String>,
        /// The parameter.
        parameter: String,
    },
    /// A parameter that counts the records before the page.
    Offset {
        /// The parameter.
        parameter: String,
        /// Records of a page that is not the last one.
        size: Option<u64>,
    },
    /// A parameter that counts the pages.
    Page {
        /// The parameter.
        parameter: String,
        /// Records of a page that is not the last one.
        size: Option<u64>,
    },
    /// What the first page of a chain tells.
    Auto,
}

impl Paging {
    /// What was asked for, as options.
    pub fn shown(&self) -> String {
        let place = |next: &[String]| pointer::show(next.iter().map(String::as_str));
        match self {
            Self::None => "none".to_owned(),
            Self::Link => "link".to_owned(),
            Self::JsonLink { next } => format!("json-link --next-path {}", place(next)),
            Self::Cursor { next, parameter } => {
                format!("cursor --next-path {} --cursor-param {parameter}", place(next))
            }
            Self::Offset { parameter, .. } => format!("offset --offset-param {parameter}"),
            Self::Page { parameter, .. } => format!("page --page-param {parameter}"),
            Self::Auto => "auto".to_owned(),
        }
    }

    /// The parameter of the URL that turns the pages.
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::Cursor { parameter, .. }
            | Self::Offset { parameter, .. }
            | Self::Page { parameter, .. } => Some(parameter),
            Self::None | Self::Link | Self::JsonLink { .. } | Self::Auto => None,
        }
    }
}

/// How chains of pages are followed.
#[derive(Debug, Clone)]
pub struct PaginationConfig {
    /// What leads from page to page.
    pub paging: Paging,
    /// Records of a page that is not the last one, where `paging` is found out.
    pub page_size: Option<u64>,
    /// Reference tokens of the pointer to the number of records that a chain has.
    pub total: Option<Vec<String>>,
    /// Pages of a chain at most. 10,000 pages of 100 records are a day of a busy API; an endless chain ends here.
    pub pages_max: u32,
    /// Whether a chain may leave the origin that it began at.
    pub allows_other_origins: bool,
}

impl Default for PaginationConfig {
    fn default() -> Self {
        Self {
            paging: Paging::None,
            page_size: None,
            total: None,
            pages_max: 10_000,
            allows_other_origins: false,
        }
    }
}

impl PaginationConfig {
    /// Whether a URL may be the first of many pages.
    pub fn is_on(&self) -> bool {
        self.paging != Paging::None
    }

    /// The places beside the records that have to be looked at, as reference tokens.
    pub fn looked_at(&self) -> Arc<[Vec<String>]> {
        let mut places: Vec<Vec<String>> = self.total.iter().cloned().collect();
        match &self.paging {
            Paging::JsonLink { next } | Paging::Cursor { next, .. } => places.push(next.clone()),
            Paging::Auto => {
                let known = KNOWN_LINKS.into_iter().chain(KNOWN_CURSORS.into_iter().map(|(place, _)| place));
                places.extend(known.map(|place| pointer::parse(place).expect("a pointer of ours")));
            }
            Paging::None | Paging::Link | Paging::Offset { .. } | Paging::Page { .. } => {}
        }
        places.into()
    }
}
