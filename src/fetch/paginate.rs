//! Chains of pages: where the page behind one is, and whether a chain came to its end. Asks for nothing itself.
//!
//! A chain that does not end as it should (a page that comes again, a link that leads back, a total that was not met) is
//! a failure that is told, never a quiet end: the sum of its pages is not what the server has. A cursor may stay as it
//! is, where the server remembers how far it has come (a scroll): then what the pages hold tells them apart.

mod link_header;
mod parameter;

use std::collections::HashSet;

use url::Url;

use parameter::{number_in, with_parameter};

use crate::config::{KNOWN_CURSORS, KNOWN_LINKS, PaginationConfig, Paging};
use crate::digest::RunningDigest;
use crate::model::{Beside, PageEnd};

pub(super) use link_header::next_link;

/// Records before the first page, if the URL does not say.
const FIRST_OFFSET: u64 = 0;

/// The pages that begin with one URL of the list, as far as they are known.
#[derive(Debug)]
pub struct Chain {
    first: Url,
    /// The URL of the last page.
    current: Url,
    /// Pages so far.
    page_count: u32,
    record_count: u64,
    total: Option<u64>,
    paging: Paging,
    /// The URLs asked for.
    urls: HashSet<[u8; 16]>,
    /// What the pages with records held.
    contents: HashSet<[u8; 16]>,
    /// What a person should know of it.
    note: Option<String>,
}

/// Where the next page of a chain is.
#[derive(Debug)]
pub struct NextUrl {
    /// Its URL.
    pub url: Url,
    /// Whether the chain asks for it again and expects another page.
    pub is_again: bool,
}

impl Chain {
    /// A chain of which only the first URL is known.
    pub fn new(first: &Url, config: &PaginationConfig) -> Self {
        Self {
            first: first.clone(),
            current: first.clone(),
            page_count: 1,
            record_count: 0,
            total: None,
            paging: config.paging.clone(),
            urls: HashSet::from([digest_of(first.as_str().as_bytes())]),
            contents: HashSet::new(),
            note: None,
        }
    }

    /// What a person should know of the chain: what `auto` chose and why, or that the first page tells of no other one.
    pub fn take_note(&mut self) -> Option<String> {
        self.note.take()
    }

    /// Whether the page that has come holds what one of the chain held before: a server that does not know the
    /// parameter turns no pages, and would double the records of the first one for ever.
    ///
    /// # Errors
    /// It does.
    pub fn check_is_new(&mut self, end: &PageEnd) -> Result<(), String> {
        let is_new = end.record_count == 0 || self.contents.insert(digest_of(&end.digest));
        if is_new {
            return Ok(());
        }
        Err(format!(
            "expected other records than on the pages of the chain before, got the same bytes again; {}",
            match self.paging.parameter() {
                Some(parameter) => format!("does the server know the parameter {parameter}?"),
                None => "the chain leads back to where it was".to_owned(),
            }
        ))
    }

    /// The page behind one that ended so; `None` at the end of the chain.
    ///
    /// # Errors
    /// The chain is broken, in words.
    pub fn turn(&mut self, end: &PageEnd, config: &PaginationConfig) -> Result<Option<NextUrl>, String> {
        self.record_count += end.record_count;
        self.learn_total(end, config)?;
        if self.page_count == 1
            && let Paging::Auto = self.paging
        {
            let (paging, options, why) = choose(end, config);
            self.note = Some(format!("--paginate auto chose {options}: {why}"));
            self.paging = paging;
        }
        if let (1, Paging::JsonLink { next } | Paging::Cursor { next, .. }) = (self.page_count, &self.paging)
            && self.note.is_none()
            && beside(end, config, next).is_none()
        {
            self.note = Some(format!("nothing stands at --next-path {} of the first page", shown(next)));
        }
        let next = match &self.paging {
            Paging::None | Paging::Auto => None,
            Paging::Link => end.link.as_deref().map(|link| self.resolve(end, link)).transpose()?,
            Paging::JsonLink { next } => match text_at(end, config, next)? {
                Some(link) => Some(self.resolve(end, &link)?),
                None => None,
            },
            Paging::Cursor { next, parameter } => {
                text_at(end, config, next)?.map(|cursor| with_parameter(&self.current, parameter, &cursor))
            }
            Paging::Offset { parameter, size } => {
                let here = number_in(&self.current, parameter).unwrap_or(FIRST_OFFSET);
                let is_last = end.record_count == 0 || size.is_some_and(|size| end.record_count < size);
                let next = here.saturating_add(end.record_count).to_string();
                (!is_last).then(|| with_parameter(&self.current, parameter, &next))
            }
            Paging::Page { parameter, size } => {
                let here = number_in(&self.current, parameter).ok_or_else(|| {
                    format!("expected a number in the parameter {parameter} of the URL, so that it is known which page is \
                             the first, got none; list the URL with {parameter}=1, or 0")
                })?;
                let is_last = end.record_count == 0 || size.is_some_and(|size| end.record_count < size);
                let next = here.saturating_add(1).to_string();
                (!is_last).then(|| with_parameter(&self.current, parameter, &next))
            }
        };
        let Some(next) = next else { return self.check_total(config).map(|()| None) };
        self.check_origin(&next, config)?;
        let is_again = !self.urls.insert(digest_of(next.as_str().as_bytes()));
        if is_again && !self.is_scrolled_to(&next) {
            return Err(
                "expected a page that was not in the chain before, got one again: it has no end".to_owned()
            );
        }
        if is_again && end.record_count == 0 {
            return self.check_total(config).map(|()| None);
        }
        if self.page_count >= config.pages_max {
            return Err(format!(
                "expected the chain to end within {} pages (--max-pages), it goes on",
                config.pages_max
            ));
        }
        self.page_count += 1;
        self.current = next.clone();
        Ok(Some(NextUrl { url: next, is_again }))
    }

