"""Small pages of edge cases, three rows a row group, against the model of the contract and in three readers."""

import json
import math
import re

import readers
from model import Expected
from pages import wandering_pages
from shrink import shrunk

WANDERINGS = 40


def assert_table_is(expected, table):
    """Names, types and every value of a table are the expected ones, to the bit."""
    assert table.schema.names == expected.names, f"columns: expected {expected.names}, got {table.schema.names}"
    for place, (name, of) in enumerate(zip(expected.names, expected.types)):
        got = table.column(place)
        assert got.type == of, f"column {name!r}: expected type {of}, got {got.type}"
        values = readers.plain(got)
        assert len(values) == len(expected.rows), f"expected {len(expected.rows)} rows, got {len(values)}"
        for row, value in enumerate(values):
            wanted = expected.rows[row][place]
            assert readers.same(wanted, value), f"column {name!r}, row {row}: expected {wanted!r}, got {value!r}"


def assert_records_become_what_the_model_says(bench, *pages):
    """Runs pages, each a list of record texts, as arrays and as lines; reads them back; compares rejects too."""
    texts = [text for page in pages for text in page]
    expected = Expected(texts)
    places = [(page, record) for page, records in enumerate(pages) for record in range(len(records))]
    rejected = [(*places[place], texts[place]) for place in expected.rejected]
    for spelling, spell in _SPELLINGS.items():
        urls = bench.put({f"{page}.{spelling}": spell(records).encode() for page, records in enumerate(pages)})
        run = bench.run(urls, "--row-group-rows", 3, exit_code=3 if rejected else 0)
        try:
            found = [(line["line"] - 1, line["record"], line["raw"]) for line in run.rejects()]
            assert found == rejected, f"rejects: expected {rejected}, got {found}"
            if run.out.exists() or expected.names:
                assert_table_is(expected, readers.assert_readers_agree(run.out))
        except AssertionError as error:
            shown = " | ".join(spell(records) for records in pages)
            raise AssertionError(f"{error}\n      in {spelling}: {shown[:2_000]}") from error


_SPELLINGS = {
    "json": lambda records: "[" + ",".join(records) + "]",
    "ndjson": lambda records: "".join(record + "\n" for record in records),
}


def _of(*values, name="v"):
    """Records with one column."""
    return [f"{{{json.dumps(name)}:{value}}}" for value in values]


def integers_keep_every_digit(bench):
    """Up to 64 bits as int64, beyond as text from the token, with doubles only within 2^53."""
    cases = [
        ["9007199254740992", "9007199254740993"],
        ["9223372036854775807", "-9223372036854775808", "0"],
        ["9223372036854775808"],
        ["1", "18446744073709551615", "18446744073709551616"],
        ["-9223372036854775809", "null"],
        ["1", "1" + "2345678901" * 39 + "234567890"],
        ["9007199254740992", "-9007199254740992", "0.5"],
        ["9007199254740993", "0.5"],
        ["0.5", "1", "-9007199254740993"],
        ["1.0", "9007199254740993", "1e2"],
    ]
    for values in cases:
        assert_records_become_what_the_model_says(bench, _of(*values))
        assert_records_become_what_the_model_says(bench, *(_of(value) for value in values))


def doubles_are_read_to_the_nearest_and_written_shortest(bench):
    """Signed zeros, the ends of the range, halfway cases, many digits."""
    cases = [
        ["0.1", "-0.0", "1e308", "5e-324", "1.0"],
        ["-0", "0"],
        ["-0.0", "0", "null"],
        ["1.0", "2.0"],
        ["2.2250738585072011e-308", "2.2250738585072012e-308", "4.9e-324", "1.7976931348623158e308"],
        ["9007199254740993.0", "0.1000000000000000055511151231257827", "0." + "1234567890" * 40, "1e-999"],
        ["1" + "0" * 300 + ".5", "1E400e".removesuffix("E400e") + ".25", "1E+2"],
        ["0.1", "-0.0", "1e308", "5e-324", "1.0", "1e15", "1e16", "1e-4", "1e-5", "123e18", '"x"'],
        ["[1.0,2]", '"x"', "[0.5,-0.0,1e22]"],
    ]
    for values in cases:
        assert_records_become_what_the_model_says(bench, _of(*values))


