//! `--jq`: a filter in the language of jq, run over one record after the other. With `filter/value.rs` the only import
//! of the jaq crates.
//!
//! A filter sees its record and nothing else: what would read the environment, the clock or other records, or write
//! somewhere, is no part of the language here. It can't run for ever: the evaluation of its terms is counted.
//! What nothing here can stop is one that asks for more memory than there is, or nests a value so deep that the stack
//! is too small to drop it.

mod value;

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use jaq_core::data::HasLut;
use jaq_core::load::{Arena, File, Loader, import, span};
use jaq_core::native::{Fun, run, v};
use jaq_core::{Compiler, Ctx, Cv, DataT, Exn, Lut, RunPtr, ValXs, Vars, load, native, unwrap_valr};
use jaq_json::Val;

use super::decode::Tail;
use super::reader::{Fault, FaultKind, Read, Reader, kind_of_value};
use crate::error::{Error, Result};

/// Definitions that are left out: each writes somewhere, or ends the program.
const DEFS_LEFT_OUT: [&str; 4] = ["debug", "stderr", "halt", "halt_error"];
/// Definitions that stand here in another form.
const DEFS_REPLACED: [&str; 2] = ["del", "delpaths"];
/// Those of jaq put the last key of an object where the deleted one was: columns would change their places. And a path
/// that leads nowhere is no error, as in jq.
const DEFS: &str = r"
def del_path($path):
  if $path[1:] != [] then
    if .[$path[0]] == null then . else .[$path[0]] |= del_path($path[1:]) end
  elif isobject then del_key($path[0])
  elif . == null then .
  else .[$path[0]] |= empty end;
def delpaths($paths): reduce ($paths | sort | reverse)[] as $path
  (.; if $path == [] then null else del_path($path) end);
def del(f): delpaths([path(f)]);
";
/// Native filters that are left out: each reads or writes something beside its record.
const FUNS_LEFT_OUT: [&str; 7] =
    ["debug_empty", "stderr_empty", "halt", "env", "now", "localtime", "strflocaltime"];
/// Native filters that stand here in another form.
const FUNS_REPLACED: [&str; 2] = ["range", "fromjson"];
/// Names that people know from jq and that are not offered.
const NAMES_LEFT_OUT: [&str; 15] = [
    "debug",
    "stderr",
    "halt",
    "halt_error",
    "env",
    "$ENV",
    "now",
    "localtime",
    "strflocaltime",
    "input",
    "inputs",
    "input_filename",
    "input_line_number",
    "$__prog_args",
    "get_search_list",
];

/// Terms that a filter may evaluate for any record: a tenth of a second or so.
const STEPS_MIN: u64 = 1_000_000;
/// Terms more that it may evaluate for each byte of the record.
const STEPS_PER_BYTE: u64 = 64;
/// Stack that a filter may use. Threads have 2 MiB; what it leaves is for the values that are dropped.
const STACK_BYTES_MAX: usize = 1 << 20;
/// Bytes that each result counts as at least: what a row with its features takes, however short its text.
const RESULT_BYTES_MIN: usize = 64;
/// Bytes of an error of the filter that are shown: it quotes values, which may be as large as the record.
const ERROR_BYTES_MAX: usize = 200;

/// A filter that is compiled. It is the same for all threads.
pub struct Filter {
    source: Box<str>,
    program: jaq_core::Filter<Language>,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.source).finish()
    }
}

