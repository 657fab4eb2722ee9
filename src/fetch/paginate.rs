//! Chains of pages: where the page behind one is, and whether a chain came to its end. Asks for nothing itself.
//!
//! A chain that does not end as it should (a page that comes again, a link that leads back, a total that was not met) is
//! a failure that is told, never a quiet end: the sum of its pages is not what the server has. A cursor may stay as it
//! is, where the server remembers how far it has come (a scroll): then what the pages hold tells them apart.

mod choose;
mod link_header;
mod parameter;
mod told;

use std::collections::HashSet;

use url::Url;

use parameter::{number_in, with_parameter};
use told::{Sign, Told, shown};

use crate::config::{PaginationConfig, Paging};
use crate::digest::RunningDigest;
use crate::model::{Around, Beside, PageEnd, RecordsDigest};

pub use choose::Choice;
pub(super) use link_header::next_link;

/// Records before the first page, if the URL does not say.
const FIRST_OFFSET: u64 = 0;
/// Characters of a text of the server's that are shown.
const SHOWN_CHARS_MAX: usize = 40;

/// The pages that begin with one URL of the list, as far as they are known.
#[derive(Debug)]
pub struct Chain {
    first: Url,
    /// The URL of the last page.
    current: Url,
    /// Whether that was asked for before.
    is_again: bool,
    /// Pages so far.
    page_count: u32,
    record_count: u64,
    total: Option<u64>,
    paging: Paging,
    /// The URLs asked for.
    urls: HashSet<[u8; 16]>,
    /// What the pages with records held.
    contents: HashSet<[u8; 16]>,
    /// The records of the page before, and what it told of the next one.
    before: Option<(RecordsDigest, Option<String>)>,
    /// What stood around the records of the first page.
    around_first: Around,
    /// Whether a page had as many records as a page may have.
    has_full_page: bool,
    /// What a person should know of it.
    note: Option<Note>,
    /// Tells whether the page before was taken by an earlier run.
    is_gone_on_with: bool,
}