def mixed_types_widen_and_change_nothing(bench):
    """A conflict becomes text, whichever came first and wherever the page ends."""
    values = ["1", "1.5", "true", '"x"', '"1"', "null", "{}", '{"b":1,"a":null}', "[]", '[1,"x",null,{"z":1.0}]']
    pairs = [(first, second) for first in values for second in values]
    records = ["{" + ",".join(f'"{place}":{pair[side]}' for place, pair in enumerate(pairs)) + "}" for side in (0, 1)]
    assert_records_become_what_the_model_says(bench, records)
    assert_records_become_what_the_model_says(bench, *([record] for record in records))
    assert_records_become_what_the_model_says(bench, [records[0]] * 3, [records[1]])
    assert_records_become_what_the_model_says(bench, _of(*values), _of(*reversed(values)))


def the_last_of_two_equal_keys_wins(bench):
    """At the top and below, in lists of values, also where the keys are spelled differently."""
    records = [
        '{"a":7,"b":"x","a":1}',
        '{"\\u0061":3,"a":4}',
        '{"o":{"k":"y","k":"z"},"o":{"k":"w","l":true,"k":null}}',
        '{"o":{"l":false},"a":5,"o":null}',
        '{"a":6,"a":null}',
    ]
    assert_records_become_what_the_model_says(bench, records)
    assert_records_become_what_the_model_says(bench, *([record] for record in records))
    assert_records_become_what_the_model_says(bench, ['{"values":"x","values":[1,2]}', '{"values":[1],"values":[4,8]}'])
    assert_records_become_what_the_model_says(bench, ['{"values":[1]}', '{"values":[1],"values":"x"}'])


def the_first_of_two_equal_keys_leaves_no_trace_in_the_type(bench):
    """The value that lost is no value of the column."""
    for record in (
        '{"a":"x","a":1}',
        '{"a":1.5,"a":2}',
        '{"a":[1],"a":[]}',
        '{"a":{"b":1},"a":{"c":2}}',
        '{"a":{"b":1},"a":null}',
        '{"o":{"k":1,"k":"z"}}',
    ):
        assert_records_become_what_the_model_says(bench, [record])


def timestamps_of_one_form_are_timestamps_and_others_stay_text(bench):
    """RFC 3339 with T, one UTC suffix, up to nine digits in one form; else the text as it was."""
    one_form = [
        ["2024-02-29T12:00:00Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"],
        ["2024-02-29T12:00:00+00:00", "1970-01-01T00:00:00+00:00"],
        ["2024-02-29T12:00:00.000Z", "2024-02-29T12:00:00.120Z"],
        ["2024-02-29T12:00:00Z", "2024-02-29T12:00:00.120Z", "1969-12-31T23:59:59.999Z"],
        ["2024-02-29T12:00:00Z", "2024-02-29T12:00:00.1Z", "2024-02-29T12:00:00.123456Z"],
        ["1969-12-31T23:59:59.999999Z", "1600-01-01T00:00:00.000000Z"],
        ["2000-02-29T00:00:00.5+00:00"],
        ["2024-02-29T12:00:00.1234567Z", "2024-02-29T12:00:00Z"],
        ["2024-02-29T12:00:00.123456789Z", "1969-12-31T23:59:59.999999999Z", "2024-02-29T12:00:00.000000000Z"],
        ["1678-01-01T00:00:00.000000000Z", "2261-12-31T23:59:59.999999999Z"],
    ]
    text = [
        ["2024-02-29T12:00:00.000Z", "2024-02-29T12:00:00Z"],
        ["2024-02-29T12:00:00.50Z", "2024-02-29T12:00:00.125Z"],
        ["2024-02-29T12:00:00.0Z", "2024-02-29T12:00:00.123Z"],
        ["2024-02-29T12:00:00Z", "2024-02-29T12:00:00+00:00"],
        ["2024-02-29T12:00:00.123456789Z", "9999-12-31T23:59:59Z"],
        *[
            [spelling]
            for spelling in (
                "2024-02-29T12:00:00", "2024-02-29 12:00:00Z", "2024-02-29t12:00:00Z", "2024-02-29T12:00:00z",
                "2024-02-29T12:00:00-00:00", "2024-02-29T12:00:00+01:00", "2024-02-29T12:00:00+0000",
                "2024-02-29T12:00:00.1234567890Z", "2024-02-29T12:00:00.Z", "2024-02-29T12:00:00,5Z",
                "2023-02-29T12:00:00Z", "1900-02-29T12:00:00Z", "2024-13-01T00:00:00Z", "2024-04-31T00:00:00Z",
                "2024-00-01T00:00:00Z", "2024-01-00T00:00:00Z", "2024-02-29T24:00:00Z", "2024-02-29T23:60:00Z",
                "2016-12-31T23:59:60Z", "24-02-29T12:00:00Z", "+2024-02-29T12:00:00Z", "12024-02-29T12:00:00Z",
                "2024-02-29T12:00Z", "2024-02-29", "", " 2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z ",
                "٢٠٢٤-02-29T12:00:00Z", "2024-2-29T12:00:00Z",
            )
        ],
    ]
    for spellings, is_timestamp in [*((case, True) for case in one_form), *((case, False) for case in text)]:
        records = _of(*map(json.dumps, spellings))
        said = "timestamp" in str(Expected(records).types[0])
        assert said == is_timestamp, f"the model itself is wrong about {spellings}"
        assert_records_become_what_the_model_says(bench, records)
    # All texts, and a good one first that must be given back later.
    everything = [spelling for case in one_form + text for spelling in case]
    assert_records_become_what_the_model_says(bench, *(_of(json.dumps(spelling)) for spelling in everything))