impl Filter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// The text is no filter, or uses what is not offered: one line says what and where.
    ///
    /// ```
    /// use etl::transform::Filter;
    ///
    /// assert!(Filter::compile("select(.status >= 500) | .path |= ascii_downcase").is_ok());
    /// let error = Filter::compile("{at: now}").unwrap_err();
    /// assert!(error.one_line().starts_with("--jq: `now` at character 6 is left out"));
    /// ```
    pub fn compile(source: &str) -> Result<Self> {
        let arena = Arena::default();
        let loader = Loader::new(defs());
        let modules = loader
            .load(&arena, File { code: source, path: () })
            .and_then(|modules| {
                import(&modules, |_| Err("no module can be imported".to_owned())).map(|()| modules)
            })
            .map_err(|faults| Error::usage(format!("--jq: {}", load_fault(source, &faults))))?;
        let program = Compiler::default()
            .with_funs(funs())
            .compile(modules)
            .map_err(|faults| Error::usage(format!("--jq: {}", unknown_name(source, &faults))))?;
        Ok(Self { source: source.into(), program })
    }

    /// Runs over a record, and puts what comes out in the place of `results`.
    ///
    /// # Errors
    /// The filter fails or does not end, or a result is no object, or they are together larger than `bytes_max`, or a
    /// text that is read as JSON takes more than `room_bytes`. `shows_values` says whether the reason may quote values.
    pub(super) fn run(
        &self,
        record: Record,
        (bytes_max, room_bytes): (usize, usize),
        shows_values: bool,
        results: &mut Results,
    ) -> Read<()> {
        results.clear();
        let steps = Steps::new(STEPS_MIN + STEPS_PER_BYTE * record.bytes as u64, room_bytes);
        let run = catch_unwind(AssertUnwindSafe(|| {
            self.take_results(record.value, &steps, bytes_max, shows_values, results)
        }));
        run.unwrap_or_else(|panic| match panic.downcast::<Stopped>() {
            Ok(stopped) => Err(refused(stopped.reason(&steps))),
            // A defect of jaq, and no reason to lose the other records.
            Err(_) => Err(refused("expected results, got a panic")),
        })
    }

    fn take_results(
        &self,
        record: Val,
        steps: &Steps,
        bytes_max: usize,
        shows_values: bool,
        results: &mut Results,
    ) -> Read<()> {
        let globals = Globals { lut: &self.program.lut, steps };
        let ctx = Ctx::<Language>::new(globals, Vars::new([]));
        for result in self.program.id.run((ctx, record)).map(unwrap_valr) {
            let result = result.map_err(|error| {
                refused(if shows_values { shown(error) } else { "expected results, got an error".to_owned() })
            })?;
            let place = results.ends.len() + 1;
            results.push(&result, bytes_max).map_err(|mut fault| {
                fault.reason = format!("--jq: result {place}: {}", fault.reason);
                fault
            })?;
        }
        Ok(())
    }
}

/// A record as a filter sees it.
pub(super) struct Record {
    value: Val,
    bytes: usize,
    /// Keys that stood twice in one object; the last one won.
    pub(super) duplicate_key_count: u64,
}

impl Record {
    /// Reads the record that `reader` stands before.
    ///
    /// # Errors
    /// It is wrong, anywhere: a filter may use every field. Or its values take more than `room_bytes` of memory.
    pub(super) fn read(reader: &mut Reader<'_>, tail: Tail, room_bytes: usize) -> Read<Self> {
        let first_byte = reader.peek_token();
        let start = reader.position();
        let mut reading = value::Reading::within(room_bytes);
        let value = match first_byte {
            Some(b'{') => Some(value::read(reader, 1, &mut reading)?),
            _ => reader.skip_value().map(|()| None)?,
        };
        if tail == Tail::Nothing {
            reader.expect_end()?;
        }
        let Some(value) = value else {
            let reason = format!("expected an object, got {}", kind_of_value(first_byte));
            return Err(Fault::new(FaultKind::Value, start, reason));
        };
        let duplicate_key_count = reading.duplicate_key_count;
        Ok(Self { value, bytes: reader.position() - start, duplicate_key_count })
    }

    /// The key of the array of objects in it, if there is one and no other.
    pub(super) fn only_array_of_objects(&self) -> Option<String> {
        let Val::Obj(members) = &self.value else { return None };
        let is_array_of_objects = |value: &Val| {
            let Val::Arr(elements) = value else { return false };
            elements.iter().any(|element| matches!(element, Val::Obj(_)))
        };
        let mut arrays = members.iter().filter(|(_, value)| is_array_of_objects(value));
        match (arrays.next(), arrays.next()) {
            (Some((Val::TStr(key), _)), None) => Some(String::from_utf8_lossy(key).into_owned()),
            _ => None,
        }
    }
}

/// What came out of one record, as JSON texts one behind the other.
#[derive(Debug, Default)]
pub(super) struct Results {
    json: Vec<u8>,
    ends: Vec<usize>,
    /// Bytes that they count as.
    size: usize,
}

impl Results {
    fn clear(&mut self) {
        self.json.clear();
        self.ends.clear();
        self.size = 0;
    }

