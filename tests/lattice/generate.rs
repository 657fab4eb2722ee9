//! Random records: what they mean and, made from that and a seed, how they are written.

use proptest::prelude::*;

use crate::json::Json;

/// What the values of one field are like, so that columns are not all text.
#[derive(Debug, Clone)]
pub(crate) enum Flavor {
    Nulls,
    Bools,
    Ints,
    WideInts,
    Doubles,
    /// Numbers of every kind.
    Numbers,
    Timestamps(Spelling),
    Strings,
    /// Strings of any spelling, timestamps among them.
    AnyStrings,
    Object(Vec<(String, Flavor)>),
    List(Box<Flavor>),
    /// One of several.
    Mixed(Vec<Flavor>),
}

/// How the timestamps of a field are spelled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spelling {
    digits: Digits,
    suffix: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Digits {
    Always(usize),
    OrNone(usize),
    Trimmed,
}

pub(crate) const KEYS: [&str; 12] =
    ["a", "b", "c", "id.orig_h", "ключ", "a/b", "m~n", "quo\"te", "back\\slash", "", "tab\t", "😀"];

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(KEYS.as_slice()).prop_map(str::to_owned)
}

fn spelling() -> impl Strategy<Value = Spelling> {
    let digits = prop_oneof![
        (0_usize..=9).prop_map(Digits::Always),
        (1_usize..=9).prop_map(Digits::OrNone),
        Just(Digits::Trimmed)
    ];
    (digits, prop::sample::select(["Z", "+00:00"].as_slice()))
        .prop_map(|(digits, suffix)| Spelling { digits, suffix })
}

/// Fields with distinct keys.
fn fields(of: impl Strategy<Value = Flavor> + 'static, most: usize) -> BoxedStrategy<Vec<(String, Flavor)>> {
    prop::collection::vec((key(), of), 0..most)
        .prop_map(|mut fields| {
            let mut seen = Vec::new();
            fields.retain(|(key, _)| {
                let is_new = !seen.contains(key);
                seen.push(key.clone());
                is_new
            });
            fields
        })
        .boxed()
}

fn flavor() -> impl Strategy<Value = Flavor> + Clone {
    let leaf = prop_oneof![
        1 => Just(Flavor::Nulls),
        2 => Just(Flavor::Bools),
        3 => Just(Flavor::Ints),
        1 => Just(Flavor::WideInts),
        3 => Just(Flavor::Doubles),
        2 => Just(Flavor::Numbers),
        4 => spelling().prop_map(Flavor::Timestamps),
        2 => Just(Flavor::Strings),
        1 => Just(Flavor::AnyStrings),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            3 => fields(inner.clone(), 5).prop_map(Flavor::Object),
            3 => inner.clone().prop_map(|inner| Flavor::List(Box::new(inner))),
            2 => prop::collection::vec(inner, 2..4).prop_map(Flavor::Mixed),
        ]
    })
}

/// The fields that the records of one source have.
pub(crate) fn source() -> BoxedStrategy<Vec<(String, Flavor)>> {
    fields(flavor(), 8)
}

/// Records of one source.
pub(crate) fn records_of(
    source: &[(String, Flavor)],
    count: std::ops::Range<usize>,
) -> BoxedStrategy<Vec<Json>> {
    prop::collection::vec(object(source), count).boxed()
}

