//! Random records come out of their columns as they went in, and refused ones leave nothing behind.

use std::sync::LazyLock;

use etl::config::{FieldPath, Projection, TransformConfig};
use etl::model::{DeclaredForm, PageBatch, Reject};
use etl::transform::{Chunk, Filter, decode_within};
use proptest::prelude::*;

use crate::generate::{Dice, KEYS, records};
use crate::json::Json;
use crate::page::{checked, decode_plain, page, plain_config, raw, transform};
use crate::reference::check_page;
use crate::write::{Layout, layout_of_texts, write_line, write_records};

/// Compiling it takes longer than a page of these.
static IDENTITY: LazyLock<Filter> = LazyLock::new(|| Filter::compile(".").unwrap());

const LAYOUTS: [Layout; 3] = [Layout::Array, Layout::Lines, Layout::Concatenated];

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases: count, ..ProptestConfig::default() }
}

fn layout() -> impl Strategy<Value = Layout> {
    prop::sample::select(LAYOUTS.as_slice())
}

/// A record that must be refused, as text on one line, and the pointer to the fault where it is known.
#[derive(Debug, Clone)]
struct Wrong {
    text: String,
    pointer: Option<&'static str>,
}

fn wrong(layout: Layout) -> BoxedStrategy<Wrong> {
    let deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
    let inside = vec![
        (r#""a":"\udc00""#.to_owned(), Some("/a")),
        (r#""b":["\ud800x"]"#.to_owned(), Some("/b/0")),
        (r#""bad":{"m~n":{"a/b":1e999}}"#.to_owned(), Some("/bad/m~0n/a~1b")),
        (r#""a":-1e400"#.to_owned(), Some("/a")),
        (format!(r#""c":{deep}"#), None),
        (format!(r#""new":{{"x":{deep}}}"#), None),
        (r#""values":[1,null,"2",{}]"#.to_owned(), Some("/values/3")),
        (r#""values":[0.5,["1"]]"#.to_owned(), Some("/values/1")),
        (r#""values":[9007199254740993]"#.to_owned(), Some("/values/0")),
        (r#""values":7"#.to_owned(), Some("/values")),
    ];
    let broken =
        vec![r#""a":"#, r#""a":1,"#, r#""a":tru"#, r#""b" 1"#, r#""b":01"#, r#""c":"\x""#, r#""a":[1"#];
    let member = prop::sample::select(inside);
    let wrong_inside = (records(1..2), any::<u64>(), member, any::<bool>()).prop_map(
        |(records, seed, (member, pointer), is_first)| {
            let text = write_line(&records[0], seed);
            let members = text[1..text.len() - 1].trim_matches([' ', '\t']);
            // What stands behind the fault must be judged, or forgotten, like what stands before.
            let has_twin =
                ["a", "b", "c"].iter().any(|key| member[1..].starts_with(key) && &member[2..3] == "\"");
            let is_first = is_first && !has_twin;
            let text = match (members.is_empty(), is_first) {
                (true, _) => format!("{{{member}}}"),
                (false, true) => format!("{{{member},{members}}}"),
                (false, false) => format!("{{{members},{member}}}"),
            };
            Wrong { text, pointer }
        },
    );
    let scalar = prop::sample::select(vec!["1", "null", "true", r#""text""#, "[]", r#"[{"a":1}]"#])
        .prop_map(|text| Wrong { text: text.to_owned(), pointer: Some("") });
    let wrong_syntax =
        (records(1..2), any::<u64>(), prop::sample::select(broken)).prop_map(|(records, seed, member)| {
            let text = write_line(&records[0], seed);
            let members = text[1..text.len() - 1].trim_matches([' ', '\t']);
            let comma = if members.is_empty() { "" } else { "," };
            Wrong { text: format!("{{{members}{comma}{member}}}"), pointer: None }
        });
    match layout {
        Layout::Lines => prop_oneof![4 => wrong_inside, 1 => scalar, 2 => wrong_syntax].boxed(),
        Layout::Array => prop_oneof![4 => wrong_inside, 1 => scalar].boxed(),
        Layout::Concatenated => wrong_inside.boxed(),
    }
}

/// Good records, some with a right list of numbers.
fn good() -> impl Strategy<Value = Vec<String>> {
    let lists = ["[]", "[1]", "[1,2,4]", "null", r#"["NaN",1," 2.5 "]"#, "[null,1e308,1e308]"];
    let list = prop::option::of(prop::sample::select(lists.to_vec()));
    records(0..5).prop_flat_map(move |records| {
        let count = records.len();
        (Just(records), prop::collection::vec((any::<u64>(), list.clone()), count)).prop_map(
            |(records, with)| {
                records.iter().zip(with).map(|(record, (seed, list))| with_list(record, seed, list)).collect()
            },
        )
    })
}

fn with_list(record: &Json, seed: u64, list: Option<&str>) -> String {
    let text = write_line(record, seed);
    match list {
        Some(list) if text.ends_with("{}") => format!(r#"{{"values":{list}}}"#),
        Some(list) if *record != Json::Object(Vec::new()) => {
            format!(r#"{},"values":{list}}}"#, &text[..text.len() - 1])
        }
        _ => text,
    }
}

/// The record with the fields that are kept, of which `nested` has no member `inside`.
fn without(record: &Json, nested: &str, inside: &str, is_kept: impl Fn(&str) -> bool) -> Json {
    let Json::Object(members) = record else { unreachable!("records are objects") };
    let kept = members.iter().filter(|(key, _)| is_kept(key)).map(|(key, value)| match value {
        Json::Object(members) if key == nested => {
            let members = members.iter().filter(|(key, _)| key != inside).cloned().collect();
            (key.clone(), Json::Object(members))
        }
        value => (key.clone(), value.clone()),
    });
    Json::Object(kept.collect())
}

/// Whether this field is a list, of which no member can be left out.
fn holds_list(record: &Json, key: &str) -> bool {
    let Json::Object(members) = record else { unreachable!("records are objects") };
    members.iter().any(|(name, value)| name == key && matches!(value, Json::List(_)))
}

fn decode_texts(
    texts: &[String],
    layout: Layout,
    seed: u64,
) -> (PageBatch, String, Vec<std::ops::Range<usize>>) {
    let (body, places) = layout_of_texts(texts, layout, &mut Dice(seed));
    let form = if layout == Layout::Lines { DeclaredForm::Ndjson } else { DeclaredForm::Unknown };
    let outcome = checked(transform(&page(body.clone(), form), &TransformConfig::default()));
    let batch = outcome.unwrap_or_else(|fault| panic!("{body}\n{fault:?}"));
    (batch, body, places)
}

/// The columns, features and counts that rejects must not touch.
fn check_traces(with_rejects: &PageBatch, without: &PageBatch) -> Result<(), TestCaseError> {
    prop_assert_eq!(&with_rejects.shape, &without.shape);
    prop_assert_eq!(with_rejects.row_count, without.row_count);
    for (ours, theirs) in with_rejects.columns.iter().zip(&without.columns) {
        prop_assert_eq!(ours.to_array().to_data(), theirs.to_array().to_data());
    }
    for (ours, theirs) in with_rejects.features.iter().zip(&without.features) {
        prop_assert_eq!(ours.is_seen, theirs.is_seen);
        for (ours, theirs) in ours.columns.iter().zip(&theirs.columns) {
            prop_assert_eq!(ours.to_data(), theirs.to_data());
        }
    }
    prop_assert_eq!(with_rejects.duplicate_key_count, without.duplicate_key_count);
    prop_assert_eq!(with_rejects.overflow_count, without.overflow_count);
    Ok(())
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn every_value_is_in_its_column_as_the_lattice_says(
        records in records(1..8),
        layout in layout(),
        seed in any::<u64>(),
    ) {
        let records: Vec<&Json> = records.iter().collect();
        let written = write_records(&records, layout, seed);
        let form = if layout == Layout::Lines { DeclaredForm::Ndjson } else { DeclaredForm::Unknown };
        let batch = decode_plain(&page(written.body.clone(), form));
        let batch = batch.map_err(|fault| TestCaseError::fail(format!("{}\n{fault:?}", written.body)))?;
        prop_assert!(batch.rejects.is_empty(), "{}\n{:?}", written.body, batch.rejects);
        if let Err(wrong) = check_page(&records, &batch) {
            return Err(TestCaseError::fail(format!("{}\n{wrong}", written.body)));
        }
        prop_assert_eq!(batch.duplicate_key_count, written.duplicate_key_count);
    }

    #[test]
    fn fields_that_are_left_out_are_as_if_they_had_not_been_there(
        records in records(1..8),
        fields in prop::collection::vec(prop::sample::select(KEYS.as_slice()), 1..3),
        inside in prop::sample::select(KEYS.as_slice()),
        is_selection in any::<bool>(),
        layout in layout(),
        seed in any::<u64>(),
    ) {
        // Of each top-level field that is named, or of the others; and of one field inside of one of them.
        let is_kept = |key: &str| fields.contains(&key) == is_selection;
        let nested = fields[0];
        let kept: Vec<Json> = records.iter().map(|record| without(record, nested, inside, is_kept)).collect();
        prop_assume!(!records.iter().any(|record| holds_list(record, nested) && is_kept(nested)));
        let path = |key: &&str| FieldPath::Key((*key).to_owned());
        let below = FieldPath::Pointer(vec![nested.to_owned(), inside.to_owned()]);
        let named = fields.iter().enumerate().filter(|(place, key)| !fields[..*place].contains(key));
        let named: Vec<_> = named.map(|(_, key)| path(key)).collect();
        let projection = match is_selection {
            true => Projection { select: named, drop: vec![below], ..Projection::default() },
            false => Projection { drop: named, ..Projection::default() },
        };
        let config = TransformConfig { projection: projection.into(), ..plain_config() };
        let written = write_records(&records.iter().collect::<Vec<_>>(), layout, seed);
        let form = if layout == Layout::Lines { DeclaredForm::Ndjson } else { DeclaredForm::Unknown };
        let batch = checked(transform(&page(written.body.clone(), form), &config));
        let batch = batch.map_err(|fault| TestCaseError::fail(format!("{}\n{fault:?}", written.body)))?;
        if let Err(wrong) = check_page(&kept.iter().collect::<Vec<_>>(), &batch) {
            return Err(TestCaseError::fail(format!("{}\n{:?}\n{wrong}", written.body, config.projection)));
        }
    }

    #[test]
    fn a_refused_record_leaves_no_trace(
        good in good(),
        wrong in layout().prop_flat_map(|layout| {
            let placed = (any::<prop::sample::Index>(), wrong(layout));
            (Just(layout), prop::collection::vec(placed, 1..5))
        }),
        seed in any::<u64>(),
    ) {
        let (layout, wrong) = wrong;
        let mut texts: Vec<(String, Option<Wrong>)> = good.iter().map(|text| (text.clone(), None)).collect();
        for (index, wrong) in wrong {
            texts.insert(index.index(texts.len() + 1), (wrong.text.clone(), Some(wrong)));
        }
        let mut good = good;
        let begins_with_object = |place: usize| texts.get(place).is_none_or(|(text, _)| text.starts_with('{'));
        if layout == Layout::Lines && !(begins_with_object(0) && begins_with_object(1)) {
            // Lines are told by their first two bytes `{`; the form of pages has tests of its own.
            texts.insert(0, ("{}".into(), None));
            good.insert(0, "{}".into());
        }
        let all: Vec<String> = texts.iter().map(|(text, _)| text.clone()).collect();
        let (with_rejects, body, places) = decode_texts(&all, layout, seed);
        let (without, ..) = decode_texts(&good, Layout::Array, seed);
        prop_assert!(without.rejects.is_empty(), "{:?}", without.rejects);
        check_traces(&with_rejects, &without)?;

        let refused: Vec<_> = texts.iter().enumerate().filter(|(_, (_, wrong))| wrong.is_some()).collect();
        prop_assert_eq!(with_rejects.rejects.len(), refused.len(), "{}\n{:?}", body, with_rejects.rejects);
        for (reject, (index, (text, wrong))) in with_rejects.rejects.iter().zip(refused) {
            prop_assert_eq!(reject.record, index as u64);
            prop_assert_eq!(String::from_utf8_lossy(raw(reject)), text.as_str());
            prop_assert_eq!(reject.byte_offset, places[index].start as u64);
            if let Some(pointer) = wrong.as_ref().and_then(|wrong| wrong.pointer) {
                prop_assert_eq!(reject.pointer.as_str(), pointer, "{}", text);
            }
        }
    }

    #[test]
    fn filter_that_changes_nothing_changes_nothing(
        good in good(),
        wrong in prop::collection::vec((any::<prop::sample::Index>(), wrong(Layout::Array)), 0..4),
        seed in any::<u64>(),
    ) {
        let mut texts = good;
        for (index, wrong) in wrong {
            texts.insert(index.index(texts.len() + 1), wrong.text);
        }
        let (without, body, _) = decode_texts(&texts, Layout::Array, seed);
        let config = TransformConfig { jq: Some(".".into()), ..TransformConfig::default() };
        let chunk = Chunk::whole(body.clone().into(), DeclaredForm::Unknown, true);
        let decoded = decode_within(usize::MAX, chunk, &config, Some(&*IDENTITY));
        let batch = decoded.map_err(|fault| TestCaseError::fail(format!("{body}\n{fault:?}")))?.batch;
        check_traces(&batch, &without)?;
        let rejects = batch.rejects.into_iter().zip(&without.rejects).map(|(ours, theirs)| Reject {
            reason: ours.reason.trim_start_matches("--jq: result 1: ").to_owned(),
            // Where a key stands twice, what is nested too deep is found without its place.
            pointer: if theirs.pointer.is_empty() { String::new() } else { ours.pointer },
            ..ours
        });
        let rejects: Vec<_> = rejects.collect();
        prop_assert_eq!(batch.record_count, without.record_count);
        prop_assert_eq!(rejects, without.rejects, "{}", body);
    }

    #[test]
    fn bytes_that_are_no_utf8_reject_their_record_alone(
        good in good(),
        place in any::<prop::sample::Index>(),
        byte in 0x80_u8..,
        layout in layout(),
        seed in any::<u64>(),
    ) {
        let place = place.index(good.len() + 1);
        let mut texts = good.clone();
        texts.insert(place, r#"{"x":{"y":["?"]},"z":1}"#.to_owned());
        let (body, places) = layout_of_texts(&texts, layout, &mut Dice(seed));
        let mut body = body.into_bytes();
        let offset = places[place].start + 12;
        prop_assert_eq!(body[offset], b'?');
        body[offset] = byte;
        let form = if layout == Layout::Lines { DeclaredForm::Ndjson } else { DeclaredForm::Unknown };
        let outcome = checked(transform(&page(body.clone(), form), &TransformConfig::default()));
        let batch = outcome.map_err(|fault| TestCaseError::fail(format!("{fault:?}")))?;
        let (without, ..) = decode_texts(&good, Layout::Array, seed);
        check_traces(&batch, &without)?;
        prop_assert_eq!(batch.rejects.len(), 1);
        prop_assert_eq!(batch.rejects[0].record, place as u64);
        prop_assert_eq!(batch.rejects[0].byte_offset, places[place].start as u64);
        prop_assert_eq!(raw(&batch.rejects[0]), &body[places[place].clone()]);
    }
}
