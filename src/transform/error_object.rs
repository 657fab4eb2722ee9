//! A page that is no records but one object in which a server, with a status of success, says that something failed.
//!
//! Log records have keys such as `error` and `status` too, and may be pages of their own. So an object is an error
//! report only if all of its keys are those of error reports and it says plainly that something failed
//! ([`report`]): whatever is in doubt is a record.

mod report;

use std::sync::Arc;

use serde_json::{Map, Value};

use super::layout::BYTE_ORDER_MARK;
use super::reader::{Fault, FaultKind, Read, Reader};
use crate::config::{RejectsRaw, TransformConfig};
use crate::model::DeclaredForm;

/// Bytes of an error object at most. Those of real servers have a few hundred, some with a stack trace; a larger
/// object is a record.
const ERROR_OBJECT_BYTES_MAX: usize = 64 << 10;
/// Characters that are shown of what an error object says.
const SHOWN_CHARS_MAX: usize = 200;

/// Whether a user says that documents are records, whatever they hold: `--records ''`.
pub(super) fn documents_are_records(records: Option<&Arc<[String]>>) -> bool {
    records.is_some_and(|tokens| tokens.is_empty())
}

/// Refuses a page that is an error object, before a record of it is looked for. Below `--records` it may be what the
/// pointer leads to, so there only a page that is declared to be one is refused; see [`name_instead`].
///
/// # Errors
/// The page is an error object.
pub(super) fn refuse(page: &[u8], form: DeclaredForm, config: &TransformConfig) -> Read<()> {
    let is_declared = form == DeclaredForm::ErrorReport;
    let is_judged = match form {
        DeclaredForm::ErrorReport => !documents_are_records(config.records.as_ref()),
        DeclaredForm::Unknown => config.records.is_none(),
        // A line is a record.
        DeclaredForm::Ndjson | DeclaredForm::Records | DeclaredForm::NoContent => false,
    };
    let told = if is_judged { told_by(page, is_declared) } else { None };
    told.map_or(Ok(()), |told| Err(fault(&quoted(&told, config))))
}

/// The fault of a page that is declared to be an error object, and which can't be looked at whole.
pub(super) fn declared_fault() -> Box<Fault> {
    fault("")
}

/// Adds to `taken`, what came of a page without a record, that the page is an error object, if `--records` points into
/// one. A page that has no records for that reason has failed.
///
/// # Errors
/// That of `taken`, or the page is an error object.
pub(super) fn name_instead<T>(
    taken: Read<Option<T>>,
    page: &[u8],
    config: &TransformConfig,
) -> Read<Option<T>> {
    let may_be_missing = match &taken {
        Ok(stopped) => stopped.is_none(),
        // Any other one is of a record.
        Err(fault) => matches!(fault.kind, FaultKind::Value | FaultKind::Syntax),
    };
    let is_pointed_into = config.records.as_ref().is_some_and(|tokens| !tokens.is_empty());
    if !may_be_missing || !is_pointed_into {
        return taken;
    }
    let Some(told) = told_by(page, false) else { return taken };
    let mut fault = taken.err().unwrap_or_else(|| {
        Fault::new(FaultKind::Value, 0, "expected records where --records points, got none")
    });
    fault.reason.push_str(&format!("; the page is an error object{}", quoted(&told, config)));
    Err(fault)
}

fn fault(quoted: &str) -> Box<Fault> {
    let reason =
        format!("expected records, got an error object{quoted}; --records '' would make it a record");
    Fault::new(FaultKind::Value, 0, reason)
}

/// What an error object says, as it stands in a reason: nothing where nothing of pages is to be seen.
fn quoted(told: &str, config: &TransformConfig) -> String {
    let is_shown = config.rejects_raw == RejectsRaw::Full && !told.is_empty();
    if is_shown { format!(": {told}") } else { String::new() }
}