    fn push(&mut self, result: &Val, bytes_max: usize) -> Read<()> {
        let start = self.json.len();
        let too_large = || {
            let reason = format!(
                "expected results of at most {bytes_max} bytes together (--max-record-bytes), got more"
            );
            Fault::new(FaultKind::Value, 0, reason)
        };
        let room = bytes_max.saturating_sub(self.size);
        value::write_record(result, &mut self.json, start + room)?;
        self.size += (self.json.len() - start).max(RESULT_BYTES_MIN);
        if self.size > bytes_max {
            return Err(too_large());
        }
        self.ends.push(self.json.len());
        Ok(())
    }

    /// The texts, in order.
    pub(super) fn texts(&self) -> Vec<&[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.json[start..*end]).collect()
    }
}

/// Says of a fault in a result which one that is.
pub(super) fn in_result(place: usize, mut fault: Box<Fault>) -> Box<Fault> {
    fault.reason = format!("--jq: result {}: {}", place + 1, fault.reason);
    fault
}

/// The record is refused because of the filter.
fn refused(reason: impl fmt::Display) -> Box<Fault> {
    Fault::new(FaultKind::Value, 0, format!("--jq: {reason}"))
}

/// What the filters here work on: values, and the count of the steps.
struct Language;

impl DataT for Language {
    type V<'a> = Val;
    type Data<'a> = Globals<'a>;
}

#[derive(Clone, Copy)]
struct Globals<'a> {
    lut: &'a Lut<Language>,
    steps: &'a Steps,
}

impl<'a> HasLut<'a, Language> for Globals<'a> {
    /// Every term is looked up here before it is evaluated.
    fn lut(&self) -> &'a Lut<Language> {
        self.steps.count();
        self.lut
    }
}

/// How far a filter may go over one record.
struct Steps {
    /// Bytes that a text which is read as JSON may take.
    room_bytes: usize,
    most: u64,
    left: Cell<u64>,
    stack_start: usize,
}

/// Unwinds a filter that goes too far: jaq has no way to stop it from outside.
enum Stopped {
    Steps,
    Stack,
}

impl Stopped {
    fn reason(&self, steps: &Steps) -> String {
        match self {
            Self::Steps => format!("expected the filter to end within {} steps, got more", steps.most),
            Self::Stack => "expected calls within calls that fit the stack, got more".to_owned(),
        }
    }
}

impl Steps {
    fn new(most: u64, room_bytes: usize) -> Self {
        Self { room_bytes, most, left: Cell::new(most), stack_start: stack_address() }
    }

    fn count(&self) {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => resume_unwind(Box::new(Stopped::Steps)),
        }
        if self.stack_start.abs_diff(stack_address()) > STACK_BYTES_MAX {
            resume_unwind(Box::new(Stopped::Stack));
        }
    }
}

/// About where on its stack this thread is.
#[inline(never)]
fn stack_address() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

fn defs() -> impl Iterator<Item = load::parse::Def<&'static str>> {
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    defs.filter(|def| !DEFS_LEFT_OUT.contains(&def.name) && !DEFS_REPLACED.contains(&def.name))
        .chain(load::parse(DEFS, |parser| parser.defs()).expect("the definitions here are right"))
}

fn funs() -> impl Iterator<Item = Fun<Language>> {
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let funs = funs.filter(|(name, ..)| !FUNS_LEFT_OUT.contains(name) && !FUNS_REPLACED.contains(name));
    let replaced: [native::Filter<RunPtr<Language>>; 3] = [
        ("range", v(3), |cv| range(cv)),
        ("fromjson", v(0), |cv| native::bome(value::parse(&cv.1, cv.0.data().steps.room_bytes))),
        ("del_key", v(1), |cv| native::unary(cv, |object, key| Ok(value::without_key(object, &key)))),
    ];
    funs.chain(replaced.map(|fun| run::<Language>(fun)))
}

