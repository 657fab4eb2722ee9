//! What a page said of the next one, kept for a later run: without the secrets of its URLs.
//!
//! A secret that the first URL of the chain has too is put back when that is known again. One that came with the answer alone is
//! nobody's to keep.

use std::borrow::Cow;

use serde_json::Value;
use url::Url;

use super::redact::Redaction;
use crate::model::PageEnd;

/// Stands in the place of a value that the first URL of the chain has; no URL holds it.
const OF_FIRST: &str = "\u{1}";

/// What a page of the chain that begins with `first` said, as it may be kept; `None` if it holds a secret that `first` has not.
pub fn remember(end: &PageEnd, first: &Url, redaction: &Redaction) -> Option<Vec<u8>> {
    let mut said = serde_json::to_value(end).expect("a page's end has only string keys");
    let base = end.answered_url.as_ref().unwrap_or(first);
    let is_kept = for_each_text(&mut said, &mut |text| hide(text, base, first, redaction));
    is_kept.then(|| said.to_string().into_bytes())
}

/// What [`remember`] kept; `None` if it is not that.
pub fn recall(said: &[u8], first: &Url) -> Option<PageEnd> {
    let mut said: Value = serde_json::from_slice(said).ok()?;
    for_each_text(&mut said, &mut |text| Some(put_back(text, first)));
    serde_json::from_value(said).ok()
}

/// Puts something else in the place of each text; returns whether there was something for all.
fn for_each_text(value: &mut Value, replace: &mut impl FnMut(&str) -> Option<String>) -> bool {
    match value {
        Value::String(text) => match replace(text) {
            Some(other) => {
                *text = other;
                true
            }
            None => false,
        },
        Value::Array(values) => values.iter_mut().all(|value| for_each_text(value, replace)),
        Value::Object(members) => members.values_mut().all(|value| for_each_text(value, replace)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// A text that may be a URL, relative to `base` perhaps, without secrets.
fn hide(text: &str, base: &Url, first: &Url, redaction: &Redaction) -> Option<String> {
    if Url::parse(text).or_else(|_| base.join(text)).is_err() {
        return Some(text.to_owned());
    }
    let mut text = Cow::Borrowed(text);
    if let Ok(mut url) = Url::parse(&text)
        && (!url.username().is_empty() || url.password().is_some())
    {
        // What is asked for has the userinfo of the first URL, whatever a link says.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        text = Cow::Owned(url.into());
    }
    let Some((path, query)) = text.split_once('?') else { return Some(text.into_owned()) };
    let mut kept = format!("{path}?");
    for pair in query.split_inclusive(['&', ';']) {
        let bare = pair.trim_end_matches(['&', ';']);
        match bare.split_once('=') {
            Some((key, value)) if !value.is_empty() && redaction.hides_value(key) => {
                if value_in(first, key) != Some(value) {
                    return None;
                }
                kept.push_str(key);
                kept.push('=');
                kept.push_str(OF_FIRST);
                kept.push_str(&pair[bare.len()..]);
            }
            _ => kept.push_str(pair),
        }
    }
    Some(kept)
}

fn put_back(text: &str, first: &Url) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut pieces = text.split(OF_FIRST);
    whole.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let key = whole.trim_end_matches('=').rsplit(['?', '&', ';']).next().unwrap_or_default();
        let value = value_in(first, key).unwrap_or_default().to_owned();
        whole.push_str(&value);
        whole.push_str(piece);
    }
    whole
}

/// The value of a key in the query of a URL, as it is written.
fn value_in<'a>(url: &'a Url, key: &str) -> Option<&'a str> {
    let pairs = url.query()?.split(['&', ';']);
    pairs.filter_map(|pair| pair.split_once('=')).find(|(found, _)| *found == key).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Around, Beside};

    fn end(link: &str, cursor: &str) -> PageEnd {
        PageEnd {
            record_count: 3,
            digest: [7; 32],
            link: Some(link.to_owned()),
            answered_url: Some("https://h/a?api_key=hunter2&page=1".parse().unwrap()),
            around: Around { beside: vec![(1, Beside::Text(cursor.to_owned()))], ..Around::default() },
            ..PageEnd::default()
        }
    }

    #[test]
    fn secrets_of_the_list_are_put_back_and_nowhere_kept() {
        let first: Url = "https://u:hunter2@h/a?api_key=hunter2".parse().unwrap();
        for link in
            ["?api_key=hunter2&page=2", "https://h/a?page=2&api_key=hunter2", "/b?next_page_token=x", "c"]
        {
            let end = end(link, "b2Zmc2V0OjI=");
            let said = remember(&end, &first, &Redaction::default()).unwrap();
            assert!(!String::from_utf8(said.clone()).unwrap().contains("hunter2"), "{link}");
            assert_eq!(recall(&said, &first), Some(end), "{link}");
        }
    }

    #[test]
    fn secret_that_came_with_the_answer_is_not_kept() {
        let first: Url = "https://h/a".parse().unwrap();
        for text in ["?sig=hunter2", "https://h/a?token=hunter2&page=2"] {
            assert_eq!(remember(&end(text, "x"), &first, &Redaction::default()), None);
            assert_eq!(remember(&end("?page=2", text), &first, &Redaction::default()), None);
        }
    }
}