/// What a whole page says that is an error object, on one line; `None` if it is none. One that is declared to be one is
/// one whatever it holds.
fn told_by(page: &[u8], is_declared: bool) -> Option<String> {
    let page = page.strip_prefix(BYTE_ORDER_MARK).unwrap_or(page);
    if !is_declared && !may_be_report(page) {
        return None;
    }
    let is_small = page.len() <= ERROR_OBJECT_BYTES_MAX;
    let object: Option<Map<String, Value>> = is_small.then(|| serde_json::from_slice(page).ok()).flatten();
    let is_report = |object: &Map<String, Value>| is_declared || report::is_report(object);
    let object = object.filter(is_report);
    if object.is_none() && !is_declared {
        return None;
    }
    let told = object.as_ref().and_then(report::told_by);
    Some(shown(&told.unwrap_or_else(|| String::from_utf8_lossy(page).into_owned())))
}

/// Whether a page is small, and one object with no other keys than those of error reports. Most records are told by
/// their first key or two.
fn may_be_report(page: &[u8]) -> bool {
    let mut reader = Reader::new(page);
    page.len() <= ERROR_OBJECT_BYTES_MAX
        && reader.peek_token() == Some(b'{')
        && reader.enter(b'}')
        && has_keys_of_reports(&mut reader).unwrap_or(false)
}

fn has_keys_of_reports(reader: &mut Reader<'_>) -> Read<bool> {
    loop {
        if !report::is_key_of_reports(&String::from_utf8_lossy(&reader.key()?.0)) {
            return Ok(false);
        }
        reader.skip_value()?;
        if !reader.goes_on(b'}')? {
            return Ok(reader.expect_end().is_ok());
        }
    }
}

