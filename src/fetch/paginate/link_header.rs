//! `Link` headers (RFC 8288), as servers write them: what leads to the next page.

/// The target of the first link with `rel=next` (RFC 8288) that is about the page itself.
pub(crate) fn next_link<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<String> {
    headers.into_iter().find_map(|header| {
        let mut rest = header.trim_start_matches([' ', '\t', ',']);
        while !rest.is_empty() {
            let mut behind = rest;
            if let Some((target, parameters)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
                let (is_next, behind_parameters) = parameters_say_next(parameters);
                if is_next {
                    return Some(target.trim().to_owned());
                }
                behind = behind_parameters;
            }
            // Whatever is no link is passed: the one behind it may be the next page's.
            rest = behind_comma(behind).trim_start_matches([' ', '\t', ',']);
        }
        None
    })
}

/// What stands behind the next comma that is in no quotes.
fn behind_comma(text: &str) -> &str {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (place, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => return &text[place + 1..],
            _ => {}
        }
    }
    ""
}

/// Reads the parameters of a link, up to the comma before the next one.
fn parameters_say_next(mut rest: &str) -> (bool, &str) {
    let (mut relations, mut has_anchor) = (None, false);
    while let Some(parameter) = rest.trim_start().strip_prefix(';') {
        let end = parameter.find(['=', ';', ',']).unwrap_or(parameter.len());
        let name = parameter[..end].trim().to_ascii_lowercase();
        rest = &parameter[end..];
        let mut value = String::new();
        if let Some(behind) = rest.strip_prefix('=') {
            (value, rest) = parameter_value(behind.trim_start());
        }
        match name.as_str() {
            // Only the first one counts (RFC 8288, 3.3).
            "rel" if relations.is_none() => relations = Some(value),
            "anchor" => has_anchor = true,
            _ => {}
        }
    }
    let is_next = relations
        .is_some_and(|value| value.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next")));
    (is_next && !has_anchor, rest)
}

/// A token or a quoted string, and what stands behind it.
fn parameter_value(text: &str) -> (String, &str) {
    // Single quotes are none in the grammar, but mean some.
    if let Some((value, behind)) = text.strip_prefix('\'').and_then(|quoted| quoted.split_once('\'')) {
        return (value.to_owned(), behind);
    }
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[place + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            _ => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_link_is_found_among_others() {
        for header in [
            "<https://h/?page=2>; rel=\"next\", <https://h/?page=9>; rel=\"last\"",
            "<https://h/?page=9>; rel=\"last\" , <https://h/?page=2>;rel=next",
            "<https://h/?page=1>; rel=\"prev\"; title=\"a, b; <c>\", <https://h/?page=2>; title=\"\\\"\" ; REL=\"start NEXT\"",
            " < https://h/?page=2 > ; rel=next; type=\"x\"",
        ] {
            assert_eq!(next_link([header]).as_deref(), Some("https://h/?page=2"), "{header}");
        }
        for header in
            ["<b>; rel='next'", "/x; rel=self, <b>; rel=next", "<a>; rel=prev junk \"x, y\", <b>; rel=next"]
        {
            assert_eq!(next_link([header]).as_deref(), Some("b"), "{header}");
        }
        assert_eq!(next_link(["<a>; rel=prev", "<b>; rel=next"]).as_deref(), Some("b"));
        for header in [
            "",
            "<a>",
            "<a>; rel=\"nextpage\"",
            "<a>; rel=prev; rel=next",
            "<a>; anchor=\"/other\"; rel=next",
            "a; rel=next",
            "<a; rel=next",
            "<a>; title=\"rel=next",
            "<a>; rel=\"prev\", b; rel=next",
        ] {
            assert_eq!(next_link([header]), None, "{header}");
        }
    }
}
