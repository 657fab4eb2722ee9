//! JSON as the reference sees it: numbers keep what their token says, objects keep their order.
//!
//! Slow and plain on purpose. Nothing here calls the program under test.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value in which the last of several equal keys has won.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// An integer of 64 bits, negative zero excepted.
    Int(i64),
    /// The digits of an integer beyond 64 bits.
    Huge(String),
    /// A number with a fraction or an exponent, or negative zero.
    Double(f64),
    Text(String),
    List(Vec<Json>),
    /// Members in order of first appearance.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// `text(v)`: the one text of a value.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            other => other.compact(),
        }
    }

    /// Compact JSON, keys sorted, null members left out.
    pub(crate) fn compact(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Huge(digits) => digits.clone(),
            Self::Double(value) => {
                let text = format!("{value:?}");
                text.strip_suffix(".0").unwrap_or(&text).to_owned()
            }
            Self::Text(text) => serde_json::to_string(text).expect("a string is JSON"),
            Self::List(elements) => {
                format!("[{}]", elements.iter().map(Self::compact).collect::<Vec<_>>().join(","))
            }
            Self::Object(members) => {
                let mut members: Vec<_> = members.iter().filter(|(_, value)| *value != Self::Null).collect();
                members.sort_by(|(left, _), (right, _)| left.cmp(right));
                let members: Vec<_> = members
                    .iter()
                    .map(|(key, value)| format!("{}:{}", Self::Text(key.clone()).compact(), value.compact()))
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }

    /// Sets a member as JSON readers do: the last value wins, the place is that of the first.
    pub(crate) fn set(members: &mut Vec<(String, Self)>, key: String, value: Self) {
        match members.iter_mut().find(|(name, _)| *name == key) {
            Some(member) => member.1 = value,
            None => members.push((key, value)),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or_else(|_| Json::Huge(value.to_string()), Json::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = entries.next_entry()? {
            Json::set(&mut members, key, value);
        }
        Ok(Json::Object(members))
    }
}