/// A text of a server's as a line can hold it.
fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_quote = |letter: char| matches!(letter, '"' | '\'' | '\\');
    let mut shown = String::new();
    for letter in line.chars().take(SHOWN_CHARS_MAX) {
        if is_quote(letter) { shown.push(letter) } else { shown.extend(letter.escape_debug()) }
    }
    if line.chars().nth(SHOWN_CHARS_MAX).is_some() { shown + "…" } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn told(page: &str) -> Option<String> {
        told_by(page.as_bytes(), false)
    }

    #[test]
    fn error_objects_of_real_servers_are_told_with_what_they_say() {
        for (page, expected) in [
            (r#"{"error": {"code": 401, "message": "token expired"}}"#, "token expired (401)"),
            (r#"{"error":"boom"}"#, "boom"),
            // Slack, Telegram, Flickr, apilayer, OMDb, Open Exchange Rates, Last.fm, WeChat, Google Maps.
            (r#"{"ok":false,"error":"invalid_auth"}"#, "invalid_auth"),
            (r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#, "Unauthorized (401)"),
            (r#"{"stat":"fail","code":100,"message":"Invalid API Key"}"#, "Invalid API Key (100)"),
            (r#"{"success":false,"error":{"code":101,"info":"No access key"}}"#, "No access key (101)"),
            (r#"{"Response":"False","Error":"Movie not found!"}"#, "Movie not found!"),
            (
                r#"{"error":true,"status":401,"message":"invalid_app_id","description":"An id is wrong."}"#,
                "invalid_app_id (401)",
            ),
            (r#"{"error":10,"message":"Invalid API key"}"#, "Invalid API key (10)"),
            (r#"{"errcode":40001,"errmsg":"invalid credential"}"#, "invalid credential (40001)"),
            (
                r#"{"error_message":"The key is wrong.","results":[],"status":"REQUEST_DENIED"}"#,
                "The key is wrong.",
            ),
            // GraphQL, Datadog, JSON:API, Twitter, Cloudflare, JSON-RPC.
            (
                r#"{"errors":[{"message":"Not allowed","locations":[],"path":["a"]}],"data":null}"#,
                "Not allowed",
            ),
            (r#"{"errors":["Forbidden"]}"#, "Forbidden"),
            (r#"{"errors":[{"status":"403","title":"Forbidden","detail":"No scope."}]}"#, "No scope. (403)"),
            (r#"{"errors":[{"code":88,"message":"Rate limit exceeded"}]}"#, "Rate limit exceeded (88)"),
            (
                r#"{"success":false,"errors":[{"code":9109,"message":"Invalid token"}],"messages":[],"result":null}"#,
                "Invalid token (9109)",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}"#,
                "Method not found (-32601)",
            ),
            // Elasticsearch, Prometheus, CouchDB, Facebook, Google, OAuth 2, GitHub, Okta, Apigee.
            (
                r#"{"error":{"root_cause":[],"type":"parsing_exception","reason":"unknown query"},"status":400}"#,
                "unknown query (400)",
            ),
            (r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#, "parse error (bad_data)"),
            (r#"{"error":"not_found","reason":"missing"}"#, "missing (not_found)"),
            (
                r#"{"error":{"message":"The session has expired.","type":"OAuthException","code":190}}"#,
                "The session has expired. (190)",
            ),
            (
                r#"{"error":{"code":403,"message":"Disabled","errors":[],"status":"PERMISSION_DENIED"}}"#,
                "Disabled (403)",
            ),
            (r#"{"error":"invalid_grant","error_description":"Expired"}"#, "Expired (invalid_grant)"),
            (
                r#"{"message":"Bad credentials","documentation_url":"https://d","status":"401"}"#,
                "Bad credentials (401)",
            ),
            (r#"{"message":"Bad credentials","documentation_url":"https://d"}"#, "Bad credentials"),
            (
                r#"{"errorCode":"E0000011","errorSummary":"Invalid token","errorId":"oa","errorCauses":[]}"#,
                "Invalid token (E0000011)",
            ),
            (r#"{"fault":{"faultstring":"Invalid key","detail":{"errorcode":"x"}}}"#, "Invalid key"),
            // AWS, a function of it that failed, Spring, NestJS, ASP.NET, Twilio.
            (
                r#"{"__type":"x#ExpiredTokenException","message":"expired"}"#,
                "expired (x#ExpiredTokenException)",
            ),
            (
                r#"{"errorMessage":"boom","errorType":"Error","requestId":"1","stackTrace":["a"]}"#,
                "boom (Error)",
            ),
            (
                r#"{"timestamp":"2026-01-01T00:00:00Z","status":500,"error":"Internal Server Error","path":"/x"}"#,
                "Internal Server Error (500)",
            ),
            (r#"{"success":false,"error":{"code":"E7","message":"no"},"timestamp":1700000000}"#, "no (E7)"),
            (r#"{"statusCode":401,"message":"token expired","error":"Unauthorized"}"#, "token expired (401)"),
            (
                r#"{"type":"https://e","title":"Unauthorized","status":401,"traceId":"00-1"}"#,
                "Unauthorized (401)",
            ),
            (
                r#"{"code":20003,"message":"Authenticate","more_info":"https://m","status":401}"#,
                "Authenticate (20003)",
            ),
            // Says nothing in words.
            ("{\"success\":false,\n \"code\":7}", r#"{"success":false, "code":7}"#),
        ] {
            assert_eq!(told(page).as_deref(), Some(expected), "{page}");
        }
    }

    #[test]
    fn object_that_may_be_a_record_is_one() {
        for page in [
            // A key that is not of error reports.
            r#"{"error":"boom","id":1}"#,
            r#"{"level":"error","message":"boom","error":"x"}"#,
            r#"{"timestamp":"2026-01-01T00:00:00Z","service":"a","status":500,"error":"x"}"#,
            r#"{"errors":["a"],"items":[{"id":1}]}"#,
            // Nothing failed.
            r#"{}"#,
            r#"{"message":"started"}"#,
            r#"{"message":"started","code":"A1","type":"event"}"#,
            r#"{"error":null,"message":"done"}"#,
            r#"{"error":false,"errors":[],"message":""}"#,
            r#"{"error":"","error_code":0,"errors":{}}"#,
            r#"{"errcode":0,"errmsg":"ok"}"#,
            r#"{"ok":true,"error":"none that matters"}"#,
            r#"{"success":"true","errors":["a warning"]}"#,
            r#"{"status":200,"message":"OK"}"#,
            r#"{"status":204,"error":"x"}"#,
            r#"{"status":"success","error":"x"}"#,
            r#"{"code":404}"#,
            r#"{"status":"error","message":"disk full"}"#,
            r#"{"status":600,"message":"x"}"#,
            r#"{"status":404.5,"message":"x"}"#,
            // A measure or a count, and an object of them.
            r#"{"error":0.013}"#,
            r#"{"errors":3}"#,
            r#"{"error":0.5,"message":"epoch 3"}"#,
            r#"{"error":{"mean":0.1}}"#,
            // Data beside the error, or in its place.
            r#"{"errors":[{"message":"partly"}],"data":{"a":1}}"#,
            r#"{"errors":[{"message":"boom","timestamp":"2026-01-01T00:00:00Z"}]}"#,
            r#"{"errors":[{"message":"boom","user":7},{"message":"boom","user":8}]}"#,
            r#"{"errors":[{"message":"boom"},7]}"#,
            r#"{"errors":[{"id":1,"message":"boom"}]}"#,
            r#"{"errors":[{"field":"name"},{"field":"age"}]}"#,
            r#"{"__type":"LogEntry:#App","message":"x"}"#,
            r#"{"error":"0.25"}"#,
            r#"{"fault":true,"code":7}"#,
            // A code that is none of HTTP.
            r#"{"code":500,"title":"Chair"}"#,
            r#"{"code":404,"description":"Not Found"}"#,
            // What happened at a time or at a path is an event, unless the error is as a framework puts it.
            r#"{"timestamp":"2026-01-01T00:00:00Z","message":"refused","error":"ECONNREFUSED"}"#,
            r#"{"timestamp":"2026-01-01T00:00:00Z","path":"/x","status":500,"message":"GET"}"#,
            r#"{"path":"/login","success":false}"#,
            r#"{"path":"/login","success":false,"error":"wrong password"}"#,
            r#"{"timestamp":"2026-01-01T00:00:00Z","path":"/x","status":500,"error":"timeout"}"#,
            r#"{"timestamp":"2026-01-01T00:00:00Z","error":{"message":"boom"}}"#,
            r#"{"method":"GET","path":"/x","status":500,"error":"Internal Server Error"}"#,
            // More than one document, or none.
            "{\"error\":\"a\"}\n{\"error\":\"b\"}",
            r#"[{"message":"x","errorCode":"INVALID_SESSION_ID"}]"#,
            r#"{"error":"a""#,
            r#"{"error":"\ud800"}"#,
            r#""error""#,
            "",
        ] {
            assert_eq!(told(page), None, "{page}");
        }
    }

    #[test]
    fn large_object_is_a_record() {
        let of_size = |bytes: usize| format!("{{\"error\":\"{}\"}}", "x".repeat(bytes - 12));
        assert!(told(&of_size(ERROR_OBJECT_BYTES_MAX)).is_some());
        assert_eq!(told(&of_size(ERROR_OBJECT_BYTES_MAX + 1)), None);
    }

    #[test]
    fn keys_are_told_whatever_their_spelling() {
        for page in [
            "{\"ERROR\":\"x\"}",
            "{\"error\\u0073\":[\"x\"]}",
            "{\"Error-Message\":\"x\"}",
            "\u{feff} {\"error\":\n\"x\"}\n",
        ] {
            assert_eq!(told(page).as_deref(), Some("x"), "{page}");
        }
        assert_eq!(told("{\"error\":\"x\",\"error\":null}"), None, "the last one counts");
    }

    #[test]
    fn what_is_said_is_one_line_that_moves_no_cursor() {
        let long = format!("{{\"error\":\"a\\n\\t b \\u001b[31m '{}\"}}", "é".repeat(500));
        let found = told(&long).unwrap();
        assert!(found.starts_with("a b \\u{1b}[31m 'éé") && found.ends_with("é…"), "{found}");
        assert!(found.chars().count() < SHOWN_CHARS_MAX + 10);
    }

    #[test]
    fn declared_error_object_is_one_whatever_it_holds() {
        for (page, expected) in [
            (r#"{"title":"No credit","detail":"30 are left","balance":30}"#, "30 are left"),
            (r#"{"status":403,"title":"No credit"}"#, "No credit (403)"),
            (r#"[{"id":1}]"#, r#"[{"id":1}]"#),
            (r#"{"id":1}"#, r#"{"id":1}"#),
            ("<html>", "<html>"),
            ("", ""),
        ] {
            assert_eq!(told_by(page.as_bytes(), true).as_deref(), Some(expected));
        }
    }
}
