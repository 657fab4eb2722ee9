//! What the head of an answer says: its form, how its body is compressed, whether its end is proven.
//!
//! Pure: header values in, decisions out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::decompress::Coding;
use crate::model::DeclaredForm;

/// A time of reset from here on is a date, in seconds since 1970; below, it is seconds from now.
const RESET_DATE_MIN: f64 = 1e9;
/// From here on it is a date in milliseconds.
const RESET_DATE_MS_MIN: f64 = 1e12;

/// Most codings on top of each other. One is usual, two happen; more is an attack on our time.
const CODING_COUNT_MAX: usize = 4;

/// The codings to undo, outermost (last applied) first.
///
/// # Errors
/// In words, the coding that is not known.
pub(super) fn codings<'a>(
    content_encoding: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Coding>, String> {
    let mut codings = Vec::new();
    for name in content_encoding.into_iter().flat_map(|value| value.split(',')).map(str::trim) {
        match name.to_ascii_lowercase().as_str() {
            "" | "identity" => {}
            "gzip" | "x-gzip" => codings.push(Coding::Gzip),
            "zstd" => codings.push(Coding::Zstd),
            "br" => codings.push(Coding::Brotli),
            "deflate" => codings.push(Coding::Deflate),
            _ => return Err(format!("expected Content-Encoding gzip, zstd, br or deflate, got {name}")),
        }
    }
    if codings.len() > CODING_COUNT_MAX {
        return Err(format!(
            "expected at most {CODING_COUNT_MAX} codings in Content-Encoding, got {}",
            codings.len()
        ));
    }
    codings.reverse();
    Ok(codings)
}

/// Whether Transfer-Encoding says that the body comes in chunks.
///
/// # Errors
/// In words, a transfer coding that nobody has asked for.
pub(super) fn is_chunked<'a>(transfer_encoding: impl IntoIterator<Item = &'a str>) -> Result<bool, String> {
    let mut is_chunked = false;
    for name in transfer_encoding.into_iter().flat_map(|value| value.split(',')).map(str::trim) {
        match name.to_ascii_lowercase().as_str() {
            "" | "identity" => {}
            "chunked" => is_chunked = true,
            _ => return Err(format!("expected Transfer-Encoding chunked, got {name}")),
        }
    }
    Ok(is_chunked)
}

/// The form that Content-Type or, failing that, the extension of a path declares.
pub(super) fn declared_form(content_type: Option<&str>, path: &str) -> DeclaredForm {
    const ERROR_TYPES: [&str; 2] = ["application/problem+json", "application/vnd.error+json"];
    const NDJSON_TYPES: [&str; 5] = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/jsonlines",
    ];
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_one_of = |types: &[&str]| types.iter().any(|known| media_type.eq_ignore_ascii_case(known));
    if is_one_of(&ERROR_TYPES) {
        DeclaredForm::ErrorReport
    } else if is_one_of(&NDJSON_TYPES) || has_ndjson_extension(path) {
        DeclaredForm::Ndjson
    } else {
        DeclaredForm::Unknown
    }
}

fn has_ndjson_extension(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let bare = [".gz", ".zst"].iter().find_map(|compressed| path.strip_suffix(compressed)).unwrap_or(&path);
    bare.ends_with(".ndjson") || bare.ends_with(".jsonl")
}

/// Whether the path says that its bytes are compressed, so that none at all are a cut stream.
pub(super) fn has_compressed_extension(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    path.ends_with(".gz") || path.ends_with(".zst")
}

/// How long to wait until a quota that is used up has requests again, by `RateLimit`, `RateLimit-*` and
/// `X-RateLimit-*`; the longest such wait, where there are several quotas.
///
/// `RateLimit` is read in both forms that its draft (draft-ietf-httpapi-ratelimit-headers) has had:
/// `"default";r=0;t=30` and `limit=100, remaining=0, reset=30`. Of the others, which no standard defines, `Reset` may
/// be seconds from now or a date, and both may be lists.
pub(super) fn quota_pause<'a>(header: impl Fn(&str) -> Option<&'a str>, now: SystemTime) -> Option<Duration> {
    let mut quotas = header("ratelimit").map(quotas_of).unwrap_or_default();
    for family in ["ratelimit", "x-ratelimit"] {
        let values = |name| header(&format!("{family}-{name}")).unwrap_or_default().split(',').map(number);
        quotas.extend(values("remaining").zip(values("reset")));
    }
    let pauses = quotas.into_iter().filter_map(|quota| match quota {
        (Some(0.0), Some(reset)) => pause_until(reset, now),
        _ => None,
    });
    pauses.max()
}

/// What remains of each quota, and its reset.
fn quotas_of(value: &str) -> Vec<(Option<f64>, Option<f64>)> {
    let mut of_dictionary = (None, None);
    let mut quotas = Vec::new();
    for item in split_unquoted(value, ',') {
        let mut of_item = (None, None);
        for (key, value) in split_unquoted(item, ';').filter_map(|parameter| parameter.split_once('=')) {
            match key.trim() {
                "r" => of_item.0 = number(value),
                "t" => of_item.1 = number(value),
                "remaining" => of_dictionary.0 = number(value),
                "reset" => of_dictionary.1 = number(value),
                _ => {}
            }
        }
        quotas.push(of_item);
    }
    quotas.push(of_dictionary);
    quotas
}

fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |character| {
        is_quoted ^= character == '"';
        character == separator && !is_quoted
    })
}

/// A number, without the parameters behind it.
fn number(text: &str) -> Option<f64> {
    text.split(';').next().and_then(|number| number.trim().parse().ok())
}

fn pause_until(reset: f64, now: SystemTime) -> Option<Duration> {
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let seconds = match reset {
        date if date >= RESET_DATE_MS_MIN => date / 1000.0 - since_1970,
        date if date >= RESET_DATE_MIN => date - since_1970,
        seconds => seconds,
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|pause| !pause.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_up_quota_is_waited_for_and_any_other_is_not() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let pause = |headers: &[(&str, &'static str)]| {
            let find = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            quota_pause(find, now).map(|pause| pause.as_secs_f64())
        };
        let limit = |value| pause(&[("ratelimit", value)]);
        assert_eq!(limit("\"default\";r=0;t=30"), Some(30.0));
        assert_eq!(limit("default;r=0;t=7"), Some(7.0));
        assert_eq!(limit("\"a,b;r=9\";r=0;t=30, \"day\";r=5;t=900"), Some(30.0));
        assert_eq!(limit("\"a\";r=0;t=30;pk=:cHsdsRa894==:, \"day\";t=900;r=0"), Some(900.0));
        assert_eq!(limit("limit=100, remaining=0, reset=12"), Some(12.0));
        for other in ["\"a\";r=1;t=30", "\"a\";r=0", "\"x;r=0;t=5;y\"", "remaining=0", "", "r=0;t=-1"] {
            assert_eq!(limit(other), None, "{other}");
        }
        for family in ["ratelimit", "x-ratelimit"] {
            let [remaining_name, reset_name] = ["remaining", "reset"].map(|name| format!("{family}-{name}"));
            let two = |remaining, reset| pause(&[(&remaining_name, remaining), (&reset_name, reset)]);
            assert_eq!(two("0", "2"), Some(2.0));
            assert_eq!(two("0", "0.5"), Some(0.5));
            assert_eq!(two("0", "1700000060"), Some(60.0));
            assert_eq!(two("0", "1700000060000"), Some(60.0));
            assert_eq!(two("0;w=60, 3, 0", "1, 500, 20"), Some(20.0));
            for (remaining, reset) in [("1", "2"), ("0", "0"), ("0", "1699999999"), ("0", "soon"), ("", "2")]
            {
                assert_eq!(two(remaining, reset), None, "{remaining} {reset}");
            }
        }
    }

    #[test]
    fn codings_are_undone_from_the_last_to_the_first() {
        assert_eq!(
            codings(["gzip, BR", "identity , x-gzip"]),
            Ok(vec![Coding::Gzip, Coding::Brotli, Coding::Gzip])
        );
        assert_eq!(codings(["", "identity"]), Ok(vec![]));
    }

    #[test]
    fn unknown_or_endless_codings_are_refused() {
        assert!(codings(["compress"]).unwrap_err().ends_with("got compress"));
        assert!(codings(["gzip,gzip,gzip,gzip,gzip"]).unwrap_err().ends_with("got 5"));
    }

    #[test]
    fn only_chunked_is_taken_as_a_transfer_coding() {
        assert_eq!(is_chunked(["Chunked"]), Ok(true));
        assert_eq!(is_chunked(["identity"]), Ok(false));
        assert_eq!(is_chunked([]), Ok(false));
        assert!(is_chunked(["gzip, chunked"]).is_err());
    }

    #[test]
    fn error_report_is_declared_by_type_whatever_the_path() {
        for content_type in ["application/problem+json", "Application/VND.Error+JSON; charset=utf-8"] {
            for path in ["/p", "/p.ndjson"] {
                assert_eq!(declared_form(Some(content_type), path), DeclaredForm::ErrorReport, "{path}");
            }
        }
    }

    #[test]
    fn ndjson_is_declared_by_type_or_extension() {
        for (content_type, path) in [
            (Some("Application/X-NDJSON; charset=utf-8"), "/p"),
            (Some("application/jsonl"), "/p.json"),
            (None, "/a/p.ndjson"),
            (Some("application/gzip"), "/a/p.JSONL.gz"),
            (None, "p.jsonl.zst"),
        ] {
            assert_eq!(declared_form(content_type, path), DeclaredForm::Ndjson, "{content_type:?} {path}");
        }
        for (content_type, path) in [
            (Some("application/json"), "/p.json"),
            (Some("application/json-seq"), "/p"),
            (None, "/p.ndjson/x"),
            (None, ""),
        ] {
            assert_eq!(declared_form(content_type, path), DeclaredForm::Unknown, "{content_type:?} {path}");
        }
    }
}