    /// Whether the next page may stand at a URL that was asked for before: a cursor that is the same on every page is
    /// that of a server which remembers how far it has come.
    fn is_scrolled_to(&self, next: &Url) -> bool {
        matches!(self.paging, Paging::Cursor { .. }) && *next == self.current
    }

    /// The page that the next one is, in the chain.
    pub fn page_count(&self) -> u32 {
        self.page_count
    }

    fn resolve(&self, end: &PageEnd, link: &str) -> Result<Url, String> {
        let base = end.answered_url.as_ref().unwrap_or(&self.current);
        let mut next =
            base.join(link).map_err(|error| format!("the link to the next page is no URL: {error}"))?;
        next.set_fragment(None);
        // A server can't set credentials; those of the list stay with their origin.
        let (user, password) = match next.origin() == self.first.origin() {
            true => (self.first.username(), self.first.password()),
            false => ("", None),
        };
        let is_set = next.set_username(user).is_ok() && next.set_password(password).is_ok();
        if is_set { Ok(next) } else { Err("the link to the next page has no host".to_owned()) }
    }

    fn check_origin(&self, next: &Url, config: &PaginationConfig) -> Result<(), String> {
        match (self.current.scheme(), next.scheme()) {
            (_, "https") | ("http", "http") => {}
            ("https", "http") => {
                return Err("the link to the next page leads from https to http, which is refused".to_owned());
            }
            (_, other) => {
                return Err(format!("expected a link to the next page with http or https, got {other}"));
            }
        }
        if next.origin() == self.first.origin() || config.allows_other_origins {
            return Ok(());
        }
        Err(format!(
            "expected a next page of {}, got a link to {} (--allow-next-origin lets it through)",
            self.first.origin().ascii_serialization(),
            next.origin().ascii_serialization()
        ))
    }

    fn learn_total(&mut self, end: &PageEnd, config: &PaginationConfig) -> Result<(), String> {
        let Some(pointer) = &config.total else { return Ok(()) };
        let text = match beside(end, config, pointer) {
            None | Some(Beside::Null) => return Ok(()),
            Some(Beside::Number(text) | Beside::Text(text)) => text,
            Some(_) => return Err(format!("expected a number at --total-path {}, got none", shown(pointer))),
        };
        let total = text.parse();
        let total = total.map_err(|_| {
            let text: String = text.chars().take(SHOWN_CHARS_MAX).collect();
            format!("expected a count at --total-path {}, got {text}", shown(pointer))
        })?;
        self.total = Some(total);
        Ok(())
    }

    fn check_total(&self, config: &PaginationConfig) -> Result<(), String> {
        match (&config.total, self.total) {
            (Some(_), Some(total)) if total == self.record_count => Ok(()),
            (Some(pointer), Some(total)) => Err(format!(
                "expected {total} records in the chain (--total-path {}), got {}",
                shown(pointer),
                self.record_count
            )),
            (Some(pointer), None) => Err(format!(
                "expected a total at --total-path {} in a page of the chain, got none",
                shown(pointer)
            )),
            (None, _) => Ok(()),
        }
    }
}

/// Bytes of a link or a cursor at most: URLs are shorter.
const LINK_BYTES_MAX: usize = 8 << 10;
/// Characters of a text of the server's that are shown.
const SHOWN_CHARS_MAX: usize = 40;
/// Parameters of a URL that count pages, or records.
const PAGE_PARAMETERS: [&str; 2] = ["page", "pageNumber"];
const OFFSET_PARAMETERS: [&str; 3] = ["offset", "skip", "startAt"];

/// What `--paginate auto` chooses for a chain whose first page ended so: the options that say it, and why.
pub fn propose_paging(end: &PageEnd, config: &PaginationConfig) -> (String, String) {
    let (_, options, why) = choose(end, config);
    (format!("--paginate {options}"), why)
}

