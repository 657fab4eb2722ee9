//! Whether an object is nothing but the report of an error, and what it says.
//!
//! The keys are those of the error objects of RFC 9457, OAuth 2, JSON:API, JSON-RPC, GraphQL, Spring, ASP.NET and of
//! some thirty public APIs. Their case does not matter, nor `_`, `-`, `.` and spaces in them.

use serde_json::{Map, Value};

/// Statuses of HTTP that are errors, and those of success.
const FAILED_STATUSES: std::ops::RangeInclusive<i64> = 400..=599;
const FINE_STATUSES: std::ops::RangeInclusive<i64> = 200..=299;

/// Keys whose text says in words what failed, the most telling first.
const WORDS: [&str; 15] = [
    "message",
    "msg",
    "errormessage",
    "errormsg",
    "errmsg",
    "errordescription",
    "errorsummary",
    "faultstring",
    "detail",
    "description",
    "reason",
    "info",
    "text",
    "details",
    "title",
];
/// Keys whose value names the error for a program.
const CODES: [&str; 10] = [
    "code",
    "errorcode",
    "errcode",
    "errno",
    "statuscode",
    "status",
    "httpstatus",
    "errortype",
    "errorname",
    TYPE,
];
/// The key by which AWS names an exception. It is another one than `type`, which anything may have.
const TYPE: &str = "__type";

/// Names of statuses of HTTP that are errors, without spaces. A framework puts them at `error`; a log record has its own
/// words there.
const STATUS_NAMES: [&str; 15] = [
    "badrequest",
    "unauthorized",
    "forbidden",
    "notfound",
    "methodnotallowed",
    "notacceptable",
    "requesttimeout",
    "conflict",
    "gone",
    "unprocessableentity",
    "toomanyrequests",
    "internalservererror",
    "badgateway",
    "serviceunavailable",
    "gatewaytimeout",
];

/// What a member of an error report is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Its presence says that something failed, unless its value says that nothing did.
    Error,
    /// Whether it went well.
    Success,
    /// A status of HTTP, or another code.
    Status,
    /// What failed, in words.
    Words,
    /// Data of which there is none where something failed.
    Payload,
    /// When or where it happened, which records say, too.
    Event,
    /// The number of a call, which records have, too.
    CallId,
    /// Anything else that tells of the error.
    Aside,
}

/// A member of an error report.
#[derive(Debug)]
struct Member<'a> {
    role: Role,
    name: String,
    value: &'a Value,
}

/// Whether error reports have this key at their top.
pub(super) fn is_key_of_reports(key: &str) -> bool {
    role_of(&plain(key)).is_some()
}

/// Whether an object is nothing but the report of an error.
pub(super) fn is_report(object: &Map<String, Value>) -> bool {
    let Some(members) = members_of(object) else { return false };
    let of = |role: Role| members.iter().filter(move |member| member.role == role);
    let has = |name: &str| members.iter().any(|member| member.name == name);
    if of(Role::Payload).any(|member| !is_nothing(member.value)) || has("id") && !has("jsonrpc") {
        return false;
    }
    let successes: Vec<_> = of(Role::Success).filter_map(|member| success_of(member.value)).collect();
    let says_it_failed = successes.contains(&false);
    let says_it_is_fine = of(Role::Status).any(|member| {
        whole_number(member.value).is_some_and(|status| FINE_STATUSES.contains(&status))
            || success_of(member.value) == Some(true)
    });
    if successes.contains(&true) || says_it_is_fine && !says_it_failed {
        return false;
    }
    let has_words = of(Role::Words).any(|member| text_of(member.value).is_some());
    let says = |names: &[&str]| {
        let mut named = members.iter().filter(|member| names.contains(&member.name.as_str()));
        named.any(|member| tell(member.value).words.is_some())
    };
    let names_an_error = of(Role::Error).any(|member| is_error(member, has_words))
        || has("documentationurl") && says(&["message"]);
    let has_failed_status = of(Role::Status).any(|member| {
        // With a title, a code may as well be that of an article.
        let is_said =
            says(&["message", "msg", "error"]) || member.name != "code" && says(&["title", "detail"]);
        is_said && whole_number(member.value).is_some_and(|status| FAILED_STATUSES.contains(&status))
    });
    if of(Role::Event).next().is_none() {
        return names_an_error || has_failed_status || says_it_failed;
    }
    let is_of_a_framework =
        members.iter().any(|member| member.name == "error" && is_made_by_a_framework(member.value));
    is_of_a_framework && (has_failed_status || says_it_failed)
}

/// Whether this, at `error`, is what servers answer with rather than what programs log.
fn is_made_by_a_framework(error: &Value) -> bool {
    match error {
        Value::Object(object) => tells_something(object),
        _ => error.as_str().is_some_and(|name| STATUS_NAMES.contains(&plain(name).as_str())),
    }
}

/// What an object says that is the report of an error; `None` if it has no words for it.
pub(super) fn told_by(object: &Map<String, Value>) -> Option<String> {
    let Told { words, code } = tell_of(object);
    match (words?, code) {
        (words, Some(code)) if code != words => Some(format!("{words} ({code})")),
        (words, _) => Some(words),
    }
}

/// What an error is called.
#[derive(Debug, Default)]
struct Told {
    words: Option<String>,
    code: Option<String>,
}

/// What a value in an error report says.
fn tell(value: &Value) -> Told {
    match value {
        Value::String(text) if !is_nothing(value) => Told { words: Some(text.clone()), code: None },
        Value::Number(_) if !is_nothing(value) => Told { words: None, code: Some(value.to_string()) },
        Value::Array(elements) => elements.first().map(tell).unwrap_or_default(),
        Value::Object(object) => tell_of(object),
        _ => Told::default(),
    }
}

