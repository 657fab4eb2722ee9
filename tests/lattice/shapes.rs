//! Shapes unite in any order, and columns that were decoded apart convert to what one page would have had.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, NullArray};
use etl::model::{DeclaredForm, PageBatch};
use etl::schema::{ColumnType, Kinds, Shape, convert};
use proptest::prelude::*;

use crate::NESTING;
use crate::generate::{records_of, source};
use crate::json::Json;
use crate::page::{decode_plain, page};
use crate::reference::{Type, check_column};
use crate::write::{Layout, write_records};

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases: count, ..ProptestConfig::default() }
}

fn decode(records: &[Json], seed: u64) -> PageBatch {
    let written = write_records(&records.iter().collect::<Vec<_>>(), Layout::Array, seed);
    decode_plain(&page(written.body.clone(), DeclaredForm::Unknown))
        .unwrap_or_else(|fault| panic!("{}\n{fault:?}", written.body))
}

/// Three pages of one source, or of several that share some names.
fn three_pages() -> impl Strategy<Value = [Vec<Json>; 3]> {
    (source(), source()).prop_flat_map(|(first, second)| {
        let merged: Vec<_> = first.iter().take(2).chain(&second).cloned().collect();
        let mut seen = Vec::new();
        let third: Vec<_> = merged
            .into_iter()
            .filter(|(key, _)| {
                let is_new = !seen.contains(key);
                seen.push(key.clone());
                is_new
            })
            .collect();
        [records_of(&first, 0..4), records_of(&second, 0..4), records_of(&third, 0..4)]
    })
}

fn united(left: &Shape, right: &Shape) -> Shape {
    let mut shape = left.clone();
    shape.unite(right, NESTING);
    shape
}

/// The shape without the order in which its fields appeared.
fn sorted(mut shape: Shape) -> Shape {
    shape.fields = shape.fields.into_iter().map(|(name, field)| (name, sorted(field))).collect();
    shape.fields.sort_by(|(left, _), (right, _)| left.cmp(right));
    shape.element = shape.element.map(|element| Box::new(sorted(*element)));
    shape
}

fn sorted_type(of: ColumnType) -> ColumnType {
    match of {
        ColumnType::Struct(fields) => {
            let mut fields: Vec<_> = fields.into_iter().map(|(name, of)| (name, sorted_type(of))).collect();
            fields.sort_by(|(left, _), (right, _)| left.cmp(right));
            ColumnType::Struct(fields)
        }
        ColumnType::List(element) => ColumnType::List(Box::new(sorted_type(*element))),
        other => other,
    }
}

/// A column of `batch` as a column of `union`, by way of what `from` was before.
fn widened(batch: &PageBatch, name: &str, union: &Shape) -> (ArrayRef, ColumnType) {
    let place = batch.shape.fields.iter().position(|(field, _)| **field == *name);
    let (array, from) = match place {
        Some(place) => (batch.columns[place].to_array(), batch.shape.fields[place].1.column_type()),
        None => (Arc::new(NullArray::new(batch.row_count)) as ArrayRef, ColumnType::Null),
    };
    let to = field(union, name).column_type();
    (convert(&array, &from, &to), to)
}

fn field<'a>(shape: &'a Shape, name: &str) -> &'a Shape {
    &shape.fields.iter().find(|(field, _)| **field == *name).expect("the union has every field").1
}

fn member<'a>(record: &'a Json, name: &str) -> Option<&'a Json> {
    let Json::Object(members) = record else { unreachable!("records are objects") };
    members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// Checks a column against the type that `all` records give it and the values that `these` have.
