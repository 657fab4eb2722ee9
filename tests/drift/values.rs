//! What a field holds, and how that changes from page to page.

use std::ops::Range;

use fastrand::Rng;

use crate::json::Json;

/// The list that is summarised by its own name.
pub(crate) const VALUES: &str = "values";
/// The list that is summarised inside an object.
pub(crate) const NESTED_VALUES: [&str; 2] = ["deep", "v"];

/// Few names, so that sources, objects and pages mean different things by one of them.
const NAMES: [&str; 9] = ["a", "b", "c", "id.orig_h", "ключ", "m~n/o", "quo\"te", "", "😀"];

/// How deep objects and lists may stand in each other.
const DEPTH_MAX: usize = 3;

/// A member of records or of objects.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    name: String,
    /// The pages that have it: it may come late, and vanish again.
    pages: Range<usize>,
    /// It is in one object of so many.
    one_in: usize,
    course: Course,
}

/// The kinds of values of a field, each with the pages in which it is met. Where no kind is, there are nulls.
#[derive(Debug, Clone)]
struct Course(Vec<(Range<usize>, Kind)>);

/// What values are like.
#[derive(Debug, Clone)]
enum Kind {
    Null,
    Bool,
    Int,
    /// An integer that no double holds.
    WideInt,
    /// An integer beyond 64 bits.
    HugeInt,
    Double,
    Timestamp(Spelling),
    Text,
    List(Box<Course>),
    Object(Vec<Field>),
    /// An object whose keys are data: the later the page, the more of them have been met.
    Labels(Box<Course>),
    /// A list that is summarised.
    Numbers,
}

/// How the timestamps of a field are spelled.
#[derive(Debug, Clone, Copy)]
struct Spelling {
    digits: Digits,
    suffix: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Digits {
    Always(usize),
    OrNone(usize),
    /// Up to so many, without zeros at the end.
    Trimmed(usize),
}

impl Field {
    /// The fields of one source of records, some of which are summarised.
    pub(crate) fn of_source(rng: &mut Rng, page_count: usize, has_nested_values: bool) -> Vec<Self> {
        let mut fields = Self::of_object(rng, 1..8, 0, page_count);
        if rng.u8(..3) > 0 {
            fields.push(Self::called(VALUES, rng, page_count, Course::always(Kind::Numbers)));
        }
        if has_nested_values && rng.u8(..4) > 0 {
            let mut stages = Course::random(rng, 1, page_count).0;
            // What else stands here has no member of this name: a summarised one must be a list.
            let mut members = Self::of_object(rng, 0..4, 1, page_count);
            members.push(Self::called(NESTED_VALUES[1], rng, page_count, Course::always(Kind::Numbers)));
            stages.push((pages(rng, page_count), Kind::Object(members)));
            fields.push(Self::called(NESTED_VALUES[0], rng, page_count, Course(stages)));
        }
        rng.shuffle(&mut fields);
        fields
    }

    fn of_object(rng: &mut Rng, count: Range<usize>, depth: usize, page_count: usize) -> Vec<Self> {
        let count = rng.usize(count);
        rng.choose_multiple(NAMES, count)
            .into_iter()
            .map(|name| {
                let course = Course::random(rng, depth, page_count);
                Self::called(name, rng, page_count, course)
            })
            .collect()
    }

    fn called(name: &str, rng: &mut Rng, page_count: usize, course: Course) -> Self {
        let one_in = [1, 1, 1, 2, 8, 50][rng.usize(..6)];
        Self { name: name.to_owned(), pages: pages(rng, page_count), one_in, course }
    }

    /// The members that an object of this page has, in an order of its own now and then.
    pub(crate) fn members(fields: &[Self], rng: &mut Rng, page: usize) -> Vec<(String, Json)> {
        let mut members = Vec::new();
        for field in fields.iter().filter(|field| field.pages.contains(&page)) {
            if rng.usize(..field.one_in) == 0 {
                members.push((field.name.clone(), field.course.value(rng, page)));
            }
        }
        if rng.u8(..5) == 0 {
            rng.shuffle(&mut members);
        }
        members
    }
}

/// From the first page or a later one on, mostly up to the last one.
fn pages(rng: &mut Rng, page_count: usize) -> Range<usize> {
    let start = if rng.bool() { 0 } else { rng.usize(..page_count) };
    let end = if rng.u8(..3) > 0 { page_count } else { rng.usize(start..page_count) + 1 };
    start..end
}

impl Course {
    fn always(kind: Kind) -> Self {
        Self(vec![(0..usize::MAX, kind)])
    }