/// Records of one random source.
pub(crate) fn records(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Json>> {
    source().prop_flat_map(move |source| records_of(&source, count.clone()))
}

/// An object with some of these fields, in any order.
fn object(fields: &[(String, Flavor)]) -> BoxedStrategy<Json> {
    let members: Vec<_> = fields
        .iter()
        .map(|(key, flavor)| (Just(key.clone()), value(flavor)))
        .map(|member| prop::option::weighted(0.85, member))
        .collect();
    let is_shuffled = prop::bool::weighted(0.3);
    (members, is_shuffled, any::<u64>())
        .prop_map(|(members, is_shuffled, seed)| {
            let mut members: Vec<_> = members.into_iter().flatten().collect();
            if is_shuffled {
                let mut dice = Dice(seed);
                members.sort_by_cached_key(|_| dice.roll());
            }
            Json::Object(members)
        })
        .boxed()
}

fn value(flavor: &Flavor) -> BoxedStrategy<Json> {
    let value = match flavor {
        Flavor::Nulls => Just(Json::Null).boxed(),
        Flavor::Bools => any::<bool>().prop_map(Json::Bool).boxed(),
        Flavor::Ints => small_int().boxed(),
        Flavor::WideInts => wide_int().boxed(),
        Flavor::Doubles => prop_oneof![3 => double(), 1 => small_int()].boxed(),
        Flavor::Numbers => {
            prop_oneof![3 => small_int(), 1 => wide_int(), 1 => huge_int(), 2 => double()].boxed()
        }
        Flavor::Timestamps(spelling) => timestamp(*spelling).boxed(),
        Flavor::Strings => text().boxed(),
        Flavor::AnyStrings => {
            prop_oneof![text(), spelling().prop_flat_map(timestamp), odd_timestamp()].boxed()
        }
        Flavor::Object(fields) => object(fields),
        Flavor::List(element) => prop::collection::vec(value(element), 0..4).prop_map(Json::List).boxed(),
        Flavor::Mixed(flavors) => prop::strategy::Union::new(flavors.iter().map(value)).boxed(),
    };
    prop_oneof![9 => value, 1 => Just(Json::Null)].boxed()
}

fn small_int() -> impl Strategy<Value = Json> {
    let edge = 1_i64 << 53;
    prop_oneof![3 => -1_000_i64..1_000, 1 => Just(0), 1 => -edge..=edge, 1 => Just(edge), 1 => Just(-edge)]
        .prop_map(Json::Int)
}

fn wide_int() -> impl Strategy<Value = Json> {
    let edge = 1_i64 << 53;
    prop_oneof![any::<i64>(), Just(edge + 1), Just(-edge - 1), Just(i64::MAX), Just(i64::MIN)]
        .prop_map(Json::Int)
}

fn huge_int() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just("9223372036854775808".to_owned()),
        Just("-9223372036854775809".to_owned()),
        Just("18446744073709551615".to_owned()),
        Just("18446744073709551616".to_owned()),
        "-?[1-9][0-9]{39}",
    ]
    .prop_map(Json::Huge)
}

fn double() -> impl Strategy<Value = Json> {
    let finite = any::<f64>().prop_filter("JSON has no infinities", |value| value.is_finite());
    let edges =
        [0.0, -0.0, 1.0, 1e308, -1e308, 5e-324, f64::MAX, 1e15, 1e16, 1e21, 0.1, 9_007_199_254_740_993.0];
    prop_oneof![2 => finite, 2 => -1e3..1e3, 3 => prop::sample::select(edges.to_vec())].prop_map(Json::Double)
}

fn text() -> impl Strategy<Value = Json> {
    let odd =
        ["", " ", "null", "true", "1", "1.5", "{}", "[1]", "\"", "\\", "\u{0}\u{1f}\u{7f}", "\u{2028}/"];
    prop_oneof![
        prop::sample::select(odd.to_vec()).prop_map(str::to_owned),
        "[ -~]{0,12}",
        prop::collection::vec(any::<char>(), 0..6).prop_map(|text| text.into_iter().collect()),
    ]
    .prop_map(Json::Text)
}

fn clock() -> impl Strategy<Value = String> {
    let seconds =
        prop_oneof![-62_167_219_200_i64..253_402_300_800, 1_700_000_000_i64..1_800_000_000, Just(0)];
    seconds.prop_map(|seconds| {
        let instant = chrono::DateTime::from_timestamp(seconds, 0).expect("the years 0 to 9999");
        instant.format("%Y-%m-%dT%H:%M:%S").to_string()
    })
}

fn timestamp(Spelling { digits, suffix }: Spelling) -> impl Strategy<Value = Json> {
    (clock(), "[0-9]{9}", prop::bool::weighted(0.3)).prop_map(move |(clock, fraction, is_whole)| {
        let fraction = if is_whole { "000000000" } else { fraction.as_str() };
        let digits = match digits {
            Digits::Always(count) => &fraction[..count],
            Digits::OrNone(count) if fraction[..count].bytes().all(|digit| digit == b'0') => "",
            Digits::OrNone(count) => &fraction[..count],
            Digits::Trimmed => fraction.trim_end_matches('0'),
        };
        let point = if digits.is_empty() { "" } else { "." };
        Json::Text(format!("{clock}{point}{digits}{suffix}"))
    })
}

fn odd_timestamp() -> impl Strategy<Value = Json> {
    let odd = [
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.1234567890Z",
        "2026-01-01T00:00:00.1234567Z",
        "2026-01-01T00:00:00+01:00",
        "2026-01-01T00:00:00-00:00",
        "2026-02-29T00:00:00Z",
        "2024-02-29T00:00:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01t00:00:00z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01",
    ];
    prop::sample::select(odd.to_vec()).prop_map(|text| Json::Text(text.to_owned()))
}

/// A small generator of numbers (SplitMix64), for choices that need not shrink.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.roll().is_multiple_of(count)
    }

    pub(crate) fn pick<'a>(&mut self, among: &[&'a str]) -> &'a str {
        among[(self.roll() % among.len() as u64) as usize]
    }
}