fn check_against(
    array: &ArrayRef,
    of: &ColumnType,
    name: &str,
    all: &[&Json],
    these: &[Json],
) -> Result<(), TestCaseError> {
    let values: Vec<&Json> = all.iter().filter_map(|record| member(record, name)).collect();
    let cells: Vec<_> = these.iter().enumerate().map(|(row, record)| (row, member(record, name))).collect();
    check_column(array, of, &Type::of(&values), &cells, false)
        .map_err(|wrong| TestCaseError::fail(format!("{name}: {wrong}")))
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn shapes_unite_in_any_order_and_grouping(pages in three_pages(), seed in any::<u64>()) {
        let [a, b, c] = pages.map(|records| decode(&records, seed).shape);
        prop_assert_eq!(sorted(united(&a, &b)), sorted(united(&b, &a)));
        prop_assert_eq!(united(&united(&a, &b), &c), united(&a, &united(&b, &c)));
        prop_assert_eq!(&united(&a, &a), &a);
        let all = united(&united(&a, &b), &c);
        let reversed = united(&united(&c, &b), &a);
        prop_assert_eq!(sorted_type(all.column_type()), sorted_type(reversed.column_type()));
    }

    #[test]
    fn unite_says_whether_anything_was_new(pages in three_pages(), seed in any::<u64>()) {
        let [a, b, _] = pages.map(|records| decode(&records, seed).shape);
        let mut shape = a.clone();
        let is_new = shape.unite(&b, NESTING);
        prop_assert_eq!(is_new, shape != a, "{:?} with {:?}", a, b);
        prop_assert!(!shape.unite(&b, NESTING));
        prop_assert!(!shape.unite(&a, NESTING));
    }

    #[test]
    fn columns_that_were_decoded_apart_convert_to_those_of_one_page(
        pages in three_pages(),
        seed in any::<u64>(),
    ) {
        let [first, second, _] = pages;
        let (a, b) = (decode(&first, seed), decode(&second, seed.wrapping_add(1)));
        let union = united(&a.shape, &b.shape);
        let together: Vec<Json> = first.iter().chain(&second).cloned().collect();
        let whole = decode(&together, seed);
        prop_assert_eq!(&union, &whole.shape);
        let all: Vec<&Json> = together.iter().collect();
        for (place, (name, _)) in union.fields.iter().enumerate() {
            let (of_a, of) = widened(&a, name, &union);
            let (of_b, _) = widened(&b, name, &union);
            check_against(&of_a, &of, name, &all, &first)?;
            check_against(&of_b, &of, name, &all, &second)?;
            let column = &whole.columns[place];
            prop_assert_eq!(of_a.to_data(), column.array(0, first.len(), Arc::clone).to_data());
            prop_assert_eq!(of_b.to_data(), column.array(first.len(), second.len(), Arc::clone).to_data());
        }
    }

    #[test]
    fn converting_in_steps_is_converting_at_once(pages in three_pages(), seed in any::<u64>()) {
        let [first, second, third] = pages;
        let [a, b, c] = [&first, &second, &third].map(|records| decode(records, seed));
        let half_way = united(&a.shape, &b.shape);
        let union = united(&half_way, &c.shape);
        let all: Vec<&Json> = first.iter().chain(&second).chain(&third).collect();
        for (name, _) in &half_way.fields {
            let (step, between) = widened(&a, name, &half_way);
            let (at_once, of) = widened(&a, name, &union);
            let stepped = convert(&step, &between, &of);
            prop_assert_eq!(stepped.to_data(), at_once.to_data(), "{}", name);
            check_against(&stepped, &of, name, &all, &first)?;
        }
    }
}

#[test]
fn a_list_that_gets_its_first_element_is_new() {
    let mut shape = Shape::of_kinds(Kinds::LIST);
    let element = Some(Box::new(Shape::of_kinds(Kinds::DOUBLE)));
    let list_of_doubles = Shape { element, ..Shape::of_kinds(Kinds::LIST) };
    assert!(shape.unite(&list_of_doubles, NESTING), "{shape:?}");
    assert!(!shape.unite(&list_of_doubles, NESTING));
}

#[test]
fn strings_are_timestamps_only_while_one_form_gives_all_of_them_back() {
    let of = |fractions: &[&str]| {
        let records: Vec<Json> = fractions
            .iter()
            .map(|fraction| Json::Text(format!("2026-02-28T23:59:59{fraction}")))
            .map(|text| Json::Object(vec![("t".into(), text)]))
            .collect();
        let batch = decode(&records, 1);
        let all: Vec<&Json> = records.iter().collect();
        let of = field(&batch.shape, "t").column_type();
        check_against(&batch.columns[0].to_array(), &of, "t", &all, &records)
            .expect("the text is given back");
        matches!(of, ColumnType::Timestamp(_))
    };
    assert!(of(&["Z", "Z"]) && of(&["+00:00"]) && of(&[".1Z", ".2Z"]));
    assert!(of(&["Z", ".120Z"]) && of(&["Z", ".12Z", ".123456Z"]) && of(&[".000Z", ".120Z"]));
    assert!(
        of(&["Z", ".1234567Z"]) && of(&[".123456789Z", ".000000000Z"]) && of(&["Z", ".12Z", ".12345678Z"])
    );
    assert!(!of(&["Z", "+00:00"]) && !of(&["Z", ".000Z"]) && !of(&[".12Z", ".120Z"]));
    assert!(!of(&["Z", ".120Z", ".5Z"]) && !of(&[".1234567890Z"]) && !of(&["-00:00"]) && !of(&["z"]));
}
