"""Pages that are no JSON, or hardly: JSONTestSuite, hostile bodies, numbers in any spelling, depth, bytes broken at
random. What must be refused is refused with its place and its bytes; what must be accepted is there, value by value.
"""

import base64
import collections
import json
import pathlib
import random

import readers
from broken import broken_pages
from checks_hostile import assert_table_is
from grammar import Broken, records_of_page
from model import Expected

SUITE = pathlib.Path(__file__).parents[1] / "data" / "json_test_suite" / "bodies.ndjson"
BROKEN_RUNS = 120
#: What the rejects file keeps of a failed page.
HEAD_BYTES_MAX = 64 * 1024
#: Pages are cut into chunks of this many bytes.
CHUNK_BYTES = 1 << 20
SHOWN_MAX = 200

Refusal = collections.namedtuple("Refusal", "line record byte_offset raw")


def assert_pages_arrive(bench, pages, *options, are_values_read=True):
    """Runs pages (name -> body) as one list and compares rejects, counts, exit code and rows.

    Where values are not read, that is where the hostile field is left out, rows are only counted.
    """
    texts, refusals, failed_count, bodies = [], [], 0, list(pages.values())
    for line, (name, body) in enumerate(pages.items(), 1):
        try:
            records = records_of_page(body, name.endswith(".ndjson"), are_values_read)
        except Broken as broken:
            failed_count += 1
            refusals.append(Refusal(line, None, broken.position, body[:HEAD_BYTES_MAX]))
            continue
        for index, record in enumerate(records):
            if record.text is None:
                refusals.append(Refusal(line, index, record.offset, record.raw))
            else:
                texts.append(record.text)
    run = bench.run(bench.put(pages), *options, exit_code=None)
    found = [_refusal(line) for line in run.rejects()]
    for expected, got in zip(refusals, found):
        assert expected == got, f"expected {_shown(expected)}, got {_shown(got)}, in {_cut(bodies[expected.line - 1])}"
    if len(refusals) != len(found):
        extra = max(refusals, found, key=len)[min(len(refusals), len(found))]
        raise AssertionError(
            f"expected {len(refusals)} refusals, got {len(found)}; {_shown(extra)} in {_cut(bodies[extra.line - 1])}"
        )
    rejected_count = len(refusals) - failed_count
    count = len(texts)
    seen = count + rejected_count
    expected = {"seen": seen, "kept": count, "written": count, "rejected": rejected_count, "filtered": 0}
    assert run.summary["records"] == expected, f"expected {expected}, got {run.summary['records']}"
    assert run.summary["pages"]["failed"] == failed_count, run.summary["pages"]
    has_columns = not are_values_read or any(json.loads(text) for text in texts)
    exit_code = (1 if refusals else 0) if not texts else 4 if not has_columns else 3 if refusals else 0
    assert run.exit_code == exit_code, f"exit {run.exit_code}, expected {exit_code}: {run.said}"
    if not texts or not has_columns:
        assert not run.out.exists(), "a file without rows or columns"
        return
    table = readers.with_pyarrow(run.out)
    assert table.num_rows == len(texts), f"{table.num_rows} rows, expected {len(texts)}"
    if are_values_read:
        assert_table_is(Expected(texts), table)


def _refusal(line):
    assert line["reason"] and line["page"] == 1, line
    raw = line["raw"].encode() if "raw" in line else base64.b64decode(line["raw_base64"])
    return Refusal(line["line"], line["record"], line["byte_offset"], raw)


def _shown(refusal):
    what = "a failed page" if refusal.record is None else f"record {refusal.record} refused"
    return f"{what} at byte {refusal.byte_offset} of page {refusal.line}: {_cut(refusal.raw)}"


def _cut(body):
    return repr(body[:SHOWN_MAX])


def _numbered(bodies, ending="json"):
    return {f"{place}.{ending}": body for place, body in enumerate(bodies)}


# JSONTestSuite --------------------------------------------------------------------------------------------------


def _suite():
    bodies = [base64.b64decode(json.loads(line)["base64"]) for line in SUITE.read_text("utf-8").splitlines()]
    return [*filter(None, bodies), b"[" * 100_000, b'[{"":' * 50_000 + b"\n"]


def json_test_suite_as_whole_bodies(bench):
    """As pages, and as pages that are said to be lines."""
    assert_pages_arrive(bench, _numbered(_suite()))
    assert_pages_arrive(bench, _numbered(_suite(), "ndjson"))


