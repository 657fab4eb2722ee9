//! What `--paginate auto` makes of the first page of a chain: what leads on, that nothing does, or that the page says
//! there is more but not how to come by it, which is never taken for an end.

use super::parameter::{has_parameter, has_parameter_in, number_in};
use super::told::{Sign, Told, is_url, shown, tokens};
use crate::config::{CURSOR_PARAMETERS, KNOWN_CURSORS, KNOWN_LINKS, KnownCursor, Paging};
use crate::model::Beside;

/// Parameters of a URL that count pages, or records.
const PAGE_PARAMETERS: [&str; 4] = ["page", "pageNumber", "page_number", "page[number]"];
const OFFSET_PARAMETERS: [&str; 4] = ["offset", "skip", "startAt", "page[offset]"];

/// What leads on from a first page.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// This.
    Known {
        /// What turns the pages.
        paging: Paging,
        /// What it was told from.
        why: String,
    },
    /// Nothing: there is no other page.
    None {
        /// What that was told from.
        why: String,
    },
    /// There is more, but how to come by it is not known.
    Unknown {
        /// What the page says, and which options would follow it.
        reason: String,
    },
}

impl Choice {
    fn none(why: impl Into<String>) -> Self {
        Self::None { why: why.into() }
    }
}

/// What turns the pages of a chain that begins so.
pub(super) fn choose(told: Told<'_>) -> Choice {
    if told.end.link.is_some() {
        let why = "the first page has a Link header with rel=\"next\"".to_owned();
        return Choice::Known { paging: Paging::Link, why };
    }
    let sign = told.sign();
    if let Some(Sign::End(place)) = &sign {
        return Choice::none(format!("the first page says at {place} that there is no other one"));
    }
    let knows_records = told.config.records.is_some() || told.end.records_hint.is_some();
    // What can't be told apart from a value of a record is none where the page may be a record.
    let may_be_record = !knows_records && !told.end.around.holds_list;
    let mut end_at: Option<String> = None;
    let links: Vec<_> =
        told.config.roots().flat_map(|root| KNOWN_LINKS.map(|place| below(root, place))).collect();
    for place in &links {
        match told.at(place) {
            Some(Beside::Text(text)) if is_url(text) => {
                let paging = Paging::JsonLink { next: place.clone() };
                return Choice::Known { paging, why: "the first page has a URL there".to_owned() };
            }
            Some(value) if says_no(value) => end_at = end_at.or_else(|| Some(shown(place))),
            _ => {}
        }
    }
    for (root, cursor) in
        told.config.roots().flat_map(|root| KNOWN_CURSORS.iter().map(move |cursor| (root, cursor)))
    {
        let place = below(root, cursor.place);
        let may_be_own = may_be_record || cursor.is_generic && !knows_records;
        match told.at(&place) {
            Some(value) if says_no(value) => end_at = end_at.or_else(|| Some(shown(&place))),
            Some(Beside::Text(_) | Beside::Number(_)) if !may_be_own => {
                return cursor_choice(told, cursor, place);
            }
            _ => {}
        }
    }
    for place in &links {
        let is_number = place.last().is_some_and(|name| name == "next_page");
        match told.at(place) {
            Some(Beside::Number(number))
                if is_number && number.parse::<u64>().is_ok_and(|number| number > 0) =>
            {
                let paging = Paging::Cursor { next: place.clone(), parameter: "page".to_owned() };
                let why = "the first page has the number of another one there";
                return Choice::Known { paging, why: why.to_owned() };
            }
            Some(value @ (Beside::Text(_) | Beside::Number(_))) if !says_no(value) && knows_records => {
                return match &told.config.cursor_parameter {
                    Some(parameter) => cursor_of(place.clone(), parameter),
                    None => Choice::Unknown { reason: no_parameter(&shown(place), None) },
                };
            }
            _ => {}
        }
    }
    let more_at = match sign {
        Some(Sign::More(place)) if !may_be_record => Some(place),
        _ => None,
    };
    if let (Some(place), None) = (&end_at, &more_at) {
        return Choice::none(format!("the first page says at {place} that there is no other one"));
    }
    if let Some(counted) = counted_choice(told) {
        return counted;
    }
    if let Some(place) = more_at {
        return Choice::Unknown { reason: no_way(&format!("says at {place} that there are more")) };
    }
    if let Some((place, number)) =
        told.total_beyond(told.end.record_count, 1).filter(|_| told.config.records.is_some())
    {
        return Choice::Unknown { reason: no_way(&format!("has {number} at {place}")) };
    }
    Choice::none("the first page tells of no other one at a known place")
}