/// What turns the pages of a chain that begins so, the options that say it, and why.
fn choose(end: &PageEnd, config: &PaginationConfig) -> (Paging, String, String) {
    if end.link.is_some() {
        let why = "the first page has a Link header with rel=\"next\"";
        return (Paging::Link, "link".to_owned(), why.to_owned());
    }
    let none = |why: String| (Paging::None, "none".to_owned(), why);
    let found = |pointer: &str| beside(end, config, &tokens(pointer));
    for pointer in KNOWN_LINKS {
        match found(pointer) {
            None => {}
            Some(Beside::Text(text)) if text.contains('/') || text.starts_with('?') => {
                let paging = Paging::JsonLink { next: tokens(pointer) };
                let why = "the first page has a URL there".to_owned();
                return (paging, format!("json-link --next-path {pointer}"), why);
            }
            Some(Beside::Null | Beside::False) => {
                return none(format!("the first page says at {pointer} that there is no other one"));
            }
            Some(Beside::Text(text)) if text.is_empty() => {
                return none(format!("the first page says at {pointer} that there is no other one"));
            }
            Some(_) => {
                return none(format!(
                    "the first page has something at {pointer} that is no URL; if it leads on, say how with \
                     --paginate cursor or json-link"
                ));
            }
        }
    }
    for (pointer, parameter) in KNOWN_CURSORS {
        match found(pointer) {
            Some(Beside::Text(text) | Beside::Number(text)) if !text.is_empty() => {
                let paging = Paging::Cursor { next: tokens(pointer), parameter: parameter.to_owned() };
                let options = format!("cursor --next-path {pointer} --cursor-param {parameter}");
                return (paging, options, "the first page has a cursor there".to_owned());
            }
            Some(_) => return none(format!("the first page says at {pointer} that there is no other one")),
            None => {}
        }
    }
    let url = end.answered_url.as_ref();
    let has_number = |parameter: &&str| url.is_some_and(|url| number_in(url, parameter).is_some());
    let size = config.page_size;
    if let Some(parameter) = PAGE_PARAMETERS.into_iter().find(has_number) {
        let paging = Paging::Page { parameter: parameter.to_owned(), size };
        let why = format!("the URL has a number in {parameter}");
        return (paging, format!("page --page-param {parameter}"), why);
    }
    if let Some(parameter) = OFFSET_PARAMETERS.into_iter().find(has_number) {
        let paging = Paging::Offset { parameter: parameter.to_owned(), size };
        let why = format!("the URL has a number in {parameter}");
        return (paging, format!("offset --offset-param {parameter}"), why);
    }
    none("the first page tells of no other one".to_owned())
}

/// The link or cursor at this place; `None` where there is no next page.
fn text_at(end: &PageEnd, config: &PaginationConfig, pointer: &[String]) -> Result<Option<String>, String> {
    match beside(end, config, pointer) {
        None | Some(Beside::Null | Beside::False) => Ok(None),
        Some(Beside::Text(text) | Beside::Number(text)) if text.len() > LINK_BYTES_MAX => Err(format!(
            "expected a link or cursor of at most {LINK_BYTES_MAX} bytes at {}, got {}",
            shown(pointer),
            text.len()
        )),
        Some(Beside::Text(text)) => Ok((!text.is_empty()).then_some(text)),
        Some(Beside::Number(text)) => Ok(Some(text)),
        Some(Beside::Other) => {
            Err(format!("expected text or null at {}, got something else", shown(pointer)))
        }
    }
}

/// What stands at this place beside the records.
fn beside(end: &PageEnd, config: &PaginationConfig, pointer: &[String]) -> Option<Beside> {
    let place = config.looked_at().iter().position(|looked_at| **looked_at == *pointer)?;
    end.beside.iter().rev().find(|(found, _)| *found == place).map(|(_, value)| value.clone())
}

fn tokens(pointer: &str) -> Vec<String> {
    crate::pointer::parse(pointer).expect("a pointer of ours")
}

fn shown(pointer: &[String]) -> String {
    crate::pointer::show(pointer.iter().map(String::as_str))
}

fn digest_of(bytes: &[u8]) -> [u8; 16] {
    let mut digest = RunningDigest::default();
    digest.update(bytes);
    let mut short = [0; 16];
    short.copy_from_slice(&digest.finish()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_keeps_to_its_origin_with_the_credentials_of_the_list() {
        let config = PaginationConfig { paging: Paging::Link, ..PaginationConfig::default() };
        let follow = |link: &str, allows_other_origins: bool| {
            let first = Url::parse("https://user:secret@h/a?page=1").unwrap();
            let end = PageEnd { link: Some(link.to_owned()), ..PageEnd::default() };
            let config = PaginationConfig { allows_other_origins, ..config.clone() };
            Chain::new(&first, &config)
                .turn(&end, &config)
                .map(|next| next.map(|next| String::from(next.url)))
        };
        assert_eq!(follow("?page=2#x", false).unwrap().unwrap(), "https://user:secret@h/a?page=2");
        assert_eq!(follow("https://evil:x@h/b", false).unwrap().unwrap(), "https://user:secret@h/b");
        assert_eq!(follow("https://o/b", true).unwrap().unwrap(), "https://o/b");
        for refused in ["https://o/b", "https://h:8443/b", "//o/b"] {
            assert!(follow(refused, false).unwrap_err().contains("--allow-next-origin"), "{refused}");
        }
        for refused in ["http://h/b", "http://o/b", "ftp://h/b", "file:///etc/passwd", "https://"] {
            assert!(follow(refused, true).is_err(), "{refused}");
        }
    }
}
