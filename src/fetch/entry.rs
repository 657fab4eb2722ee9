//! What a line of the list holds: a URL, or a JSON object with the URL and how its pages are asked for. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::config::{Header, Method, Secret};
use crate::model::PageOptions;

/// A line of the list.
#[derive(Debug)]
pub(super) struct Entry {
    /// The URL, unexpanded.
    pub(super) url: String,
    pub(super) options: PageOptions,
}

impl Entry {
    /// Reads a line. A brace with a quotation mark behind it begins an object; an expansion never has one there.
    ///
    /// # Errors
    /// In words that complete `urls.txt:17: ...` and repeat no value.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if is_object(text) {
            return parse_object(text);
        }
        Ok(Self { url: text.to_owned(), options: PageOptions::default() })
    }
}

/// Whether the text is meant to be a JSON object.
pub(super) fn is_object(text: &str) -> bool {
    text.strip_prefix('{').is_some_and(|behind| behind.trim_start().starts_with('"'))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys<'a> {
    // Raw, so that no message of serde's shows what was found in the place of something else.
    #[serde(borrow)]
    url: &'a RawValue,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

fn parse_object(text: &str) -> Result<Entry, String> {
    let keys: Keys<'_> = serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => {
            let fault = error.to_string();
            let fault = fault.split(" at line ").next().unwrap_or_default();
            format!("expected an object with url, method, headers and body: {fault}")
        }
        _ => format!(
            "expected one JSON object in the line, got a fault of syntax in column {}",
            error.column()
        ),
    })?;
    let url = read(keys.url).ok_or("url: expected a string, got something else")?;
    let body = keys.body.map(parse_body).transpose()?;
    let method = match keys.method {
        Some(raw) => {
            let name: Option<String> = read(raw);
            let method = name.and_then(|name| Method::from_name(&name));
            Some(method.ok_or("method: expected \"GET\" or \"POST\", got something else")?)
        }
        None => body.is_some().then_some(Method::Post),
    };
    if method == Some(Method::Get) && body.is_some() {
        return Err("body: expected \"method\":\"POST\", for a GET has no body".to_owned());
    }
    let headers = keys.headers.map(parse_headers).transpose()?.unwrap_or_default();
    Ok(Entry { url, options: PageOptions { method, headers, body } })
}

fn parse_headers(raw: &RawValue) -> Result<Vec<Header>, String> {
    let headers: BTreeMap<String, String> =
        read(raw).ok_or("headers: expected an object of strings, got something else")?;
    let headers = headers.iter().map(|(name, value)| Header::new(name, value));
    headers.collect::<Result<_, _>>().map_err(|fault| format!("headers: {fault}"))
}

/// A string is sent as its text, an object or an array as it is written.
fn parse_body(raw: &RawValue) -> Result<Secret, String> {
    match raw.get().as_bytes()[0] {
        b'"' => {
            let text: Option<String> = read(raw);
            text.map(Secret::new)
                .ok_or_else(|| "body: expected a string of UTF-8, got another one".to_owned())
        }
        b'{' | b'[' => Ok(Secret::new(raw.get().to_owned())),
        _ => Err("body: expected an object, an array or a string, got something else".to_owned()),
    }
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> PageOptions {
        Entry::parse(text).unwrap().options
    }

    #[test]
    fn line_is_a_url_or_an_object_with_one() {
        let entry = Entry::parse("{1..3}.json").unwrap();
        assert_eq!((entry.url.as_str(), entry.options), ("{1..3}.json", PageOptions::default()));
        let entry = Entry::parse(
            r#"{ "url":"http://h/{1..3}","method":"post","headers":{"X-A":"1","b":"2"},"body":{"q" : [1e400]}}"#,
        );
        let Entry { url, options } = entry.unwrap();
        assert_eq!((url.as_str(), options.method), ("http://h/{1..3}", Some(Method::Post)));
        assert_eq!(options.headers, [Header::known("x-a", "1"), Header::known("b", "2")]);
        assert_eq!(options.body, Some(Secret::new(r#"{"q" : [1e400]}"#)));
    }

    #[test]
    fn body_without_a_method_is_a_post() {
        let of_text = options(r#"{"url":"http://h","body":"a\"b"}"#);
        assert_eq!((of_text.method, of_text.body), (Some(Method::Post), Some(Secret::new("a\"b"))));
        assert_eq!(options(r#"{"url":"http://h","method":"GET"}"#).method, Some(Method::Get));
        assert_eq!(options(r#"{"url":"http://h","method":null}"#).method, None);
    }

    #[test]
    fn wrong_object_is_refused_and_none_of_its_values_repeated() {
        for (text, needle) in [
            (r#"{"url":"hunter2""#, "column"),
            (r#"{"url":"hunter2"} {}"#, "column"),
            (r#"{"method":"hunter2"}"#, "missing field `url`"),
            (r#"{"url":"hunter2","url":"hunter2"}"#, "duplicate field `url`"),
            (r#"{"url":"hunter2","header":{"a":"hunter2"}}"#, "unknown field `header`"),
            (r#"{"url":["hunter2"]}"#, "url: expected"),
            (r#"{"url":"x","method":"hunter2"}"#, "method: expected"),
            (r#"{"url":"x","headers":["hunter2"]}"#, "headers: expected"),
            (r#"{"url":"x","headers":{"a":{"b":"hunter2"}}}"#, "headers: expected"),
            (r#"{"url":"x","headers":{"Host":"hunter2"}}"#, "headers: expected"),
            (r#"{"url":"x","headers":{"A":"hunter2\r\nB: c"}}"#, "headers: expected"),
            (r#"{"url":"x","body":7}"#, "body: expected"),
            (r#"{"url":"x","body":"\ud800hunter2"}"#, "body: expected"),
            (r#"{"url":"x","method":"GET","body":"hunter2"}"#, "body: expected"),
        ] {
            let fault = Entry::parse(text).unwrap_err();
            assert!(fault.contains(needle) && !fault.contains("hunter2"), "{text}: {fault}");
        }
    }
}