def json_test_suite_as_records(bench):
    """Between two good records, in an array and among lines."""
    assert_pages_arrive(bench, _numbered(b'[{"a":0}, ' + body + b' ,{"a":2}]' for body in _suite()))
    assert_pages_arrive(bench, _numbered(b'{"a":0}\n' + body + b'\n{"a":2}\n' for body in _suite()))


def json_test_suite_inside_a_field(bench):
    """In a field that is used, by itself and in a column that is text already."""
    records = [b'{"id":1,"x":' + body + b"}" for body in _suite()]
    assert_pages_arrive(bench, _numbered(b'[{"id":0},' + record + b',{"id":2}]' for record in records))
    assert_pages_arrive(bench, _numbered(b'{"x":"s"}\n{"x":true}\n' + record + b'\n{"id":2}' for record in records))


def json_test_suite_inside_a_field_that_nobody_uses(bench):
    """Syntax, UTF-8 and depth are judged there too; numbers and surrogates only where they are decoded."""
    records = [b'{"id":1,"x":' + body + b"}" for body in _suite()]
    for options in (["--drop", "x"], ["--select", "id"]):
        for pages in (
            _numbered(b'[{"id":0},' + record + b',{"id":2}]' for record in records),
            _numbered((b'{"id":0}\n' + record + b'\n{"id":2}' for record in records), "ndjson"),
        ):
            assert_pages_arrive(bench, pages, *options, "--rejects-raw", "full", are_values_read=False)


# Hostile bodies -------------------------------------------------------------------------------------------------

_BODIES = [
    # Containers that are empty, records that are none.
    b"[]", b"[[]]", b"[null]", b'[[],{},1,"x",true]', b"{}", b"{}\n{}\n", b'[{"a":1},null,{"a":2}]', b"[{},{}]",
    b'{"":1}', b'{"a":[[],[[]],[null]]}', b'{"a":[{"b":[]},{"b":{}}]}', b'{"a":1}\n[1]\n{"a":2}',
    b'{"a":1} {"a":2}\n[1]',
    # Documents behind each other, broken over lines, lines with blank ones between.
    b'{"a":1}{"a":2}', b'{"a":1}{"a":2}\n{"a":3}\n{"a":4}{"a":5}', b'{\n"a":1\n}\n{\n"a":2\n}',
    b'{"a":1}\n{\n"a":2\n}\n', b'{"a":\n1}{"b":2}', b'{"a":\n{"b":2}}', b'{"a":[1,\n{"b":2}\n]}',
    b'{"a":1}\r\n\r\n{"a":2}\r\n', b'{"a":1}\r{"a":2}\r', b'{"a":1}\n\n \t \n{"a":2}\n\n', b'\r\n  {"a":1}',
    b'{\n"a":1e999\n}\n{"a":2}', b'{\n"a":1\n}\n{\n"a":}\n', b'{\n"a":1\n}\n]', b'{\n"a":1\n},\n{\n"a":2}',
    b'[{"a":1}]\n[{"a":2}]', b'[{"a":1}]{"a":2}', b'[{"a":1}]]', b'[{"a":1}],', b'[{"a":1}]\x00',
    # Cut off.
    b'{"a":1', b'{"a":1}\n{"a":2', b'{"a":1}\n{"a":"x', b'{"a":1}{"a', b"{", b"[", b"\n", b" ", b'[{"a":1}',
    b'[{"a":1},', b'{\n"a":1\n}\n{\n"a":2\n', b'{"a":1\n{"b":2}\n{"b":3}', b'{"a":"x\n{"b":2}\n',
    b'{"a":tru\n{"b":2}\n', b'{"a":-\n{"b":2}\n',
    # What other formats and dialects write.
    b'[{"a":1},]', b'{"a":1,}\n{"a":1}', b'{"a":[1,]}\n{"a":1}', b'{"a":1},\n{"a":2},\n', b"{'a':1}\n{\"a\":1}",
    b"{a:1}\n{}", b'// c\n{"a":1}', b'{"a":1} // c\n{"a":2}', b'# c\n{"a":1}', b'[{"a":1} /* c */]', b"a,b\n1,2\n",
    b"<html></html>", b'{"a":1}<html>', b'{"e":"x"}\n<html>\n', b"null", b"1", b'"x"', b"\x00", b"PK\x03\x04",
    b'{"a"::1}\n{}', b"{,}\n{}", b'{"a":1,,"b":1}\n{}', b'{"a":1 "b":2}\n{}', b"[{},,{}]", b"[,{}]", b"[{}}",
    b'[{"a":1} {"a":2}]',
    # Escapes and control characters, as nginx writes them and worse.
    b'{"a":"\\x41"}\n{"a":1}', b'{"a":"\\u00g0"}\n{"a":1}', b'{"a":"\\u00"}\n{"a":1}', b'{"a":"\\"}\n{"a":1}',
    b'{"a":"\t"}\n{}', b'{"a":"\\\'"}\n{}', b'{"a":"\x1f"}\n{}', b'{"a":"\x7f"}', b'{"a":"\x00"}\n{"a":1}',
    b'[{"a":"\x00"}]', b'{"a":"\\u0000"}', b'{"a":1}\x0b', b'{"a":1}\x0c\n{"a":2}', b'{"a":1}\xc2\xa0\n{"a":2}',
    b'\xc2\xa0{"a":1}', b'{"a":1}\xe2\x80\xa8{"a":2}',
    # Halves of surrogate pairs.
    b'{"a":"\\ud800"}\n{"a":1}', b'{"a":"\\udc00\\ud800"}\n{}', b'{"a":"\\ud83d\\ude00"}',
    b'{"a":"\\ud83dx\\ude00"}\n{}', b'{"a":"\\ud83d\\ud83d\\ude00"}\n{}', b'{"a":"\\ud83d\\\\ude00"}\n{}',
    b'{"\\ud800":1}\n{}', b'[{"a":{"\\udfff":1}},{}]',
    # Bytes that are no UTF-8, marks, other encodings.
    b'{"a":"\xe9"}\n{"a":1}', b'{"\xe9":1}\n{"a":1}', b'[{"a":"\xe9"},{"a":1}]', b'[{"a":1}\xe9]',
    b'{"a":"\xc0\xaf"}\n{"a":2}', b'{"a":"\xed\xa0\x80"}\n{}', b'{"a":"\xf4\x90\x80\x80"}\n{}', b'{"a":"\xe2\x82"}\n{}',
    b'{"a":"\xef\xbf\xbf\xef\xbb\xbf"}', b'\xef\xbb\xbf{"a":1}\n\xef\xbb\xbf{"a":2}', b'\xef\xbb\xbf[{"a":1}]',
    b'\xef\xbb\xbf\xef\xbb\xbf[{"a":1}]', b'[\xef\xbb\xbf{"a":1}]', b"\xef\xbb\xbf",
    *('[{"a":1}]'.encode(name) for name in ("utf-16", "utf-16-le", "utf-32-be")),
    # Keys that stand twice, keys that look like paths.
    b'{"a":{"b":1,"b":{"c":1,"c":[{"d":1,"d":2}]}}}', b'{"a":1,"\\u0061":"x","\\u0061":null}',
    b'{"a":[{"k":1,"k":[]}],"a":{}}', b'{"a.b":1,"a/b":2,"a~b":3,"a\\"b":4,"a\\nb":5,"\\\\":6}',
    b'{"' + b"k" * 100_000 + b'":1}',
]


