//! Nesting: refused at 128 levels counted from the record, and never a stack overflow.

use etl::model::DeclaredForm;

use crate::page::{decode_plain, page, raw};

/// The deepest record that is accepted, the record itself being level 1.
const DEPTH_ACCEPTED: usize = 127;
const DEPTHS_HUGE: [usize; 3] = [1_000, 100_000, 1_000_000];

/// How levels are opened and closed, one after the other.
#[derive(Debug, Clone, Copy)]
enum Nest {
    Arrays,
    Objects,
    Mixed,
}

const NESTS: [Nest; 3] = [Nest::Arrays, Nest::Objects, Nest::Mixed];

impl Nest {
    fn open(self, depth: usize) -> String {
        (0..depth).map(|level| if self.is_array(level) { "[" } else { r#"{"a":"# }).collect()
    }

    fn closed(self, depth: usize) -> String {
        let close: String =
            (0..depth).rev().map(|level| if self.is_array(level) { ']' } else { '}' }).collect();
        format!("{}1{close}", self.open(depth))
    }

    fn is_array(self, level: usize) -> bool {
        match self {
            Self::Arrays => true,
            Self::Objects => false,
            Self::Mixed => level % 2 == 1,
        }
    }
}

/// Decodes lines and says, for each, whether it is a row; checks that refused lines are kept.
fn rows_of_lines(lines: &[&str]) -> Vec<bool> {
    let batch =
        decode_plain(&page(lines.join("\n"), DeclaredForm::Ndjson)).expect("lines do not fail a page");
    assert_eq!(batch.record_count, lines.len() as u64);
    let mut is_row = vec![true; lines.len()];
    for reject in &batch.rejects {
        assert!(
            raw(reject) == lines[reject.record as usize].as_bytes(),
            "record {} is not whole",
            reject.record
        );
        let before: usize = lines[..reject.record as usize].iter().map(|line| line.len() + 1).sum();
        assert_eq!(reject.byte_offset, before as u64);
        is_row[reject.record as usize] = false;
    }
    is_row
}

/// As [`rows_of_lines`] for the elements of an array; `None` when the page failed.
fn rows_of_array(elements: &[&str]) -> Option<Vec<bool>> {
    let batch = decode_plain(&page(format!("[{}]", elements.join(",")), DeclaredForm::Unknown)).ok()?;
    assert_eq!(batch.record_count, elements.len() as u64);
    let mut is_row = vec![true; elements.len()];
    for reject in &batch.rejects {
        assert!(
            raw(reject) == elements[reject.record as usize].as_bytes(),
            "record {} is not whole",
            reject.record
        );
        is_row[reject.record as usize] = false;
    }
    Some(is_row)
}

#[test]
fn records_are_accepted_up_to_127_levels_and_refused_from_128_on() {
    for depth in 1..=200 {
        for nest in [Nest::Objects, Nest::Mixed] {
            let record = nest.closed(depth);
            let expected = vec![true, depth <= DEPTH_ACCEPTED, true];
            let elements = [r#"{"b":1}"#, &record, r#"{"b":2}"#];
            assert_eq!(rows_of_lines(&elements), expected, "{nest:?} {depth}");
            assert_eq!(rows_of_array(&elements), Some(expected), "{nest:?} {depth}");
            let alone = decode_plain(&page(record, DeclaredForm::Unknown)).unwrap();
            assert_eq!(alone.row_count == 1, depth <= DEPTH_ACCEPTED, "{nest:?} {depth}");
        }
    }
}

#[test]
fn a_field_counts_its_levels_from_the_record() {
    for depth in 1..=200 {
        for nest in NESTS {
            let record = format!(r#"{{"id":1,"x":{}}}"#, nest.closed(depth));
            let is_row = depth < DEPTH_ACCEPTED;
            let records = [r#"{"id":0}"#, &record, r#"{"id":2}"#];
            assert_eq!(rows_of_lines(&records), [true, is_row, true], "{nest:?} {depth}");
            assert_eq!(rows_of_array(&records), Some(vec![true, is_row, true]), "{nest:?} {depth}");
            // In a column that is text already the value is read by another way.
            let records = [r#"{"x":"s"}"#, r#"{"x":1}"#, &record, r#"{"id":2}"#];
            assert_eq!(rows_of_lines(&records), [true, true, is_row, true], "{nest:?} {depth}");
        }
    }
}

#[test]
fn depth_is_the_reason_and_the_pointer_leads_to_the_level_that_is_too_deep() {
    let record = format!(r#"{{"x":{}}}"#, Nest::Arrays.closed(127));
    let batch = decode_plain(&page(record, DeclaredForm::Ndjson)).unwrap();
    assert_eq!(batch.rejects[0].pointer, format!("/x{}", "/0".repeat(126)));
    assert!(batch.rejects[0].reason.contains("128"), "{}", batch.rejects[0].reason);
}

#[test]
fn arrays_of_any_depth_are_no_records() {
    for depth in 1..=200 {
        let record = Nest::Arrays.closed(depth);
        assert_eq!(rows_of_lines(&[r#"{"a":1}"#, &record, r#"{"a":2}"#]), [true, false, true], "{depth}");
        let array = rows_of_array(&[r#"{"a":1}"#, &record, r#"{"a":2}"#]);
        assert_eq!(array, Some(vec![true, false, true]), "{depth}");
        let alone = decode_plain(&page(record, DeclaredForm::Unknown)).unwrap();
        assert_eq!((alone.row_count, alone.record_count), (0, 1), "{depth}");
    }
}

#[test]
fn huge_nesting_that_closes_rejects_its_record_alone() {
    for depth in DEPTHS_HUGE {
        for nest in NESTS {
            let value = nest.closed(depth);
            let field = format!(r#"{{"id":1,"x":{value}}}"#);
            for record in [&value, &field] {
                let records = [r#"{"id":0}"#, record, r#"{"id":2}"#];
                assert_eq!(rows_of_lines(&records), [true, false, true], "{nest:?} {depth}");
                assert_eq!(rows_of_array(&records), Some(vec![true, false, true]), "{nest:?} {depth}");
            }
            let in_text = [r#"{"x":"s"}"#, r#"{"x":1}"#, &field, r#"{"id":2}"#];
            assert_eq!(rows_of_lines(&in_text), [true, true, false, true], "{nest:?} {depth}");
            let alone = decode_plain(&page(value.clone(), DeclaredForm::Unknown)).unwrap();
            assert_eq!((alone.row_count, alone.record_count), (0, 1), "{nest:?} {depth}");
        }
    }
}

#[test]
fn huge_nesting_that_never_closes_rejects_its_line_or_fails_its_array() {
    for depth in DEPTHS_HUGE {
        for nest in NESTS {
            let value = nest.open(depth);
            let field = format!(r#"{{"id":1,"x":{value}"#);
            for record in [&value, &field] {
                let records = [r#"{"id":0}"#, record, r#"{"id":2}"#];
                assert_eq!(rows_of_lines(&records), [true, false, true], "{nest:?} {depth}");
                assert_eq!(rows_of_array(&records), None, "{nest:?} {depth}");
            }
        }
    }
}

#[test]
fn a_page_of_openings_alone_is_refused() {
    for depth in DEPTHS_HUGE {
        let arrays = decode_plain(&page(Nest::Arrays.open(depth), DeclaredForm::Unknown));
        assert!(arrays.is_err(), "{depth}");
        for nest in [Nest::Objects, Nest::Mixed] {
            let mut cut = page(nest.open(depth), DeclaredForm::Unknown);
            let proven =
                decode_plain(&cut).expect("an unfinished record is a reject where the end was proven");
            assert_eq!((proven.row_count, proven.record_count), (0, 1), "{nest:?} {depth}");
            assert!(raw(&proven.rejects[0]) == cut.body, "{nest:?} {depth}");
            cut.end_proven = false;
            assert!(decode_plain(&cut).is_err(), "{nest:?} {depth}");
        }
    }
}