def nested_values_widen_like_those_on_top(bench):
    """Objects in lists in objects; conflicts below; text of objects that were columns first."""
    cases = [
        ['{"o":{"t":"2024-02-29T12:00:00.50Z","n":1}}', '{"o":{"n":0.5,"m":[]}}', '{"o":"x"}'],
        ['{"o":{"b":1,"a":{"z":null,"y":[1,null]}}}', '{"o":[1]}'],
        ['{"o":[{"a":1},{"b":"x"},null]}', '{"o":[]}', '{"o":[{"a":2.5,"c":{}}]}', '{"o":[{"c":{"d":true}}]}'],
        ['{"o":[[1],[2.5],[]]}', '{"o":[[null],null]}', '{"o":[["x"]]}'],
        ['{"o":{}}', '{"o":{}}', "{}"],
        ['{"o":{}}', '{"o":{"a":null}}', '{"o":null}', "{}"],
        ['{"o":[{}]}', '{"o":[]}', '{"o":[null]}'],
        ['{"o":[{}]}', '{"o":[{"a":[]}]}', '{"o":[{"a":[{}]}]}', '{"o":[{"a":[{"b":9223372036854775808}]}]}'],
        ['{"o":{"a":"x"}}', '{"o":{"a":1}}', '{"o":{"a":"1"}}', '{"o":7}'],
        ['{"o":{"a":["\\"x\\""]}}', '{"o":{"a":[1]}}', '{"o":{"a":["1","\\\\"]}}'],
        ['{"o":{"":1,"é":2,"a.b":3,"A":4,"a":5}}', '{"o":"x"}', '{"o":{"\\ud83e\\udd80":6,"\\uffff":7}}'],
    ]
    for records in cases:
        assert_records_become_what_the_model_says(bench, records)
        assert_records_become_what_the_model_says(bench, *([record] for record in records))
        assert_records_become_what_the_model_says(bench, *([record] for record in reversed(records)))


def columns_that_drift_over_pages_end_in_one_schema(bench):
    """Late columns, columns that end, types that widen page by page, a page of nothing new, an empty page."""
    assert_records_become_what_the_model_says(
        bench,
        ['{"a":1,"b":null}', '{"a":2}', '{"a":3}', '{"a":4}'],
        ['{"c":"late","a":5}'] * 5,
        [],
        ['{"b":[1],"a":6.5}', '{"b":[],"d":{"e":false}}'],
        ['{"a":null,"d":{"f":"2024-02-29T12:00:00Z"}}'] * 4,
        ['{"a":"seven","d":{"e":0}}'],
        ["{}", "{}"],
    )


