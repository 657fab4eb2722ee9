//! How the pages behind the first one are found.

use std::sync::Arc;

use super::places::{KNOWN_CURSORS, KNOWN_LINKS, PAGE_COUNTS, PARENTS, SIGNS, TOTALS};
use crate::pointer;

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
    /// The parameter that takes a cursor, where `paging` is found out.
    pub cursor_parameter: Option<String>,
    /// Reference tokens of the place in a page where its records are, if that is known.
    pub records: Option<Vec<String>>,
    /// Reference tokens of the places around the records whose values are looked at: see [`Self::looking_around`].
    pub looked_at: Arc<[Vec<String>]>,
}

impl Default for PaginationConfig {
    fn default() -> Self {
        Self {
            paging: Paging::None,
            page_size: None,
            total: None,
            pages_max: 10_000,
            allows_other_origins: false,
            cursor_parameter: None,
            records: None,
            looked_at: Arc::default(),
        }
    }
}

impl PaginationConfig {
    /// Whether a URL may be the first of many pages.
    pub fn is_on(&self) -> bool {
        self.paging != Paging::None
    }

    /// The objects in which known places stand: the page, and the one that holds its records.
    pub fn roots(&self) -> impl Iterator<Item = &[String]> {
        roots(self.records.as_deref())
    }

    /// The same, with the places that have to be looked at around the records, which `records` leads to.
    pub fn looking_around(mut self, records: Option<&[String]>) -> Self {
        let mut places: Vec<Vec<String>> = self.total.iter().cloned().collect();
        let mut parents: Vec<Vec<String>> = PARENTS.iter().map(|parent| known(parent)).collect();
        if let Paging::JsonLink { next } | Paging::Cursor { next, .. } = &self.paging {
            places.push(next.clone());
            parents.push(next[..next.len().saturating_sub(1)].to_vec());
        }
        parents.extend(roots(records).map(<[String]>::to_vec));
        let known_places = KNOWN_LINKS.iter().copied().chain(KNOWN_CURSORS.iter().map(|cursor| cursor.place));
        for root in roots(records) {
            places.extend(known_places.clone().map(|place| [root, &known(place)].concat()));
        }
        let marks = KNOWN_CURSORS.iter().flat_map(|cursor| cursor.marks);
        places.extend(marks.map(|(mark, _)| known(mark)));
        let names = SIGNS.iter().map(|(name, _)| *name).chain(TOTALS).chain(PAGE_COUNTS);
        for name in names {
            places.extend(parents.iter().map(|parent| [parent.as_slice(), &[name.to_owned()]].concat()));
        }
        let is_around = |place: &Vec<String>| records.is_none_or(|records| !place.starts_with(records));
        let mut around: Vec<Vec<String>> = Vec::new();
        for place in places.into_iter().filter(is_around) {
            if !around.contains(&place) {
                around.push(place);
            }
        }
        self.records = records.map(<[String]>::to_vec);
        self.looked_at = if self.is_on() { around.into() } else { Arc::default() };
        self
    }
}

/// The objects in which known places stand: the page, and the one that holds its records.
fn roots(records: Option<&[String]>) -> impl Iterator<Item = &[String]> {
    let around = records.and_then(|records| records.split_last()).map(|(_, around)| around);
    [&[] as &[String]].into_iter().chain(around.filter(|around| !around.is_empty()))
}

fn known(pointer: &str) -> Vec<String> {
    pointer::parse(pointer).expect("a pointer of ours")
}
