"""Records in the shapes of log APIs, pages made of them, and bytes that are broken at random. Seeded."""

import json
import random

_TIMES = ["2024-02-29T12:00:00Z", "2024-02-29T12:00:00.123Z", "2024-02-29T12:00:00.120Z", "2016-12-31T23:59:60Z",
          "2024-02-29T12:00:00.123456789Z", "2024-02-29T12:00:00+01:00", "2024-02-29 12:00:00", "1709208000"]
_JUNK = [b"\\ud800", b"\\ud83d\\ude00", b"\\u0000", b"\xed\xa0\x80", b"\xc0\x80", b"\xef\xbb\xbf", b"1e999", b"-0",
         b"NaN", b"\xf0\x9f\xa6\x80", b",null", b"//x", b"\n", b"[]", b"{}", b"\x00", b"'", b'"', b"\\", b"\r"]


def broken_pages(seed, page_count_max=3):
    """Names and bodies: records of one API or of several, in any layout; nearly every second page is broken."""
    source = random.Random(seed)
    shape = source.choice(_SHAPES)
    pages = {}
    for page in range(source.randint(1, page_count_max)):
        shape = source.choice(_SHAPES) if source.random() < 0.2 else shape
        body = _body(source, [shape(source) for _ in range(source.choice([0, 1, 2, 5, 9]))])
        body = b"\xef\xbb\xbf" + body if source.random() < 0.1 else body
        body = _mutated(source, body) if source.random() < 0.45 else body
        pages[f"{page}.{source.choice(['json', 'ndjson'])}"] = body or b" "
    return pages


def _body(source, records):
    texts = [json.dumps(record, ensure_ascii=source.random() < 0.5).encode() for record in records]
    return source.choice(
        [
            lambda: b"[" + source.choice([b",", b" ,\r\n"]).join(texts) + b"]",
            lambda: source.choice([b"\n", b"\r\n", b"\n\n"]).join(texts) + source.choice([b"", b"\n"]),
            lambda: b"".join(texts),
            lambda: b"\n".join(json.dumps(record, indent=1).encode() for record in records),
            lambda: json.dumps(records, indent=2).encode(),
        ]
    )()


def _mutated(source, body):
    for _ in range(source.choice([1, 1, 1, 2, 3])):
        at, length = source.randrange(len(body) + 1), source.randrange(20)
        body = source.choice(
            [
                lambda: body[:at],
                lambda: body[:at] + body[at + 1 + length % 5 :],
                lambda: body[:at] + bytes([source.randrange(256)]) + body[at + 1 :],
                lambda: body[:at] + source.choice(_JUNK) + body[at:],
                lambda: body[:at] + body[max(at - length, 0) :],
            ]
        )()
    return body


def _github(source):
    payload = [{"push_id": 2 ** source.randint(30, 66), "commits": [{"sha": "ab", "distinct": True}] * 2},
               {"issue": {"labels": [], "assignee": None, "body": "a\r\n\U0001f600"}}, {"action": "started"}]
    return {"id": "1", "actor": {"login": "ü"}, "payload": source.choice(payload), "created_at": _time(source)}


def _cloudtrail(source):
    parameters = [None, {"bucketName": "b", "Host": ["x"]}, {"filter": {"a/b": [1, "a"]}}, "raw"]
    return {"eventTime": _time(source), "requestParameters": source.choice(parameters), "responseElements": None,
            "additionalEventData": {"bytesTransferredIn": source.choice([0, 0.0, 1.5, -0.0]), "x-amz-id-2": "=="},
            "resources": source.choice([None, [], [{"ARN": "a"}]])}


def _kubernetes(source):
    requests = [{"metadata": {"labels": {f"k{source.randrange(90)}": "v"}}}, {"spec": {"ports": [80, "http"]}}, None]
    return {"requestReceivedTimestamp": _time(source), "annotations": {source.choice(["a", "b/c", "d.e"]): ""},
            "requestObject": source.choice(requests), "code": source.choice([200, "200"])}


def _elasticsearch(source):
    places = [[1, 2.5], {"lat": 1.0, "lon": 2}, "1,2"]
    return {"_id": source.choice(["x", 1]), "_score": source.choice([None, 1.0, 1]),
            "_source": {"@timestamp": _time(source), "host": source.choice(["h", {"name": "h"}]),
                        "tags": source.choice(["a", ["a"], []]), "geo": {"location": source.choice(places)}},
            "sort": [source.choice([1709208000000, "a", 1e300, 2**53 + 1])]}


def _opentelemetry(source):
    values = [{"stringValue": "a"}, {"intValue": "1"}, {"intValue": 1}, {"arrayValue": {"values": [{"b": True}]}}]
    return {"attributes": [{"key": "k", "value": source.choice(values)}], "traceId": "", "log.level": "info",
            "timeUnixNano": str(source.getrandbits(60)), "flags": source.choice([1, 1.0, True]),
            "log": source.choice([{"level": "x"}, "flat", {"offset": 2**63}])}


def _journal(source):
    return {"MESSAGE": source.choice(["hi", [104, 105, 27], None]), "_PID": "1", "bytes": source.getrandbits(64),
            "msg": source.choice(["a\u0000b", "\u2028", "\ufeffx", "é" * 500, 'q"\\', "\U0010ffff"])}


def _time(source):
    return source.choice(_TIMES[: source.choice([1, 2, 3, len(_TIMES)])])


_SHAPES = [_github, _cloudtrail, _kubernetes, _elasticsearch, _opentelemetry, _journal]