/// A place of ours in an object that these keys lead to.
fn below(root: &[String], place: &str) -> Vec<String> {
    [root, &tokens(place)].concat()
}

fn says_no(value: &Beside) -> bool {
    match value {
        Beside::Null | Beside::False => true,
        Beside::Text(text) => text.is_empty(),
        Beside::Number(number) => number == "0",
        Beside::True | Beside::Other => false,
    }
}

fn cursor_of(next: Vec<String>, parameter: &str) -> Choice {
    let paging = Paging::Cursor { next, parameter: parameter.to_owned() };
    Choice::Known { paging, why: "the first page has a cursor there".to_owned() }
}

/// By the parameter that is given, that the request has, or that this API is known to have.
fn cursor_choice(told: Told<'_>, cursor: &KnownCursor, place: Vec<String>) -> Choice {
    let url = told.end.answered_url.as_ref();
    let has = |parameter: &str| url.is_some_and(|url| has_parameter(url, parameter));
    let asked = CURSOR_PARAMETERS.into_iter().find(|parameter| has(parameter));
    // What servers that know `page[size]` or `page[limit]` have in common.
    let bracketed = url.is_some_and(|url| has_parameter_in(url, "page[")).then_some(match cursor.place {
        place if place.ends_with("cursor") && !place.ends_with("after_cursor") => "page[cursor]",
        _ => cursor.usual,
    });
    let marked = cursor.marks.iter().find(|(mark, _)| told.at_known(mark).is_some()).map(|(_, name)| *name);
    let given = told.config.cursor_parameter.as_deref();
    match given.or(asked).or(cursor.parameter).or(marked).or(bracketed) {
        Some(parameter) => cursor_of(place, parameter),
        None => Choice::Unknown { reason: no_parameter(&shown(&place), Some(cursor.usual)) },
    }
}

fn counted_choice(told: Told<'_>) -> Option<Choice> {
    let url = told.end.answered_url.as_ref()?;
    let size = told.config.page_size;
    let has_number = |parameter: &&str| number_in(url, parameter).is_some();
    let (paging, parameter) = if let Some(parameter) = PAGE_PARAMETERS.into_iter().find(has_number) {
        (Paging::Page { parameter: parameter.to_owned(), size }, parameter)
    } else {
        let parameter = OFFSET_PARAMETERS.into_iter().find(has_number)?;
        (Paging::Offset { parameter: parameter.to_owned(), size }, parameter)
    };
    let why = format!("the URL has a number in {parameter}");
    Some(match &told.end.records_hint {
        // The last page is the one without records.
        Some(records) => Choice::Unknown {
            reason: format!(
                "{why}, but which of the pages is the last is not known without --records, such as --records {records}"
            ),
        },
        None => Choice::Known { paging, why },
    })
}

fn no_parameter(place: &str, usual: Option<&str>) -> String {
    let usual = usual.map_or_else(String::new, |usual| format!(" (often {usual})"));
    format!(
        "the first page has a cursor at {place}, but which parameter of the URL takes it is not known; name it with \
         --cursor-param{usual}, beside --paginate auto or --paginate cursor --next-path {place}"
    )
}

fn no_way(says: &str) -> String {
    format!(
        "the first page {says}, but nothing at a known place leads to them; say what does with --paginate cursor or \
         json-link and --next-path, or with --paginate page or offset"
    )
}
