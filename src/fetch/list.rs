//! The URL list: validated once before the first request, then read again, lazily, as page requests.
//!
//! The list is never held in memory; a URL costs one 16-byte digest, which is how a repeated one is
//! recognised. What can't be read twice (a pipe) is copied first. Nothing here asks for a page or looks
//! whether a file exists: that is a failed page, not a wrong list.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use super::entry::{Entry, is_object};
use super::lines::{Line, Lines, Source, open_source};
use super::paginate::NextUrl;
use super::redact::Redaction;
use super::spool;
use super::template::Template;
use crate::calendar::Day;
use crate::config::InputConfig;
use crate::digest::RunningDigest;
use crate::error::{Error, Result};
use crate::model::{Ask, Location, PageId, PageKey, PageOptions, PageRequest};

/// URLs that room is made for at once: a table that grows is there twice for a moment.
const SEEN_RESERVED_MAX: usize = 1 << 24;

/// A URL list that was read once and found right.
#[derive(Debug)]
pub struct UrlList {
    lines: Lines,
    grammar: Grammar,
    listed: u64,
    digest: String,
    key_digest: String,
}

impl UrlList {
    /// Reads and checks the whole list and the arguments behind it, in one pass.
    ///
    /// Blocks while it reads, standard input too, so it belongs before the run.
    ///
    /// # Errors
    /// A usage error that names file and line: the list is missing, empty or no UTF-8, a line is
    /// neither a URL that can be fetched nor a path, a brace is no expansion, a line expands to too much.
    pub fn open(config: &InputConfig) -> Result<Self> {
        let Some(file) = &config.urls_file else {
            return Self::check(None, "arguments", Path::new("."), config);
        };
        if file == Path::new("-") {
            let source = spool::keep(std::io::stdin().lock()).map_err(|error| {
                Error::failed("could not read the URL list from standard input").because(error)
            })?;
            return Self::check(Some(source), "standard input", Path::new("."), config);
        }
        let name = file.display().to_string();
        let source = open_source(file).map_err(|error| {
            Error::usage(format!("could not open the URL list {name} (--urls)")).because(error)
        })?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self::check(Some(source), &name, folder.unwrap_or(Path::new(".")), config)
    }

    fn check(source: Option<Source>, name: &str, folder: &Path, config: &InputConfig) -> Result<Self> {
        let grammar = Grammar {
            as_of: config.as_of.unwrap_or_else(Day::today),
            list_folder: absolute(folder),
            working_folder: absolute(Path::new(".")),
            redaction: Redaction::new(&config.redact),
            defaults: Arc::new(PageOptions {
                method: config.method,
                headers: Vec::new(),
                body: config.body.clone(),
            }),
        };
        let mut lines = Lines::new(name, source, &config.urls);
        let mut listed = 0_u64;
        let mut digest = RunningDigest::default();
        let mut key_digest = RunningDigest::default();
        for folder in [&grammar.list_folder, &grammar.working_folder] {
            key_digest.update(folder.as_os_str().as_encoded_bytes());
            key_digest.update(b"\n");
        }
        while let Some(line) = lines.next()? {
            let (template, options) =
                grammar.check(&line).map_err(|fault| line.usage_error(lines.name(), &fault))?;
            listed = listed.saturating_add(template.count());
            add_to_digest(&mut digest, &template, &options, &grammar.redaction);
            key_digest.update(template.canonical().as_bytes());
            add_options(&mut key_digest, &options, |_| true);
            key_digest.update(b"\n");
        }
        if listed == 0 {
            return Err(Error::usage(match &config.urls_file {
                Some(_) => format!("{name}: expected at least one URL, got an empty list"),
                None => {
                    "expected URLs, got none; name a list with --urls FILE or give URLs as arguments".into()
                }
            }));
        }
        Ok(Self { lines, grammar, listed, digest: digest.finish_hex(), key_digest: key_digest.finish_hex() })
    }

    /// How many URLs the list stands for, repeated ones included.
    pub fn listed(&self) -> u64 {
        self.listed
    }

    /// What identifies the list: SHA-256 of its lines with the dates put in, comments and blank lines
    /// left out. The same list gives the same digest wherever it stands and however its lines end.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What identifies its pages as [`PageRequest::key`] does, folders of relative paths and values of secret headers
    /// included.
    pub fn key_digest(&self) -> &str {
        &self.key_digest
    }

    /// The requests, in the order of the list, each URL once.
    ///
    /// # Errors
    /// The list could not be read from its start again.
    pub fn requests(mut self) -> Result<Requests> {
        self.lines.rewind()?;
        Ok(Requests {
            lines: self.lines,
            grammar: self.grammar,
            expected_digest: self.digest,
            running_digest: RunningDigest::default(),
            current: None,
            seen: HashSet::with_capacity(
                usize::try_from(self.listed).unwrap_or(usize::MAX).min(SEEN_RESERVED_MAX),
            ),
            only: None,
            done: HashSet::new(),
            ordinal: 0,
            duplicates: 0,
            is_over: false,
        })
    }
}