    fn random(rng: &mut Rng, depth: usize, page_count: usize) -> Self {
        let first = Kind::random(rng, depth, page_count);
        let mut others = Vec::new();
        for _ in 0..rng.usize(..3) {
            // Kinds that have a type in common are more telling than those that are text together.
            others.push(match rng.u8(..5) {
                0 => Kind::random(rng, depth, page_count),
                _ => first.kindred(rng, depth, page_count),
            });
        }
        if others.is_empty() {
            return Self::always(first);
        }
        others.push(first);
        rng.shuffle(&mut others);
        Self(others.into_iter().map(|kind| (pages(rng, page_count), kind)).collect())
    }

    fn value(&self, rng: &mut Rng, page: usize) -> Json {
        let kinds: Vec<&Kind> =
            self.0.iter().filter(|(pages, _)| pages.contains(&page)).map(|(_, kind)| kind).collect();
        match rng.choice(kinds) {
            Some(kind) if rng.u8(..12) > 0 => kind.value(rng, page),
            _ => Json::Null,
        }
    }
}

impl Kind {
    fn random(rng: &mut Rng, depth: usize, page_count: usize) -> Self {
        let kinds = if depth < DEPTH_MAX { 17 } else { 11 };
        match rng.u8(..kinds) {
            0 => Self::Null,
            1 => Self::Bool,
            2 | 3 => Self::Int,
            4 => Self::WideInt,
            5 => Self::HugeInt,
            6 => Self::Double,
            7..=9 => Self::Timestamp(Spelling::random(rng)),
            10 => Self::Text,
            11 | 12 => Self::List(Box::new(Course::random(rng, depth + 1, page_count))),
            13..=15 => Self::Object(Field::of_object(rng, 0..5, depth + 1, page_count)),
            _ => Self::Labels(Box::new(Course::random(rng, depth + 1, page_count))),
        }
    }

    /// A kind that shares a type with this one, or whose text is easily taken for the text of this one.
    fn kindred(&self, rng: &mut Rng, depth: usize, page_count: usize) -> Self {
        match self {
            Self::Int | Self::WideInt | Self::HugeInt | Self::Double => match rng.u8(..7) {
                0 => Self::WideInt,
                1 => Self::HugeInt,
                6 => Self::Text,
                2 | 3 => Self::Int,
                _ => Self::Double,
            },
            Self::Timestamp(spelling) if rng.u8(..4) > 0 => {
                Self::Timestamp(Spelling { digits: spelling.digits.related(rng), ..*spelling })
            }
            Self::Timestamp(_) => Self::Text,
            Self::List(_) if rng.bool() => Self::List(Box::new(Course::always(Self::Null))),
            Self::List(_) => Self::List(Box::new(Course::random(rng, depth + 1, page_count))),
            Self::Object(_) | Self::Labels(_) => match rng.u8(..4) {
                0 => Self::Object(Vec::new()),
                1 => Self::Labels(Box::new(Course::random(rng, depth + 1, page_count))),
                _ => Self::Object(Field::of_object(rng, 0..4, depth + 1, page_count)),
            },
            Self::Null | Self::Bool | Self::Text | Self::Numbers => match rng.u8(..3) {
                0 => Self::Null,
                1 => Self::Int,
                _ => Self::Text,
            },
        }
    }

    fn value(&self, rng: &mut Rng, page: usize) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool => Json::Bool(rng.bool()),
            Self::Int => Json::Int(int(rng)),
            Self::WideInt => Json::Int(wide_int(rng)),
            Self::HugeInt => Json::Huge(huge_int(rng)),
            Self::Double => Json::Double(double(rng)),
            Self::Timestamp(spelling) => Json::Text(spelling.timestamp(rng)),
            Self::Text => Json::Text(text(rng)),
            Self::List(course) => Json::List((0..rng.usize(..4)).map(|_| course.value(rng, page)).collect()),
            Self::Object(fields) => Json::Object(Field::members(fields, rng, page)),
            Self::Labels(course) => {
                let count = rng.usize(..3);
                let keys = rng.choose_multiple(0..page + 2, count);
                let members = keys.into_iter().map(|key| (format!("k{key}"), course.value(rng, page)));
                Json::Object(members.collect())
            }
            Self::Numbers if rng.u8(..10) == 0 => Json::Null,
            Self::Numbers => Json::List((0..rng.usize(..5)).map(|_| number(rng)).collect()),
        }
    }
}