fn tell_of(object: &Map<String, Value>) -> Told {
    let members: Vec<_> = object.iter().map(|(key, value)| (plain(key), value)).collect();
    let value_of = |name: &&str| members.iter().find(|(found, _)| found == name).map(|(_, value)| *value);
    let own_words = WORDS.iter().filter_map(value_of).find_map(text_of);
    let own_code = CODES.iter().find_map(|name| {
        let value = value_of(name)?;
        // A status in words is `error`, or repeats what is said.
        let is_code = whole_number(value).is_some() || value.is_string() && !name.ends_with("status");
        let code = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (is_code && !is_nothing(value)).then_some(code)
    });
    let mut inner = Told::default();
    for (name, value) in &members {
        let is_told_above = WORDS.contains(&name.as_str()) || CODES.contains(&name.as_str());
        if role_of(name) == Some(Role::Error) && !is_told_above && inner.words.is_none() {
            let Told { words, code } = tell(value);
            inner = Told { words, code: code.or(inner.code) };
        }
    }
    match own_words {
        // What the error is called, where something else describes it.
        Some(words) => Told { words: Some(words), code: own_code.or(inner.code).or(inner.words) },
        None => Told { words: inner.words, code: own_code.or(inner.code) },
    }
}

/// The text of a value, or the first one in a list.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Array(elements) => elements.first().filter(|first| first.is_string()).and_then(text_of),
        _ => value.as_str().filter(|_| !is_nothing(value)).map(str::to_owned),
    }
}

/// Whether the value of a member says that there is an error.
fn is_error(member: &Member<'_>, has_words: bool) -> bool {
    let value = member.value;
    match value {
        _ if is_nothing(value) => false,
        Value::Object(object) => tells_something(object),
        // A device may have one, and say so.
        _ if member.name == "fault" => false,
        Value::Array(elements) => elements.iter().all(is_listed_error),
        Value::String(name) if member.name == TYPE => name.ends_with("Exception") || name.ends_with("Error"),
        // A number may be a code; but without words it is as well a count, and with a fraction it is a measure.
        _ if is_number(value) => has_words && whole_number(value).is_some(),
        _ => true,
    }
}

/// Whether an element of a list of errors is one, and no record in a list that happens to be called so.
fn is_listed_error(element: &Value) -> bool {
    let Value::Object(object) = element else { return element.is_string() && !is_nothing(element) };
    let is_of_an_error = |key: &String| {
        let name = plain(key);
        let is_listed = matches!(
            name.as_str(),
            "locations"
                | "location"
                | "locationtype"
                | "source"
                | "links"
                | "domain"
                | "resource"
                | "field"
                | "loc"
                | "param"
                | "parameter"
                | "parameters"
                | "errorchain"
                | "errorinfo"
                | "path"
        );
        is_listed || role_of(&name).is_some_and(|role| !matches!(role, Role::Event | Role::CallId))
    };
    tells_something(object) && object.keys().all(is_of_an_error)
}

fn tells_something(object: &Map<String, Value>) -> bool {
    let Told { words, code } = tell_of(object);
    words.is_some() || code.is_some()
}

/// The members of an object that has none but those of error reports.
fn members_of(object: &Map<String, Value>) -> Option<Vec<Member<'_>>> {
    let members = object.iter().map(|(key, value)| {
        let name = plain(key);
        role_of(&name).map(|role| Member { role, name, value })
    });
    members.collect()
}

/// A key without what is only spelling.
fn plain(key: &str) -> String {
    if key == TYPE {
        return key.to_owned();
    }
    key.chars()
        .filter(|letter| !matches!(letter, '_' | '-' | '.' | ' '))
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

fn role_of(name: &str) -> Option<Role> {
    Some(match name {
        "error" | "errors" | "errormessage" | "errormessages" | "errormsg" | "errmsg" | "errorcode"
        | "errcode" | "errno" | "errortype" | "errorname" | "errordescription" | "errorsummary"
        | "errorresponse" | "odataerror" | "fault" | TYPE => Role::Error,
        "ok" | "success" | "issuccess" | "succeeded" | "stat" => Role::Success,
        "status" | "statuscode" | "httpstatus" | "httpstatuscode" | "httpcode" | "code" => Role::Status,
        "message" | "msg" | "detail" | "details" | "description" | "title" | "reason" | "info" | "text"
        | "faultstring" => Role::Words,
        "data" | "result" | "results" | "response" | "items" | "records" | "messages" | "warnings" => {
            Role::Payload
        }
        "timestamp" | "path" => Role::Event,
        "id" => Role::CallId,
        "type" | "instance" | "requestid" | "traceid" | "correlationid" | "hostid" | "errorid"
        | "errorlink" | "erroruri" | "errorcauses" | "errordetails" | "documentationurl" | "moreinfo"
        | "statustext" | "stacktrace" | "trace" | "extensions" | "servedby" | "jsonrpc" => Role::Aside,
        _ => return None,
    })
}

/// Whether a value stands for none.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_so) => !is_so,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => {
            let text = text.trim().to_ascii_lowercase();
            matches!(text.as_str(), "" | "0" | "false" | "none" | "null" | "ok" | "success")
        }
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

fn is_number(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| text.trim().parse::<f64>().is_ok())
}

/// A whole number, in digits or in a string of them.
fn whole_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Whether a value says that something went well, or that it did not.
fn success_of(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(is_so) => Some(*is_so),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "ok" | "success" | "succeeded" => Some(true),
            "false" | "fail" => Some(false),
            _ => None,
        },
        _ => None,
    }
}
