//! Chains of pages: where the page behind one is, and whether a chain came to its end. Asks for nothing itself.
//!
//! A chain that does not end as it should (a page that comes again, a cursor that does, a total that was not met) is
//! a failure that is told, never a quiet end: the sum of its pages is not what the server has.

use std::collections::HashSet;

use url::Url;

use crate::config::{KNOWN_CURSORS, KNOWN_LINKS, PaginationConfig, Paging};
use crate::digest::RunningDigest;
use crate::model::{Beside, PageEnd};

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

    /// The URL of the page behind one that ended so; `None` at the end of the chain.
    ///
    /// # Errors
    /// The chain is broken, in words.
    pub fn turn(&mut self, end: &PageEnd, config: &PaginationConfig) -> Result<Option<Url>, String> {
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
        if !self.urls.insert(digest_of(next.as_str().as_bytes())) {
            return Err(
                "expected a page that was not in the chain before, got one again: it has no end".to_owned()
            );
        }
        if self.page_count >= config.pages_max {
            return Err(format!(
                "expected the chain to end within {} pages (--max-pages), it goes on",
                config.pages_max
            ));
        }
        self.page_count += 1;
        self.current = next.clone();
        Ok(Some(next))
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

/// The target of the first link with `rel=next` (RFC 8288) that is about the page itself.
pub(super) fn next_link<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<String> {
    headers.into_iter().find_map(|header| {
        let mut rest = header.trim_start_matches([' ', '\t', ',']);
        while !rest.is_empty() {
            let mut behind = rest;
            if let Some((target, parameters)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
                let (is_next, behind_parameters) = parameters_say_next(parameters);
                if is_next {
                    return Some(target.trim().to_owned());
                }
                behind = behind_parameters;
            }
            // Whatever is no link is passed: the one behind it may be the next page's.
            rest = behind_comma(behind).trim_start_matches([' ', '\t', ',']);
        }
        None
    })
}

/// What stands behind the next comma that is in no quotes.
fn behind_comma(text: &str) -> &str {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (place, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => return &text[place + 1..],
            _ => {}
        }
    }
    ""
}

/// Reads the parameters of a link, up to the comma before the next one.
fn parameters_say_next(mut rest: &str) -> (bool, &str) {
    let (mut relations, mut has_anchor) = (None, false);
    while let Some(parameter) = rest.trim_start().strip_prefix(';') {
        let end = parameter.find(['=', ';', ',']).unwrap_or(parameter.len());
        let name = parameter[..end].trim().to_ascii_lowercase();
        rest = &parameter[end..];
        let mut value = String::new();
        if let Some(behind) = rest.strip_prefix('=') {
            (value, rest) = parameter_value(behind.trim_start());
        }
        match name.as_str() {
            // Only the first one counts (RFC 8288, 3.3).
            "rel" if relations.is_none() => relations = Some(value),
            "anchor" => has_anchor = true,
            _ => {}
        }
    }
    let is_next = relations
        .is_some_and(|value| value.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next")));
    (is_next && !has_anchor, rest)
}

/// A token or a quoted string, and what stands behind it.
fn parameter_value(text: &str) -> (String, &str) {
    // Single quotes are none in the grammar, but mean some.
    if let Some((value, behind)) = text.strip_prefix('\'').and_then(|quoted| quoted.split_once('\'')) {
        return (value.to_owned(), behind);
    }
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[place + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            _ => value.push(letter),
        }
    }
    (value, "")
}

/// The URL with this value of a parameter, in the place of the one that it has.
fn with_parameter(url: &Url, parameter: &str, value: &str) -> Url {
    let pair: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair(parameter, value).finish();
    let mut is_set = false;
    let mut pairs: Vec<&str> = Vec::new();
    for old in url.query().unwrap_or_default().split('&').filter(|old| !old.is_empty()) {
        if !is_it(old, parameter) {
            pairs.push(old);
        } else if !std::mem::replace(&mut is_set, true) {
            pairs.push(&pair);
        }
    }
    if !is_set {
        pairs.push(&pair);
    }
    let mut next = url.clone();
    next.set_query(Some(&pairs.join("&")));
    next
}

fn number_in(url: &Url, parameter: &str) -> Option<u64> {
    let pair = url.query()?.split('&').find(|pair| is_it(pair, parameter))?;
    let (_, value) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
    value.parse().ok()
}

fn is_it(pair: &str, parameter: &str) -> bool {
    url::form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(key, _)| key == parameter)
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
    fn next_link_is_found_among_others() {
        for header in [
            "<https://h/?page=2>; rel=\"next\", <https://h/?page=9>; rel=\"last\"",
            "<https://h/?page=9>; rel=\"last\" , <https://h/?page=2>;rel=next",
            "<https://h/?page=1>; rel=\"prev\"; title=\"a, b; <c>\", <https://h/?page=2>; title=\"\\\"\" ; REL=\"start NEXT\"",
            " < https://h/?page=2 > ; rel=next; type=\"x\"",
        ] {
            assert_eq!(next_link([header]).as_deref(), Some("https://h/?page=2"), "{header}");
        }
        for header in
            ["<b>; rel='next'", "/x; rel=self, <b>; rel=next", "<a>; rel=prev junk \"x, y\", <b>; rel=next"]
        {
            assert_eq!(next_link([header]).as_deref(), Some("b"), "{header}");
        }
        assert_eq!(next_link(["<a>; rel=prev", "<b>; rel=next"]).as_deref(), Some("b"));
        for header in [
            "",
            "<a>",
            "<a>; rel=\"nextpage\"",
            "<a>; rel=prev; rel=next",
            "<a>; anchor=\"/other\"; rel=next",
            "a; rel=next",
            "<a; rel=next",
            "<a>; title=\"rel=next",
            "<a>; rel=\"prev\", b; rel=next",
        ] {
            assert_eq!(next_link([header]), None, "{header}");
        }
    }

    #[test]
    fn parameter_is_set_in_its_place_and_others_stay_as_they_are_written() {
        let set = |url: &str, parameter: &str, value: &str| {
            String::from(with_parameter(&Url::parse(url).unwrap(), parameter, value))
        };
        assert_eq!(set("http://h/a?x=%7B&page=1&y=a+b", "page", "2"), "http://h/a?x=%7B&page=2&y=a+b");
        assert_eq!(set("http://h/a?page=1&page=7&pages=3", "page", "2"), "http://h/a?page=2&pages=3");
        assert_eq!(set("http://h/a", "c[0]", "a&b=/ é"), "http://h/a?c%5B0%5D=a%26b%3D%2F+%C3%A9");
        assert_eq!(set("http://h/a?%70age=1", "page", "2"), "http://h/a?page=2");
        let url = Url::parse("http://h/a?%70age=10&offset=x").unwrap();
        assert_eq!(
            [number_in(&url, "page"), number_in(&url, "offset"), number_in(&url, "o")],
            [Some(10), None, None]
        );
    }

    #[test]
    fn link_keeps_to_its_origin_with_the_credentials_of_the_list() {
        let config = PaginationConfig { paging: Paging::Link, ..PaginationConfig::default() };
        let follow = |link: &str, allows_other_origins: bool| {
            let first = Url::parse("https://user:secret@h/a?page=1").unwrap();
            let end = PageEnd { link: Some(link.to_owned()), ..PageEnd::default() };
            let config = PaginationConfig { allows_other_origins, ..config.clone() };
            Chain::new(&first, &config).turn(&end, &config).map(|url| url.map(String::from))
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