/// As that of jaq, but counted: in `last(range(infinite))` it is the only thing that happens.
fn range(mut cv: Cv<'_, Language>) -> ValXs<'_, Val> {
    let [by, to, from] = std::array::from_fn(|_| cv.0.pop_var());
    let steps = cv.0.data().steps;
    let direction = by.cmp(&Val::from(0_usize));
    let mut next: Option<std::result::Result<Val, Exn<'_, Val>>> = Some(Ok(from));
    Box::new(std::iter::from_fn(move || {
        steps.count();
        let from = match next.take()? {
            Ok(from) => from,
            Err(error) => return Some(Err(error)),
        };
        let goes_on = match direction {
            Ordering::Greater => from < to,
            Ordering::Less => from > to,
            Ordering::Equal => from != to,
        };
        goes_on.then(|| {
            next = Some((from.clone() + by.clone()).map_err(Exn::from));
            Ok(from)
        })
    }))
}

/// The beginning of an error's text. It is cut while it is written: values may be of any size.
fn shown(error: jaq_json::Error) -> String {
    struct Beginning(String);
    impl fmt::Write for Beginning {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = ERROR_BYTES_MAX - self.0.len();
            if text.len() <= room {
                self.0.push_str(text);
                return Ok(());
            }
            self.0.push_str(&text[..text.floor_char_boundary(room)]);
            Err(fmt::Error)
        }
    }
    let mut beginning = Beginning(String::new());
    let mut is_cut = write!(beginning, "{error}").is_err();
    // A text that was thrown is shown as it is, not as JSON.
    if beginning.0.starts_with('"')
        && let Val::TStr(text) = error.into_val()
    {
        beginning.0.clear();
        is_cut = beginning.write_str(&String::from_utf8_lossy(&text)).is_err();
    }
    if is_cut {
        beginning.0.push_str("...");
    }
    beginning.0
}

type Faults<'s, E> = load::Errors<&'s str, (), E>;

/// What is wrong first with the syntax of a filter.
fn load_fault(source: &str, faults: &Faults<'_, load::Error<&str>>) -> String {
    let expected = |what: &str, part: &str| {
        let found = part.chars().next().map_or("the end".to_owned(), |_| format!("`{}`", beginning_of(part)));
        format!("expected {what} at character {}, got {found}", character_of(source, part))
    };
    let fault = faults.first().map(|(_, fault)| fault);
    match fault {
        Some(load::Error::Io(faults)) => match faults.first() {
            Some((path, _)) => format!(
                "{path:?} at character {} can't be had: no module can be imported",
                character_of(source, path)
            ),
            None => "no module can be imported".to_owned(),
        },
        Some(load::Error::Lex(faults)) => {
            faults.first().map_or_else(String::new, |(what, part)| expected(what.as_str(), part))
        }
        Some(load::Error::Parse(faults)) => {
            faults.first().map_or_else(String::new, |(what, part)| expected(what.as_str(), part))
        }
        None => unreachable!("what could not be loaded has a fault"),
    }
}

/// The first name in a filter that nothing has.
fn unknown_name(source: &str, faults: &Faults<'_, Vec<jaq_core::compile::Error<&str>>>) -> String {
    use jaq_core::compile::Undefined;
    let fault = faults.iter().find_map(|(_, faults)| faults.first());
    let (name, kind) = fault.expect("what could not be compiled has a fault");
    let place = character_of(source, name);
    if NAMES_LEFT_OUT.contains(name) {
        return format!(
            "`{name}` at character {place} is left out: a filter sees its record and nothing else"
        );
    }
    match kind {
        Undefined::Filter(arity) => {
            format!("expected a filter that is known, got `{name}/{arity}` at character {place}")
        }
        kind => format!("expected a {} that is known, got `{name}` at character {place}", kind.as_str()),
    }
}

/// Where in the filter a part of it begins, from 1.
fn character_of(source: &str, part: &str) -> usize {
    source[..span(source, part).start].chars().count() + 1
}