/// The page requests of a list, read lazily; reading a line may block for as long as a disk does.
///
/// An error is the last item: the list could not be read, or it is not the one that was checked.
#[derive(Debug)]
pub struct Requests {
    lines: Lines,
    grammar: Grammar,
    expected_digest: String,
    running_digest: RunningDigest,
    current: Option<Expanding>,
    seen: HashSet<PageKey>,
    /// Pages that alone are asked for, and have not been found yet.
    only: Option<HashSet<PageKey>>,
    /// Pages that an earlier run has done.
    done: HashSet<PageKey>,
    ordinal: u64,
    duplicates: u64,
    is_over: bool,
}

#[derive(Debug)]
struct Expanding {
    line: Line,
    template: Template,
    options: Arc<PageOptions>,
    next: u64,
}

impl Requests {
    /// How many URLs were left out so far because they came before.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// These pages alone, which keep their places. A URL that is listed twice is no duplicate then: it is not asked for.
    #[must_use]
    pub fn only(mut self, pages: HashSet<PageKey>) -> Self {
        self.only = Some(pages);
        self
    }

    /// How many of the pages that alone are asked for have not been found.
    pub fn missing(&self) -> u64 {
        self.only.as_ref().map_or(0, |pages| pages.len() as u64)
    }

    /// The same requests but for pages that are done, which keep their places.
    #[must_use]
    pub fn without(mut self, done: HashSet<PageKey>) -> Self {
        self.done = done;
        self
    }

    /// The request for a page that was found behind another one of its chain, and is asked for as
    /// that was; `None` if its URL is one that has been, or will be, asked for: the list holds it
    /// too. One that its chain asks for again is another page than it was.
    ///
    /// To be called once the list is over.
    pub fn follow(&mut self, id: PageId, next: NextUrl, ask: Ask) -> Option<PageRequest> {
        let NextUrl { url, is_again } = next;
        let shown = self.grammar.redaction.show(&url, url.as_str());
        // Without what is sent at home, it may be another page.
        let is_home = ask.is_home(&url);
        let target = Target { location: Location::Http(url), shown };
        let key = target.identity(ask.own(), is_home);
        if !self.seen.insert(key) && !is_again {
            self.duplicates += 1;
            return None;
        }
        Some(PageRequest { id, location: target.location, key, shown: Arc::from(target.shown), ask })
    }

    fn advance(&mut self) -> Result<Option<PageRequest>> {
        loop {
            let Some(expanding) = &mut self.current else {
                if !self.next_line()? {
                    return Ok(None);
                }
                continue;
            };
            if expanding.next == expanding.template.count() {
                self.current = None;
                continue;
            }
            let text = expanding.template.text(expanding.next);
            expanding.next += 1;
            let line = expanding.line.number;
            let is_argument = expanding.line.argument > 0;
            let options = Arc::clone(&expanding.options);
            let target = self.grammar.resolve(&text, is_argument).map_err(|_| self.lines.changed())?;
            let key = target.identity(&options, true);
            if !self.seen.insert(key) {
                self.duplicates += u64::from(self.only.is_none());
                continue;
            }
            let id = PageId { ordinal: self.ordinal, line, page: 1 };
            self.ordinal += 1;
            let is_asked_for = self.only.as_mut().is_none_or(|pages| pages.remove(&key));
            if !is_asked_for || self.done.contains(&key) {
                continue;
            }
            let Target { location, shown } = target;
            let ask = Ask::new(&location, options).map_err(|_| self.lines.changed())?;
            return Ok(Some(PageRequest { id, location, key, shown: Arc::from(shown), ask }));
        }
    }

    fn next_line(&mut self) -> Result<bool> {
        let Some(line) = self.lines.next().map_err(|_| self.lines.changed())? else {
            let digest = std::mem::take(&mut self.running_digest).finish_hex();
            return if digest == self.expected_digest { Ok(false) } else { Err(self.lines.changed()) };
        };
        let (template, options) = self.grammar.read(&line).map_err(|_| self.lines.changed())?;
        add_to_digest(&mut self.running_digest, &template, &options, &self.grammar.redaction);
        self.current = Some(Expanding { line, template, options, next: 0 });
        Ok(true)
    }
}

impl Iterator for Requests {
    type Item = Result<PageRequest>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let item = self.advance().transpose();
        self.is_over = !matches!(item, Some(Ok(_)));
        item
    }
}

/// What a line means; the same in both passes.
#[derive(Debug)]
struct Grammar {
    as_of: Day,
    list_folder: PathBuf,
    working_folder: PathBuf,
    redaction: Redaction,
    /// What belongs to pages whose lines say nothing more than their URL.
    defaults: Arc<PageOptions>,
}