def hostile_bodies_are_taken_or_refused_at_their_place(bench):
    """All in one list, and each one alone."""
    assert_pages_arrive(bench, _numbered(_BODIES))
    assert_pages_arrive(bench, _numbered(_BODIES, "ndjson"))
    for body in _BODIES:
        assert_pages_arrive(bench, {"page.json": body})


# Numbers --------------------------------------------------------------------------------------------------------

_NUMBERS = [
    *"0 -0 -0.0 1.0 0.1 9007199254740993 9223372036854775808 -9223372036854775809 18446744073709551616 1e308".split(),
    *"5e-324 3e-324 2e-324 1e-400 1e309 -1e309 1.7976931348623158e308 1.7976931348623159e308 1e23 8.5e22".split(),
    *"2.2250738585072011e-308 9007199254740993.0 1e0000000000000000000001 1e+00 -0e5 0E-0 0e2147483648".split(),
    *"1e2147483648 1e-2147483649 1e18446744073709551616 0e18446744073709551616 1e-18446744073709551617".split(),
    "9" * 400, "1" * 309 + ".5", "1" + "0" * 400 + "e-400", "0." + "0" * 400 + "1e401", "0." + "3" * 400,
]  # fmt: skip
_NO_NUMBERS = (
    "01 -01 +1 .5 1. 1.e1 1e 1e+ - --1 0x10 1_0 1f 00 0e 0e+ 1e1.5 -1. 1..2 Inf -NaN nan NaN -Infinity True nul nulll "
    "truefalse １"
).split()


