//! Writes records as a hostile but correct sender would: odd white space, escapes, keys that stand twice.

use std::fmt::Write as _;

use crate::generate::Dice;
use crate::json::Json;

/// How records stand in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Array,
    Lines,
    Concatenated,
}

/// A body, and how many keys stand twice.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) body: String,
    pub(crate) duplicate_key_count: u64,
}

/// Writes these records, each given by its text.
pub(crate) fn layout_of_texts(
    texts: &[String],
    layout: Layout,
    dice: &mut Dice,
) -> (String, Vec<std::ops::Range<usize>>) {
    let mut body = String::new();
    let mut places = Vec::new();
    if dice.one_in(4) {
        body.push('\u{feff}');
    }
    if layout == Layout::Array {
        body.push_str(dice.pick(&["[", " [", "[\n", "\r\n[ "]));
    }
    for (index, text) in texts.iter().enumerate() {
        match layout {
            Layout::Array if index > 0 => body.push_str(dice.pick(&[",", " ,", ",\n", "\n , \t"])),
            Layout::Lines if index > 0 => {
                body.push_str(dice.pick(&["\n", "\r\n", "\n\n", " \n\t \n ", "\n\t"]));
            }
            // The first two share a line, so that the body can't be taken for lines.
            Layout::Concatenated if index == 1 => body.push_str(dice.pick(&["", " ", "\t"])),
            Layout::Concatenated if index > 1 => body.push_str(dice.pick(&["", " ", "\n", "\r\n\n"])),
            _ => {}
        }
        let start = body.len();
        body.push_str(text);
        places.push(start..body.len());
    }
    if layout == Layout::Array {
        body.push_str(dice.pick(&["]", " ]", "]\n", "\n]\r\n\n"]));
    } else {
        body.push_str(dice.pick(&["", "\n", "\r\n", "\n \n"]));
    }
    (body, places)
}

/// Writes records as one body; what is chosen at random depends on `seed` alone.
pub(crate) fn write_records(records: &[&Json], layout: Layout, seed: u64) -> Written {
    let mut writer =
        Writer { dice: Dice(seed), has_newlines: layout != Layout::Lines, duplicate_key_count: 0 };
    let texts: Vec<String> = records.iter().map(|record| writer.record(record)).collect();
    let (body, _) = layout_of_texts(&texts, layout, &mut writer.dice);
    Written { body, duplicate_key_count: writer.duplicate_key_count }
}

/// Writes one record on one line.
pub(crate) fn write_line(record: &Json, seed: u64) -> String {
    Writer { dice: Dice(seed), has_newlines: false, duplicate_key_count: 0 }.record(record)
}

struct Writer {
    dice: Dice,
    has_newlines: bool,
    duplicate_key_count: u64,
}

impl Writer {
    fn record(&mut self, record: &Json) -> String {
        let mut out = String::new();
        self.value(record, &mut out, true);
        out
    }

    fn space(&mut self, out: &mut String) {
        if self.dice.one_in(8) {
            let spaces: &[&str] =
                if self.has_newlines { &[" ", "\t", "\n", "\r\n", " \n  "] } else { &[" ", "\t", "   "] };
            out.push_str(self.dice.pick(spaces));
        }
    }

    fn value(&mut self, value: &Json, out: &mut String, may_repeat: bool) {
        match value {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Int(value) => write!(out, "{value}").unwrap(),
            Json::Huge(digits) => out.push_str(digits),
            Json::Double(value) => self.double(*value, out),
            Json::Text(text) => self.text(text, out),
            Json::List(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    self.space(out);
                    self.value(element, out, may_repeat);
                    self.space(out);
                }
                out.push(']');
            }
            Json::Object(members) => self.object(members, out, may_repeat),
        }
    }

    /// Writes some members twice: first with a value that loses, at the end with the one that wins. The
    /// loser is null or the same value, so that it can't be told by the type of its column.
    fn object(&mut self, members: &[(String, Json)], out: &mut String, may_repeat: bool) {
        let mut again = Vec::new();
        let mut written = 0;
        out.push('{');
        for (key, value) in members {
            if may_repeat && self.dice.one_in(10) {
                self.duplicate_key_count += 1;
                let loser = if self.dice.one_in(2) { &Json::Null } else { value };
                self.member(key, loser, written, out, false);
                again.push((key, value));
            } else {
                self.member(key, value, written, out, may_repeat);
            }
            written += 1;
        }
        for (key, value) in again {
            self.member(key, value, written, out, may_repeat);
            written += 1;
        }
        self.space(out);
        out.push('}');
    }

    fn member(&mut self, key: &str, value: &Json, written: usize, out: &mut String, may_repeat: bool) {
        if written > 0 {
            out.push(',');
        }
        self.space(out);
        self.text(key, out);
        self.space(out);
        out.push(':');
        self.space(out);
        self.value(value, out, may_repeat);
        self.space(out);
    }

    fn double(&mut self, value: f64, out: &mut String) {
        let token = match self.dice.roll() % 4 {
            0 => format!("{value:e}"),
            1 => format!("{value:E}").replace('E', "E+").replace("E+-", "E-"),
            2 if value == 0.0 && value.is_sign_negative() => "-0".into(),
            3 if !format!("{value:?}").contains('e') => format!("{value:?}000"),
            _ => format!("{value:?}"),
        };
        assert_eq!(token.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{token}");
        out.push_str(&token);
    }

    fn text(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            let must_escape = matches!(character, '"' | '\\' | '\0'..='\x1f');
            match character {
                '/' if self.dice.one_in(2) => out.push_str("\\/"),
                '"' | '\\' if self.dice.one_in(2) => {
                    out.push('\\');
                    out.push(character);
                }
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' if self.dice.one_in(2) => out.push_str("\\r"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                _ if must_escape || self.dice.one_in(12) => {
                    let is_upper = self.dice.one_in(2);
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        let written = if is_upper {
                            write!(out, "\\u{unit:04X}")
                        } else {
                            write!(out, "\\u{unit:04x}")
                        };
                        written.unwrap();
                    }
                }
                _ => out.push(character),
            }
        }
        out.push('"');
    }
}
