//! Whether a body that broke off can be gone on with, and whether an answer does (RFC 9110, sections 13 and 14). Pure.

/// Bytes from which on a body is gone on with: what is shorter is fetched anew as fast.
pub(super) const RESUMED_BYTES_MIN: u64 = 256 << 10;

/// The entity tag by which the rest of a body is asked for; `None` if it is missing or weak, so that other bytes may
/// have it too, or if the server serves no ranges.
pub(super) fn validator<'a>(etag: Option<&'a str>, accept_ranges: Option<&str>) -> Option<&'a str> {
    let serves_none = accept_ranges.is_some_and(|units| units.trim().eq_ignore_ascii_case("none"));
    etag.filter(|tag| !serves_none && tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"'))
}

/// The size of the whole body, if a `Content-Range` is that of all its bytes from `start` on, and it has `expected`
/// bytes, where that is known.
pub(super) fn size_by_rest(content_range: Option<&str>, start: u64, expected: Option<u64>) -> Option<u64> {
    let parse = || {
        let (range, total) = content_range?.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| text.trim().parse::<u64>().ok();
        Some((number(first)?, number(last)?, number(total)?))
    };
    let (first, last, total) = parse()?;
    let is_rest =
        first == start && last.checked_add(1) == Some(total) && expected.is_none_or(|bytes| bytes == total);
    is_rest.then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_strong_tag_is_one_to_go_on_by() {
        assert_eq!(validator(Some("\"a\""), None), Some("\"a\""));
        assert_eq!(validator(Some("\"a\""), Some("bytes")), Some("\"a\""));
        for (etag, accept_ranges) in
            [(None, Some("bytes")), (Some("W/\"a\""), None), (Some("a"), None), (Some("\"a\""), Some("none"))]
        {
            assert_eq!(validator(etag, accept_ranges), None, "{etag:?} {accept_ranges:?}");
        }
    }

    #[test]
    fn rest_begins_where_the_body_broke_off_and_goes_to_its_end() {
        assert_eq!(size_by_rest(Some("bytes 10-19/20"), 10, Some(20)), Some(20));
        assert_eq!(size_by_rest(Some("bytes 10-19/20"), 10, None), Some(20));
        for wrong in [
            "bytes 9-19/20",
            "bytes 11-19/20",
            "bytes 10-18/20",
            "bytes 10-20/21",
            "bytes 10-19/*",
            "bytes */20",
            "10-19/20",
            "items 10-19/20",
            "",
        ] {
            assert_eq!(size_by_rest(Some(wrong), 10, Some(20)), None, "{wrong}");
        }
        assert_eq!(size_by_rest(None, 0, None), None);
        assert_eq!(size_by_rest(Some("bytes 1-18446744073709551615/0"), 1, None), None);
    }
}