def open_types_inside_objects_close_after_a_row_group_ended(bench):
    """Null, `[]` and `{}` as members of an object that gets more members once rows are written."""
    for value in ("null", "[]", "{}", "[null]", "[{}]", '{"x":null}'):
        for later in ('{"b":null}', '{"a":[1]}', '{"a":{"x":1},"b":[]}', '{"a":"x"}', "[]"):
            first = f'{{"o":{{"a":{value}}}}}'
            assert_records_become_what_the_model_says(bench, [first] * 3, [f'{{"o":{later}}}'])


def records_without_any_member_are_counted_and_end_well(bench):
    """Rows without columns: whatever is published, no record is lost and storage is not to blame."""
    urls = bench.put({"empty.ndjson": b"{}\n{}\n"})
    run = bench.run(urls, exit_code=None)
    assert run.exit_code in (0, 3, 4), f"exit {run.exit_code}: {run.said}"
    records = run.summary["records"]
    assert records["seen"] == 2 == records["written"] + records["rejected"], records
    if run.out.exists():
        assert readers.with_pyarrow(run.out).num_rows == records["written"]


def strings_come_through_unchanged(bench):
    """Escapes, NUL, quotes, non-characters, long text, and what looks like another type."""
    strings = ["", " ", "\0", "a\0b", "\u2028\ufeff\uffff", "🦀é", "\x7f\x80", 'q"\\/\b\f\n\r\t', "NaN", "null", "-0",
               "x" * 100_000]
    for is_ascii in (True, False):
        records = _of(*(json.dumps(string, ensure_ascii=is_ascii) for string in strings))
        assert_records_become_what_the_model_says(bench, records)


def names_come_through_unchanged(bench):
    """Dots, spaces, quotes, other scripts, names of Parquet's own, names that differ in case alone."""
    names = ["id.orig_h", "a b", "a\"b", "é", "漢字", "list", "element", "key_value", "Case", "case", "a/b~c", "0"]
    record = json.dumps({name: place for place, name in enumerate(names)})
    assert_records_become_what_the_model_says(bench, [record, '{"id":{"orig_h":1}}'])


def a_rejected_record_leaves_no_trace(bench):
    """Neither a column nor a wider type nor a row; its bytes are in the rejects."""
    assert_records_become_what_the_model_says(
        bench,
        ['{"a":1,"values":[1,2]}', '{"ghost":1,"a":"x","values":[1,true]}', '{"a":2,"values":[3]}'],
        ['{"a":1.5,"o":{"g":1},"values":7}', '{"values":[{"x":1}], "a" : [ ] }', '{"a":3}', '{"a":1e999,"g":1}'],
        ['{"a":4,"s":"\\ud800"}', '{"o":{"g":"x","h":[1e400]}}', '{"a":5,"values":["n/a"]}', '{"values":null}'],
    )


def lists_of_values_are_doubles_and_features_follow_the_rules(bench):
    """Numbers in text, NaN, infinities, nulls, one value, none, the ends of the range."""
    _assert_features_follow_the_rules(
        bench,
        ["[]", "[null]", "[1]", "[1,2]", "null", '["1.5"," 2 ","+3","1e2",".5","5.","-.5E-1"]',
         '["NaN","-inf","inf","infinity"]', '[1,"nan",2,null]', "[1e308,1e308]", "[5e-324,5e-324]",
         "[1.7976931348623157e308]", '["9007199254740992"," 9007199254740993.0\\f"]', "[0.1,0.1,0.1]", "[-0.0]",
         "[1152921504606846976,1]", "[1000000000.1,1000000000.2,1000000000.3]", "[18446744073709551616]"],
    )


def lists_of_anything_else_reject_the_record(bench):
    """What no double holds, what no number is, what is no list."""
    _assert_features_follow_the_rules(
        bench,
        ["[9007199254740993]", "[1,18446744073709551617]", '["1_000"]', '[""]', '[" "]', '["0x10"]', '["1,5"]', "[[1]]",
         "[{}]", "[false]", '["n/a"]', '["9007199254740993"]', '[" +18446744073709551617"]', '["' + "1" * 400 + '"]',
         '["\\u000b1"]', '["\\u00a01"]', '["\\uff11"]', '["1\\u0000"]', '["nan(1)"]',
         '{"x":1}', '"1"', "1", "true", "[1" + "0" * 399 + "]", "[1]"],
    )