#[derive(Debug)]
struct Target {
    location: Location,
    shown: String,
}

impl Grammar {
    fn read(&self, line: &Line) -> Result<(Template, Arc<PageOptions>), String> {
        let Entry { url, own } = Entry::parse(&line.text, &self.defaults)?;
        let template = Template::parse(&url, self.as_of)?;
        Ok((template, own.map_or_else(|| Arc::clone(&self.defaults), Arc::new)))
    }

    fn check(&self, line: &Line) -> Result<(Template, Arc<PageOptions>), String> {
        if line.argument > 0 && is_object(&line.text) {
            // What it may hold is not for a command line, which every user of the machine can see.
            return Err("expected a URL or a path, got an object; put it into the list (--urls)".to_owned());
        }
        let (template, options) = self.read(line)?;
        let says_more = !Arc::ptr_eq(&options, &self.defaults);
        for index in template.doubtful().chain([template.count() - 1]) {
            let target = self.resolve(&template.text(index), line.argument > 0)?;
            if says_more && matches!(target.location, Location::File(_)) {
                return Err("expected an http or https URL beside method, headers or body, got a file".into());
            }
            Ask::new(&target.location, Arc::clone(&options))?;
        }
        Ok((template, options))
    }

    fn resolve(&self, text: &str, is_argument: bool) -> Result<Target, String> {
        let Some(scheme) = scheme_of(text) else {
            let folder = if is_argument { &self.working_folder } else { &self.list_folder };
            return Ok(Target { location: Location::File(folder.join(text)), shown: text.to_owned() });
        };
        if !["http", "https", "file"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(format!(
                "expected http, https, file or a path, got {scheme}; \
                 a path with a colon in it is written ./{scheme}:..."
            ));
        }
        if text.contains(char::is_whitespace) {
            return Err(
                "expected one URL, got a space in it; a space that belongs to it is written %20".into()
            );
        }
        let mut url =
            Url::parse(text).map_err(|error| format!("expected a URL, got one with a fault: {error}"))?;
        let shown = self.redaction.show(&url, text);
        // A fragment is never sent, so URLs that differ in it alone are one page.
        url.set_fragment(None);
        if url.scheme() != "file" {
            return Ok(Target { location: Location::Http(url), shown });
        }
        let path = url.to_file_path().map_err(|()| {
            "expected file:///path on this machine, got a file URL of another host".to_owned()
        })?;
        Ok(Target { location: Location::File(path), shown })
    }
}

impl Target {
    /// 16 bytes of a SHA-256: a list made to collide can't make a page disappear. Another method,
    /// body or header is another page.
    fn identity(&self, options: &PageOptions, is_home: bool) -> PageKey {
        let mut digest = RunningDigest::default();
        match &self.location {
            Location::Http(url) => digest.update(url.as_str().as_bytes()),
            // Going by components makes `a/./b` and `a//b` one.
            Location::File(path) => {
                let path: PathBuf = path.components().collect();
                digest.update(path.as_os_str().as_encoded_bytes());
            }
            Location::Records(_) | Location::Kept(_) => unreachable!("no list names what a run has made"),
        }
        add_options(&mut digest, options, |_| true);
        digest.update(if is_home { b"" } else { b"\0away" });
        let mut identity = [0; 16];
        identity.copy_from_slice(&digest.finish()[..16]);
        identity
    }
}

/// The scheme of an absolute URL (RFC 3986, section 3.1), in its own spelling.
fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let mut letters = scheme.bytes();
    let is_scheme = letters.next()?.is_ascii_alphabetic()
        && letters.all(|letter| letter.is_ascii_alphanumeric() || b"+-.".contains(&letter));
    is_scheme.then_some(scheme)
}

/// The values of secret headers are left out: the digest of a list is shown, and stays when a key is changed.
fn add_to_digest(
    digest: &mut RunningDigest,
    template: &Template,
    options: &PageOptions,
    redaction: &Redaction,
) {
    digest.update(template.canonical().as_bytes());
    add_options(digest, options, |header| !redaction.hides_header(header));
    digest.update(b"\n");
}

/// Adds what a line says beside its URL; nothing where it says nothing.
fn add_options(digest: &mut RunningDigest, options: &PageOptions, has_value: impl Fn(&str) -> bool) {
    let mut add = |kind: u8, bytes: &[u8]| {
        // A space and a length, which no URL holds in this way, so that no two lines read the same.
        digest.update(&[b' ', kind]);
        digest.update(&(bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    if *options == PageOptions::default() {
        return;
    }
    add(b'm', options.method.name().as_bytes());
    for header in &options.headers {
        add(b'h', header.name().as_bytes());
        if has_value(header.name()) {
            add(b'v', header.value().bytes());
        }
    }
    if let Some(body) = &options.body {
        add(b'b', body.bytes());
    }
}

/// Paths are compared in full, so that a relative one and a `file` URL of the same file are one page.
fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