def numbers_of_any_spelling_keep_their_value_or_refuse_their_record(bench):
    """In columns of one kind and of several, in lists and objects, in text, as lines, and where the text ends."""
    for number in [*_NUMBERS, *_NO_NUMBERS]:
        used = f'{{"a":{number},"b":[0.5,{number}],"c":{{"d":[{{"e":{number}}}]}},"f":"s"}}'
        pages = [f'{used}\n{{"f":{number}}}\n{{"f":{{"g":{number}}}}}\n{{}}', f'[{{"a":{number}}}]', f'{{"a":{number}']
        assert_pages_arrive(bench, _numbered(page.encode() for page in pages))


# Depth ----------------------------------------------------------------------------------------------------------


def depth_is_refused_from_128_on_and_breaks_nothing(bench):
    """Arrays, objects and both, closed and open, as a body, an element, a line and in a field of text."""
    bodies = [b'{"a":"text","x":"text"}']
    for depth in (126, 127, 128, 20_000):
        for levels in ([b"["], [b'{"a":'], [b'{"a":', b"["]):
            opened = [levels[level % len(levels)] for level in range(depth)]
            closed = [b"]" if level == b"[" else b"}" for level in reversed(opened)]
            for value in (b"".join([*opened, b"1", *closed]), b"".join(opened)):
                field = b'{"id":1,"x":' + value + b"}"
                bodies += [value, b"[" + value + b"]", b'{"a":1}\n' + value + b'\n{"a":2}', b'{"x":1}' + field]
                bodies += [b'[{"id":0},' + field + b',{"id":2}]', b'{"id":0}\n' + field + b'\n{"id":2}']
    assert_pages_arrive(bench, _numbered(bodies))


# Pages of several chunks, pages broken at random ----------------------------------------------------------------


def refused_records_at_the_borders_of_chunks_keep_their_place(bench):
    """In arrays, lines and documents of more than one chunk; one page is cut off."""
    source = random.Random(1)
    in_all = [b'{"i":1e999}', b'{"s":"\\ud800"}', b'{"s":"\xff"}', b'{"z":' + b"[" * 127 + b"]" * 127 + b"}", b"[{}]"]
    in_lines = [b'{"a":}', b'{"a":1', b"x", b'{"a":1}}', b"\x00", b'{"a":"\t"}', b'{"a":1},', b'{"s":"\xe2\x82"}']

    def records(refused, *gaps):
        """Good records that end so many bytes before the end of each chunk; refused ones are around there."""
        made, byte_count = [b'{"i":0,"s":"x"}'], 0
        for place, gap in enumerate(gaps, 1):
            while byte_count < place * CHUNK_BYTES - gap:
                left = place * CHUNK_BYTES - gap - byte_count
                made.append(b'{"i":%d,"s":"%s"}' % (len(made), b"\xc3\xa9\\n" * min(2_500, left // 4)))
                byte_count += len(made[-1]) + 1
                if source.random() < 0.3 or left < 10_000:
                    made.append(source.choice(refused))
                    byte_count += len(made[-1]) + 1
        return [*made, *refused, b'{"i":0.5}']

    pages = {
        "0.json": b"[" + b",".join(records(in_all, 0, 7)) + b"]",
        "1.ndjson": b"\n".join(records([*in_all, *in_lines], 40, 3, 0)),
        "2.json": b"\n".join(record.replace(b"{", b"{\n", 1) for record in records(in_all, 5, 100)),
        "3.json": b"\n".join(records([*in_all, *in_lines], 1)) + b'\n{"i":',
        "4.json": b"[" + b" ,\r\n".join(records(in_all, 2, 11)),
    }
    assert all(len(body) > CHUNK_BYTES for body in pages.values())
    for options in ([], ["--memory", "64MiB", "--threads", "1"]):
        assert_pages_arrive(bench, pages, *options)


def pages_of_real_shapes_broken_at_random_arrive_or_are_refused(bench):
    """Seeded: GitHub, CloudTrail, Kubernetes, Elasticsearch, OpenTelemetry, journald; one to three pages a run."""
    for seed in range(BROKEN_RUNS):
        pages = broken_pages(seed)
        try:
            assert_pages_arrive(bench, pages, "--row-group-rows", 3)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


CHECKS = [
    json_test_suite_as_whole_bodies,
    json_test_suite_as_records,
    json_test_suite_inside_a_field,
    json_test_suite_inside_a_field_that_nobody_uses,
    hostile_bodies_are_taken_or_refused_at_their_place,
    numbers_of_any_spelling_keep_their_value_or_refuse_their_record,
    depth_is_refused_from_128_on_and_breaks_nothing,
    refused_records_at_the_borders_of_chunks_keep_their_place,
    pages_of_real_shapes_broken_at_random_arrive_or_are_refused,
]