/// What a person should know of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// What `auto` chose, as options, and why.
    Chosen(String, String),
    /// Something else.
    Other(String),
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
            is_again: false,
            page_count: 1,
            record_count: 0,
            total: None,
            paging: config.paging.clone(),
            urls: HashSet::from([digest_of(first.as_str().as_bytes())]),
            contents: HashSet::new(),
            before: None,
            around_first: Around::default(),
            has_full_page: false,
            note: None,
            is_gone_on_with: false,
        }
    }

    /// Notes that the pages so far were taken by an earlier run.
    pub fn go_on_with(&mut self) {
        self.is_gone_on_with = true;
    }

    /// Its first URL.
    pub fn first(&self) -> &Url {
        &self.first
    }

    /// What a person should know of the chain: what `auto` chose and why, or that the first page tells of no other one.
    pub fn take_note(&mut self) -> Option<Note> {
        self.note.take()
    }

    /// Whether a page in which there is no place of records is one of the chain all the same, without records: servers
    /// leave out what is empty. It is one behind the first page, and says nothing but what that said, and where the next
    /// page is: so what says that something failed is none.
    pub fn excuses(&self, end: &PageEnd) -> bool {
        self.page_count > 1
            && !self.around_first.is_partial
            && end.around.says_no_more_than(&self.around_first)
    }

    /// Whether the page that has come holds what one of the chain held before: a server that does not know the
    /// parameter turns no pages, and would double the records of the first one for ever.
    ///
    /// # Errors
    /// It does.
    pub fn check_is_new(&mut self, end: &PageEnd, config: &PaginationConfig) -> Result<(), String> {
        let is_gone_on_with = std::mem::take(&mut self.is_gone_on_with);
        if end.record_count == 0 {
            return Ok(());
        }
        let what = if !self.contents.insert(digest_of(&end.digest)) {
            "the same bytes again"
        } else if self.repeats_records(end, config) {
            "the records of the page before again"
        } else {
            return Ok(());
        };
        Err(format!(
            "expected other records than on the pages of the chain before, got {what}; {}",
            match self.paging.parameter() {
                _ if is_gone_on_with => {
                    "its data has shifted since the run was stopped that had those pages: --fresh begins anew"
                        .to_owned()
                }
                Some(parameter) => format!("does the server know the parameter {parameter}?"),
                None => "the chain leads back to where it was".to_owned(),
            }
        ))
    }

    /// Whether the records are those of the page before, whatever stands around them. One record, or copies of one, may
    /// stand on two pages where the server goes on: it tells of another next page, then.
    fn repeats_records(&self, end: &PageEnd, config: &PaginationConfig) -> bool {
        let Some((records, told_next)) = &self.before else { return false };
        let is_same = !end.records.is_empty() && *records == end.records;
        let goes_on = || self.told_next(Told { end, config }) != *told_next;
        is_same && !(end.records.is_uniform() && !self.is_again && self.is_led() && goes_on())
    }

    /// Whether the server says where the next page is.
    fn is_led(&self) -> bool {
        matches!(self.paging, Paging::Link | Paging::JsonLink { .. } | Paging::Cursor { .. })
    }

    /// What a page tells of the next one, as it stands.
    fn told_next(&self, told: Told<'_>) -> Option<String> {
        match &self.paging {
            Paging::Link => told.end.link.clone(),
            Paging::JsonLink { next } | Paging::Cursor { next, .. } => told.text_at(next).ok().flatten(),
            Paging::None | Paging::Auto | Paging::Offset { .. } | Paging::Page { .. } => None,
        }
    }

    /// The page behind one that ended so; `None` at the end of the chain.
    ///
    /// # Errors
    /// The chain is broken, in words.
    pub fn turn(&mut self, end: &PageEnd, config: &PaginationConfig) -> Result<Option<NextUrl>, String> {
        let told = Told { end, config };
        self.record_count += end.record_count;
        self.learn_total(told)?;
        if self.page_count == 1 {
            self.around_first = end.around.clone();
            self.begin(told)?;
        }
        self.before = Some((end.records, self.told_next(told)));
        let Some(next) = self.next_of(told)? else { return self.check_total(config).map(|()| None) };
        self.check_origin(&next, config)?;
        self.is_again = !self.urls.insert(digest_of(next.as_str().as_bytes()));
        if self.is_again && !self.is_scrolled_to(&next) {
            return Err(
                "expected a page that was not in the chain before, got one again: it has no end".to_owned()
            );
        }
        if self.is_again && end.record_count == 0 {
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
        Ok(Some(NextUrl { url: next, is_again: self.is_again }))
    }

    /// Learns from the first page how the chain goes on, and what of it should be known.
    fn begin(&mut self, told: Told<'_>) -> Result<(), String> {
        match &self.paging {
            Paging::Auto => {
                let (options, why);
                (self.paging, options, why) = match choose::choose(told) {
                    Choice::Known { paging, why } => (paging.clone(), paging.shown(), why),
                    Choice::None { why } => (Paging::None, Paging::None.shown(), why),
                    Choice::Unknown { reason } => return Err(reason),
                };
                self.note = Some(Note::Chosen(options, why));
            }
            Paging::JsonLink { next } | Paging::Cursor { next, .. } if told.at(next).is_none() => {
                let note = format!("nothing stands at --next-path {} of the first page", shown(next));
                self.note = Some(Note::Other(note));
            }
            _ => {}
        }
        Ok(())
    }

    /// The URL of the next page, as the page tells it.
    fn next_of(&mut self, told: Told<'_>) -> Result<Option<Url>, String> {
        let end = told.end;
        let next = match &self.paging {
            Paging::None | Paging::Auto => return Ok(None),
            // A header is sent for what is there: no sign in the body takes it back.
            Paging::Link => end.link.as_deref().map(|link| self.resolve(end, link)).transpose()?,
            Paging::JsonLink { next } => match told.text_at(next)? {
                Some(link) if !is_at_end(told) => Some(self.resolve(end, &link)?),
                Some(_) => return Ok(None),
                None => None,
            },
            Paging::Cursor { next, parameter } => match told.text_at(next)? {
                Some(_) if is_at_end(told) => return Ok(None),
                Some(cursor) if !self.is_start(told, next, parameter, &cursor) => {
                    Some(with_parameter(&self.current, parameter, &cursor))
                }
                _ => None,
            },
            Paging::Offset { parameter, size } => {
                let (parameter, size) = (parameter.clone(), *size);
                let here = number_in(&self.current, &parameter).unwrap_or(FIRST_OFFSET);
                let next = here.saturating_add(end.record_count).to_string();
                self.goes_on(told, size).then(|| with_parameter(&self.current, &parameter, &next))
            }
            Paging::Page { parameter, size } => {
                let (parameter, size) = (parameter.clone(), *size);
                let here = number_in(&self.current, &parameter).ok_or_else(|| {
                    format!("expected a number in the parameter {parameter} of the URL, so that it is known which page is \
                             the first, got none; list the URL with {parameter}=1, or 0")
                })?;
                let next = here.saturating_add(1).to_string();
                self.goes_on(told, size).then(|| with_parameter(&self.current, &parameter, &next))
            }
        };
        match (next, told.sign()) {
            (None, Some(Sign::More(place))) => Err(format!(
                "the page says at {place} that there are more, but nothing leads to them ({})",
                self.paging.shown()
            )),
            (next, _) => Ok(next),
        }
    }

    /// Whether a cursor is the one that a chain of numbers begins at, by which APIs say that it has ended. A text is the
    /// number 0 only where others of the chain are numbers.
    fn is_start(&self, told: Told<'_>, next: &[String], parameter: &str, cursor: &str) -> bool {
        let is_number = matches!(told.at(next), Some(Beside::Number(_)));
        cursor == "0" && (is_number || number_in(&self.current, parameter).is_some())
    }

    /// Whether there is a page behind this one where pages are counted.
    ///
    /// A page with fewer records than were asked for is the last one only if others had as many: a server that gives
    /// fewer at most has more of them.
    fn goes_on(&mut self, told: Told<'_>, size: Option<u64>) -> bool {
        let record_count = told.end.record_count;
        self.has_full_page |= size.is_some_and(|size| record_count >= size);
        if record_count == 0 {
            return false;
        }
        match told.sign_or_link() {
            Some(Sign::End(_)) => return false,
            Some(Sign::More(_)) => return true,
            None => {}
        }
        if size.is_none_or(|size| record_count >= size) {
            return true;
        }
        match self.total {
            Some(total) => self.record_count < total,
            None => !self.has_full_page || told.total_beyond(self.record_count, u64::MAX).is_some(),
        }
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

    fn learn_total(&mut self, told: Told<'_>) -> Result<(), String> {
        let Some(pointer) = &told.config.total else { return Ok(()) };
        let text = match told.at(pointer) {
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

/// What `--paginate auto` chooses for a chain whose first page ended so.
pub fn propose_paging(end: &PageEnd, config: &PaginationConfig) -> Choice {
    choose::choose(Told { end, config })
}

/// Whether a page says beside the place of the next one that none follows.
fn is_at_end(told: Told<'_>) -> bool {
    matches!(told.sign(), Some(Sign::End(_)))
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
