//! What a page tells of the pages behind it: the values at places that are known, and what they mean.

use crate::config::{KNOWN_LINKS, PAGE_COUNTS, PaginationConfig, SIGNS, TOTALS};
use crate::model::{Beside, PageEnd};

/// Bytes of a link or a cursor at most: URLs are shorter.
const LINK_BYTES_MAX: usize = 8 << 10;

/// A page that was taken, and the places in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) end: &'a PageEnd,
    pub(super) config: &'a PaginationConfig,
}

/// What a page says beside the place of the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sign {
    /// At this place, that more pages follow.
    More(String),
    /// At this place, that none does.
    End(String),
}

impl<'a> Told<'a> {
    /// What stands at this place.
    pub(super) fn at(self, pointer: &[String]) -> Option<&'a Beside> {
        self.found().find(|(place, _)| *place == pointer).map(|(_, value)| value)
    }

    /// What stands at this place of ours.
    pub(super) fn at_known(self, place: &str) -> Option<&'a Beside> {
        self.at(&tokens(place))
    }

    fn found(self) -> impl Iterator<Item = (&'a [String], &'a Beside)> {
        let looked_at = &self.config.looked_at;
        self.end.around.beside.iter().map(|(place, value)| (looked_at[*place].as_slice(), value))
    }

    /// The link or cursor at this place; `None` where there is no next page.
    ///
    /// # Errors
    /// There is something else.
    pub(super) fn text_at(self, pointer: &[String]) -> Result<Option<String>, String> {
        match self.at(pointer) {
            None | Some(Beside::Null | Beside::False) => Ok(None),
            Some(Beside::Text(text) | Beside::Number(text)) if text.len() > LINK_BYTES_MAX => Err(format!(
                "expected a link or cursor of at most {LINK_BYTES_MAX} bytes at {}, got {}",
                shown(pointer),
                text.len()
            )),
            Some(Beside::Text(text)) => Ok((!text.is_empty()).then(|| text.clone())),
            Some(Beside::Number(text)) => Ok(Some(text.clone())),
            Some(Beside::Other | Beside::True) => {
                Err(format!("expected text or null at {}, got something else", shown(pointer)))
            }
        }
    }

    /// What its signs say of more pages; nothing where they contradict each other.
    pub(super) fn sign(self) -> Option<Sign> {
        let (mut more, mut end) = (None, None);
        for (place, value) in self.found() {
            let says = match value {
                Beside::True => true,
                Beside::False => false,
                Beside::Text(text) if text == "true" => true,
                Beside::Text(text) if text == "false" => false,
                _ => continue,
            };
            match SIGNS.iter().find(|(name, _)| place.last().is_some_and(|last| last == name)) {
                Some((_, at_end)) if says == *at_end => end = end.or(Some(shown(place))),
                Some(_) => more = more.or(Some(shown(place))),
                None => {}
            }
        }
        match (more, end) {
            (Some(place), None) => Some(Sign::More(place)),
            (None, Some(place)) => Some(Sign::End(place)),
            _ => None,
        }
    }

    /// As [`Self::sign`], where pages are counted, so that a link to the next one is a sign, too.
    pub(super) fn sign_or_link(self) -> Option<Sign> {
        let link = self.found().find_map(|(place, value)| {
            let mut roots = self.config.roots().filter_map(|root| place.strip_prefix(root));
            let is_link = roots.any(|rest| KNOWN_LINKS.contains(&shown(rest).as_str()));
            let place = shown(place);
            match value {
                _ if !is_link => None,
                Beside::Null | Beside::False => Some(Sign::End(place)),
                Beside::Text(text) if text.is_empty() => Some(Sign::End(place)),
                Beside::Text(text) if is_url(text) => Some(Sign::More(place)),
                _ => None,
            }
        });
        match (self.sign(), link) {
            (Some(Sign::More(_)), Some(Sign::End(_))) | (Some(Sign::End(_)), Some(Sign::More(_))) => None,
            (sign, link) => sign.or(link),
        }
    }

    /// The place of a total that is larger than the records so far, or of a number of pages of which there are more.
    pub(super) fn total_beyond(self, record_count: u64, page_count: u64) -> Option<(String, u64)> {
        self.found().find_map(|(place, value)| {
            let Beside::Number(text) = value else { return None };
            let (name, number) = (place.last()?.as_str(), text.parse().ok()?);
            let is_beyond = TOTALS.contains(&name) && number > record_count
                || PAGE_COUNTS.contains(&name) && number > page_count;
            is_beyond.then(|| (shown(place), number))
        })
    }
}

/// Whether a text is a URL, or what leads from one to another, rather than a cursor.
pub(super) fn is_url(text: &str) -> bool {
    let is_query = text.split_once('?').is_some_and(|(_, query)| query.contains('='));
    text.starts_with(['/', '?']) || text.contains("://") || is_query
}

pub(super) fn tokens(pointer: &str) -> Vec<String> {
    crate::pointer::parse(pointer).expect("a pointer of ours")
}

pub(super) fn shown(pointer: &[String]) -> String {
    crate::pointer::show(pointer.iter().map(String::as_str))
}
