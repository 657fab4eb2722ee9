//! What the head of an answer says: its form, how its body is compressed, whether its end is proven.
//!
//! Pure: header values in, decisions out.

use super::decompress::Coding;
use crate::model::DeclaredForm;

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
    const NDJSON_TYPES: [&str; 5] = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/jsonlines",
    ];
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if NDJSON_TYPES.iter().any(|ndjson| media_type.eq_ignore_ascii_case(ndjson)) || has_ndjson_extension(path)
    {
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

#[cfg(test)]
mod tests {
    use super::*;

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
