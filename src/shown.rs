//! Text that is shown: whatever a server, a file or its name says, nothing in it moves a terminal or hides what stands
//! beside it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Text of one line: line feeds are escaped too.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_plain, |letter, out| write!(out, "{}", letter.escape_debug()))
}

/// Text of our own lines, with tabs.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |letter| matches!(letter, '\n' | '\t') || is_plain(letter),
        |letter, out| write!(out, "{}", letter.escape_unicode()),
    )
}

/// JSON, as other JSON of the same value.
pub fn json(text: &str) -> Cow<'_, str> {
    // Outside of strings there is nothing but line feeds that is not plain.
    escaped(
        text,
        |letter| matches!(letter, '\n' | '\t') || is_plain(letter),
        |letter, out| {
            letter.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
        },
    )
}

/// A basic string of TOML.
pub fn toml_string(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        let written = match letter {
            '"' | '\\' => write!(out, "\\{letter}"),
            _ if is_plain(letter) => write!(out, "{letter}"),
            _ => write!(out, "\\U{:08X}", u32::from(letter)),
        };
        written.expect("writing to a String does not fail");
    }
    out.push('"');
    out
}

/// Tells whether a letter stands for itself: no control character, and none that turns or hides what is beside it.
pub fn is_plain(letter: char) -> bool {
    let is_hidden = matches!(
        letter,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !letter.is_control() && !is_hidden
}

fn escaped(
    text: &str,
    is_plain: impl Fn(char) -> bool,
    escape: impl Fn(char, &mut String) -> std::fmt::Result,
) -> Cow<'_, str> {
    if text.chars().all(&is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        let written = if is_plain(letter) { out.write_char(letter) } else { escape(letter, &mut out) };
        written.expect("writing to a String does not fail");
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str =
        "a\u{1b}[2J\r\u{7f}\u{85}\u{9b}31m\u{202e}\u{2066}\u{2028}\u{feff}\u{e0041}\"'\\b\u{61c}é漢";

    #[test]
    fn nothing_that_moves_a_terminal_is_left_in_any_form() {
        let json_text = serde_json::to_string(HOSTILE).unwrap();
        let toml_text = toml_string(HOSTILE);
        for shown in [line(HOSTILE), lines(HOSTILE), json(&json_text), toml_text.as_str().into()] {
            assert!(
                shown.chars().all(|letter| matches!(letter, '\n' | '\t') || is_plain(letter)),
                "{shown:?}"
            );
            assert!(shown.contains("é漢"), "{shown}");
        }
        assert_eq!(serde_json::from_str::<String>(&json(&json_text)).unwrap(), HOSTILE);
    }

    #[test]
    fn plain_text_is_shown_as_it_is() {
        let text = "published out.parquet: 2,500 rows; café 漢字 🦀 'x' \"y\" \\";
        assert_eq!((&*line(text), &*lines(text), &*json(text)), (text, text, text));
        assert_eq!((&*line("a\nb"), &*lines("a\nb")), ("a\\nb", "a\nb"));
    }
}
