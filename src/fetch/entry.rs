//! What a line of the list holds: a URL, or a JSON object with the URL and how its pages are asked for. Pure.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::config::{Header, Method, Secret};
use crate::model::PageOptions;

/// A line of the list.
#[derive(Debug)]
pub(super) struct Entry {
    /// The URL, unexpanded.
    pub(super) url: String,
    /// `None` where it says nothing more.
    pub(super) own: Option<PageOptions>,
}

impl Entry {
    /// Reads a line, and fills up with `defaults` what it says of its pages. A brace with a quotation mark behind it begins
    /// an object; an expansion never has one there.
    ///
    /// # Errors
    /// In words that complete `urls.txt:17: ...` and repeat no value.
    pub(super) fn parse(text: &str, defaults: &PageOptions) -> Result<Self, String> {
        if is_object(text) {
            return parse_object(text, defaults);
        }
        Ok(Self { url: text.to_owned(), own: None })
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

fn parse_object(text: &str, defaults: &PageOptions) -> Result<Entry, String> {
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
    if keys.method.is_none() && keys.headers.is_none() && keys.body.is_none() {
        return Ok(Entry { url, own: None });
    }
    let body = keys.body.map(parse_body).transpose()?;
    let method = match keys.method {
        Some(raw) => {
            let name: Option<String> = read(raw);
            let method = name.and_then(|name| Method::from_name(&name));
            method.ok_or("method: expected \"GET\" or \"POST\", got something else")?
        }
        None if body.is_some() => Method::Post,
        None => defaults.method,
    };
    let body = match method {
        Method::Get if body.is_some() => {
            return Err("body: expected \"method\":\"POST\", for a GET has no body".to_owned());
        }
        Method::Get => None,
        Method::Post => body.or_else(|| defaults.body.clone()),
    };
    let headers = keys.headers.map(parse_headers).transpose()?.unwrap_or_default();
    Ok(Entry { url, own: Some(PageOptions { method, headers, body }) })
}

fn parse_headers(raw: &RawValue) -> Result<Vec<Header>, String> {
    let Members(members) = read(raw).ok_or("headers: expected an object of strings, got something else")?;
    let headers = members.iter().map(|(name, value)| Header::new(name, value));
    headers.collect::<Result<_, _>>().map_err(|fault| format!("headers: {fault}"))
}

/// The members of an object as they are written: a header may come twice.
struct Members(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
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

    fn parse(text: &str) -> Result<Entry, String> {
        Entry::parse(text, &PageOptions::default())
    }

    fn own(text: &str) -> PageOptions {
        parse(text).unwrap().own.unwrap()
    }

    #[test]
    fn line_is_a_url_or_an_object_with_one() {
        for (line, url) in [("{1..3}.json", "{1..3}.json"), (r#"{"url":"a"}"#, "a")] {
            let entry = parse(line).unwrap();
            assert_eq!((entry.url.as_str(), entry.own), (url, None));
        }
        let line = r#"{ "url":"http://h/{1..3}","method":"post","headers":{"X-A":"1","b":"2","x-a":"3"},"body":{"q" : [1e400]}}"#;
        let Entry { url, own } = parse(line).unwrap();
        let own = own.unwrap();
        assert_eq!((url.as_str(), own.method), ("http://h/{1..3}", Method::Post));
        assert_eq!(own.headers, [("x-a", "1"), ("b", "2"), ("x-a", "3")].map(|(n, v)| Header::known(n, v)));
        assert_eq!(own.body, Some(Secret::new(r#"{"q" : [1e400]}"#)));
    }

    #[test]
    fn what_a_line_does_not_say_is_as_for_all() {
        let of_text = own(r#"{"url":"http://h","body":"a\"b"}"#);
        assert_eq!((of_text.method, of_text.body), (Method::Post, Some(Secret::new("a\"b"))));
        let all =
            PageOptions { method: Method::Post, body: Some(Secret::new("all")), ..PageOptions::default() };
        for (line, method, body) in [
            (r#"{"url":"u","method":"GET"}"#, Method::Get, None),
            (r#"{"url":"u","method":"POST"}"#, Method::Post, Some("all")),
            (r#"{"url":"u","method":null,"headers":{"a":"b"}}"#, Method::Post, Some("all")),
            (r#"{"url":"u","body":[]}"#, Method::Post, Some("[]")),
        ] {
            let own = Entry::parse(line, &all).unwrap().own.unwrap();
            assert_eq!((own.method, own.body), (method, body.map(Secret::new)), "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line in "\\{\"([a-z{}\\[\\]:,\"\\\\0-9 ]|url|body|headers|method|\":\"|\",\"){0,20}") {
            drop(parse(&line));
        }
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
            let fault = parse(text).unwrap_err();
            assert!(fault.contains(needle) && !fault.contains("hunter2"), "{text}: {fault}");
        }
    }
}