/// A part of the filter, or as much of it as fits a line.
fn beginning_of(part: &str) -> String {
    const SHOWN_MAX: usize = 20;
    let line = part.lines().next().unwrap_or_default();
    line.chars().take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of a record.
    fn run(filter: &str, record: &str) -> std::result::Result<Vec<String>, String> {
        let filter = Filter::compile(filter).map_err(|error| error.one_line())?;
        let mut results = Results::default();
        let run = Record::read(&mut Reader::new(record.as_bytes()), Tail::Nothing, 16 << 20)
            .and_then(|record| filter.run(record, (10_000, 16 << 20), true, &mut results));
        run.map_err(|fault| fault.reason)?;
        Ok(results.texts().into_iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect())
    }

    #[test]
    fn what_a_filter_leaves_alone_comes_out_as_it_went_in() {
        let digits = "7".repeat(BIG_INTEGER_DIGITS);
        for record in [
            r#"{"z":1,"a":{"y":[1.0,-0.0,0.1,1e308,5e-324,1e16],"b":null},"":true,"k":"\u0000é\"\\\n"}"#,
            r#"{"i":[9007199254740993,9223372036854775808,18446744073709551615,-9223372036854775808]}"#,
            &format!("{{\"n\":[{digits},-{digits}]}}"),
        ] {
            assert_eq!(run(".", record).unwrap(), [record]);
        }
        assert_eq!(run(".", r#"{"a":1,"b":2,"a":-0,"d":1E2}"#).unwrap(), [r#"{"a":-0.0,"b":2,"d":100.0}"#]);
    }

    /// More than can be computed with.
    const BIG_INTEGER_DIGITS: usize = 1_200;

    #[test]
    fn integers_are_computed_with_exactly_and_fractions_stay_doubles() {
        let results = run(
            "{a: (.n + 1), b: (.n / 2), c: 1.0, d: 1.50, e: 1e3, f: -.n}",
            r#"{"n":9223372036854775807}"#,
        );
        let expected = r#"{"a":9223372036854775808,"b":4.611686018427388e18,"c":1.0,"d":1.5,"e":1000.0,"f":-9223372036854775807}"#;
        assert_eq!(results.unwrap(), [expected]);
    }

    #[test]
    fn functions_that_people_know_are_there() {
        let record = r#"{"a":"x,y","n":[3,1,2],"t":0,"j":"{\"k\":1}"}"#;
        for (filter, expected) in [
            ("{v: (.a | split(\",\"))}", r#"{"v":["x","y"]}"#),
            ("{v: (.n | sort | map(. * 2) | add)}", r#"{"v":12}"#),
            ("{v: (.a | test(\"^x\"))}", r#"{"v":true}"#),
            ("{v: (.a | sub(\",\"; \"-\"))}", r#"{"v":"x-y"}"#),
            ("{v: (.t | todate)}", r#"{"v":"1970-01-01T00:00:00Z"}"#),
            ("{v: (.j | fromjson.k)}", r#"{"v":1}"#),
            ("{v: (\"7\" | tonumber)}", r#"{"v":7}"#),
            ("{v: (.n | tojson)}", r#"{"v":"[3,1,2]"}"#),
            ("{v: [range(3; 0; -1), range(2), range(0; 1; 0.5)]}", r#"{"v":[3,2,1,0,1,0,0.5]}"#),
            ("{v: [limit(2; repeat(1))]}", r#"{"v":[1,1]}"#),
            ("with_entries(.value |= length) | {n}", r#"{"n":3}"#),
            ("del(.n, .t, .j)", r#"{"a":"x,y"}"#),
            ("delpaths([[\"n\", 0], [\"n\", 1]]) | {n}", r#"{"n":[2]}"#),
            ("{v: (.a as $x | [.n[] | {$x}] | length)}", r#"{"v":3}"#),
            ("{v: (try error(\"e\") catch .)}", r#"{"v":"e"}"#),
        ] {
            assert_eq!(run(filter, record).unwrap(), [expected], "{filter}");
        }
    }

    #[test]
    fn error_that_quotes_a_large_value_is_cut() {
        let reason = run(".a.b", &format!("{{\"a\":\"{}\"}}", "é".repeat(500))).unwrap_err();
        assert!(
            reason.len() < 250 && reason.starts_with("--jq: cannot index \"é") && reason.ends_with("..."),
            "{reason}"
        );
    }

    #[test]
    fn steps_grow_with_the_record() {
        let elements = vec!["1"; 500_000].join(",");
        let counted = run("{n: [.a[] | . + 1] | add}", &format!("{{\"a\":[{elements}]}}"));
        assert_eq!(counted.unwrap(), [r#"{"n":1000000}"#]);
    }

    #[test]
    fn small_results_count_as_what_a_row_takes() {
        assert_eq!(run("range(156) | {}", "{}").unwrap().len(), 156);
        assert!(run("range(157) | {}", "{}").unwrap_err().contains("result 157"));
    }

    #[test]
    fn filter_may_be_used_by_all_threads() {
        fn is_shared<T: Send + Sync>() {}
        is_shared::<Filter>();
    }
}