impl Spelling {
    fn random(rng: &mut Rng) -> Self {
        let digits = match rng.u8(..4) {
            0 => Digits::OrNone(rng.usize(1..=9)),
            1 => Digits::Trimmed(rng.usize(1..=9)),
            _ => Digits::Always(rng.usize(..=9)),
        };
        Self { digits, suffix: if rng.u8(..4) == 0 { "+00:00" } else { "Z" } }
    }

    fn timestamp(self, rng: &mut Rng) -> String {
        let seconds = match rng.u8(..40) {
            // Beyond what nanoseconds reach, but no year 0, which not all calendars have.
            0 => rng.i64(-62_135_596_800..253_402_300_800),
            1..=5 => rng.i64(-9_000_000_000..9_000_000_000),
            _ => rng.i64(1_700_000_000..1_800_000_000),
        };
        let clock = chrono::DateTime::from_timestamp(seconds, 0).expect("the years 1 to 9999");
        let fraction = if rng.u8(..3) == 0 { 0 } else { rng.u32(..1_000_000_000) };
        let fraction = format!("{fraction:09}");
        let is_zero = |digits: &str| digits.bytes().all(|digit| digit == b'0');
        let digits = match self.digits {
            Digits::OrNone(count) if is_zero(&fraction[..count]) => "",
            Digits::Always(count) | Digits::OrNone(count) => &fraction[..count],
            Digits::Trimmed(count) => fraction[..count].trim_end_matches('0'),
        };
        let point = if digits.is_empty() { "" } else { "." };
        format!("{}{point}{digits}{}", clock.format("%Y-%m-%dT%H:%M:%S"), self.suffix)
    }
}

impl Digits {
    /// Digits that share some spelling with these, or did until one value too many.
    fn related(self, rng: &mut Rng) -> Self {
        match self {
            Self::Always(count) if rng.bool() => Self::OrNone(count.max(1)),
            Self::OrNone(count) if rng.bool() => Self::Always(count),
            Self::Always(_) | Self::OrNone(_) => Self::Always(0),
            Self::Trimmed(_) => Self::Trimmed(rng.usize(1..=9)),
        }
    }
}

fn int(rng: &mut Rng) -> i64 {
    const EDGE: i64 = 1 << 53;
    match rng.u8(..10) {
        0 => [EDGE, -EDGE, 0][rng.usize(..3)],
        1 => rng.i64(-EDGE..=EDGE),
        _ => rng.i64(-1000..1000),
    }
}

fn wide_int(rng: &mut Rng) -> i64 {
    const EDGE: i64 = 1 << 53;
    let sign = if rng.bool() { 1 } else { -1 };
    match rng.u8(..3) {
        0 => sign * (EDGE + 1),
        1 => [i64::MAX, i64::MIN][rng.usize(..2)],
        _ => sign * rng.i64(EDGE..),
    }
}

fn huge_int(rng: &mut Rng) -> String {
    const EDGES: [&str; 4] =
        ["9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616"];
    match rng.u8(..3) {
        0 => format!("{}{:020}", rng.u64(1..), rng.u64(..)),
        _ => EDGES[rng.usize(..EDGES.len())].to_owned(),
    }
}

fn double(rng: &mut Rng) -> f64 {
    const EDGES: [f64; 9] = [0.0, -0.0, 1.0, -3.0, 1e308, 5e-324, 1e16, 0.1, 9_007_199_254_740_993.0];
    match rng.u8(..3) {
        0 => EDGES[rng.usize(..EDGES.len())],
        1 => Some(f64::from_bits(rng.u64(..))).filter(|value| value.is_finite()).unwrap_or(0.5),
        _ => f64::from(rng.i32(-4000..4000)) / 4.0,
    }
}

/// An element of a summarised list: a number whose text is the same as an integer and as a double.
fn number(rng: &mut Rng) -> Json {
    match rng.u8(..8) {
        0 => Json::Null,
        1..=3 => Json::Int(rng.i64(-1000..1000)),
        _ => Json::Double(f64::from(rng.i32(-4000..4000)) / 4.0),
    }
}

fn text(rng: &mut Rng) -> String {
    const ODD: [&str; 16] = [
        "",
        " ",
        "null",
        "true",
        "1",
        "1.50",
        "{}",
        "[1]",
        "\"",
        "\"quoted\"",
        "back\\slash",
        "\u{0}\u{1f}\u{7f}",
        "line\nline\ttab",
        "2026-01-01T00:00:00+01:00",
        "2026-01-01T00:00:00.1234567890Z",
        "ключ 😀",
    ];
    match rng.bool() {
        true => ODD[rng.usize(..ODD.len())].to_owned(),
        false => (0..rng.usize(..10)).map(|_| rng.char('!'..='~')).collect(),
    }
}
