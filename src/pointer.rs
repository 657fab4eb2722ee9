//! JSON Pointers (RFC 6901): read from what a person typed, and shown to one.

/// The reference tokens of a pointer; none for the whole document.
///
/// # Errors
/// What was expected, when `text` is no JSON Pointer.
pub fn parse(text: &str) -> Result<Vec<String>, String> {
    let Some(tokens) = text.strip_prefix('/') else {
        return if text.is_empty() {
            Ok(Vec::new())
        } else {
            Err(format!("expected a JSON Pointer, which begins with /, such as /{text}"))
        };
    };
    tokens
        .split('/')
        .map(|token| {
            let escapes_are_right = token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
            if escapes_are_right {
                Ok(token.replace("~1", "/").replace("~0", "~"))
            } else {
                Err("expected ~0 or ~1 behind every ~ of a JSON Pointer".to_owned())
            }
        })
        .collect()
}

/// The pointer that these reference tokens make.
pub fn show<'a>(tokens: impl IntoIterator<Item = &'a str>) -> String {
    tokens.into_iter().map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_shown_as_they_were_typed() {
        for text in ["", "/", "/a", "/a~1b/c~0d", "/~01", "/0/x"] {
            let tokens = parse(text).unwrap();
            assert_eq!(show(tokens.iter().map(String::as_str)), text);
        }
        assert_eq!(parse("/a~1b/c~0d").unwrap(), ["a/b", "c~d"]);
        assert!(parse("a").is_err());
        assert!(parse("/a~2").is_err());
    }
}