def features_at_the_ends_of_the_range_are_null_only_where_they_overflow(bench):
    """A variance may be too large where mean and stddev are not, and too small where stddev is not."""
    for text in ("[1e308,-1e308]", "[1.7976931348623157e308,-1.7976931348623157e308,1]", "[1e200,3e200]",
                 "[1e-200,3e-200]"):
        _assert_features_follow_the_rules(bench, [text])


def numbers_in_text_beyond_a_double_are_what_from_str_reads(bench):
    """`f64::from_str` reads "1e999": as infinity, which is kept in the list and left out of the features."""
    _assert_features_follow_the_rules(bench, ['["1e999",1]', '["-1e999"]', '["1e-999"]'])


def _assert_features_follow_the_rules(bench, lists):
    """One record for each list; mean, variance and stddev to a relative 1e-12, all else to the bit."""
    records = _of(*lists, name="values")
    expected = Expected(records)
    urls = bench.put({"lists.ndjson": "".join(f"{record}\n" for record in records).encode()})
    run = bench.run(urls, "--row-group-rows", 3, exit_code=None)
    found = [line["record"] for line in run.rejects()]
    differing = [lists[place] for place in sorted({*found} ^ {*expected.rejected})]
    assert not differing, f"rejected or not, against the rule: {differing}"
    assert run.exit_code == (3 if found else 0), f"exit {run.exit_code}: {run.said}"
    table = readers.assert_readers_agree(run.out)
    assert table.schema.names == expected.names, table.schema.names
    accepted = [text for place, text in enumerate(lists) if place not in expected.rejected]
    for place, name in enumerate(expected.names):
        is_rounded = name in ("values_mean", "values_variance", "values_stddev")
        for row, value in enumerate(readers.plain(table.column(place))):
            wanted = expected.rows[row][place]
            if is_rounded and None not in (wanted, value):
                is_right = math.isclose(wanted, value, rel_tol=1e-12, abs_tol=0.0)
            else:
                is_right = readers.same(wanted, value)
            assert is_right, f"{name} of {accepted[row]}: expected {wanted!r}, got {value!r}"


def records_that_wander_through_all_types_become_what_the_model_says(bench):
    """Seeded random records, columns of few and many kinds, nested, over pages of any length."""
    failures = []
    for seed in range(WANDERINGS):
        pages = wandering_pages(seed)
        if _difference(bench, pages):
            failures.append((seed, pages))
    if failures:
        seed, pages = failures[0]
        kind = _kind_of(_difference(bench, pages))
        smallest = shrunk(pages, lambda candidate: _kind_of(_difference(bench, candidate)) == kind)
        raise AssertionError(
            f"{len(failures)} of {WANDERINGS}; the first is seed {seed}, shrunk: {_difference(bench, smallest)}"
        )


def _difference(bench, pages):
    """How the program and the model differ on these pages, or None."""
    try:
        assert_records_become_what_the_model_says(bench, *pages)
    except AssertionError as error:
        return str(error)
    return None


def _kind_of(difference):
    """What a difference has in common with its smaller versions: the first words, without names and numbers."""
    return re.sub(r"'[^']*'|[0-9]+", "", difference or "")[:24]


CHECKS = [
    integers_keep_every_digit,
    doubles_are_read_to_the_nearest_and_written_shortest,
    mixed_types_widen_and_change_nothing,
    the_last_of_two_equal_keys_wins,
    the_first_of_two_equal_keys_leaves_no_trace_in_the_type,
    timestamps_of_one_form_are_timestamps_and_others_stay_text,
    nested_values_widen_like_those_on_top,
    columns_that_drift_over_pages_end_in_one_schema,
    open_types_inside_objects_close_after_a_row_group_ended,
    records_without_any_member_are_counted_and_end_well,
    strings_come_through_unchanged,
    names_come_through_unchanged,
    a_rejected_record_leaves_no_trace,
    lists_of_values_are_doubles_and_features_follow_the_rules,
    lists_of_anything_else_reject_the_record,
    features_at_the_ends_of_the_range_are_null_only_where_they_overflow,
    numbers_in_text_beyond_a_double_are_what_from_str_reads,
    records_that_wander_through_all_types_become_what_the_model_says,
]
