"""Makes failing pages small: drops records, members and elements and simplifies values while the failure stays."""

import json

from model import Number

ATTEMPTS_MAX = 400


class _Members(list):
    """An object as name-value pairs, so that equal keys stay."""


def shrunk(pages, fails):
    """The smallest pages found (lists of record texts) for which `fails(pages)` still holds."""
    pages = [[_parsed(text) for text in page] for page in pages]
    attempts = 0
    while True:
        for smaller in _smaller_lists(pages, lambda page: _smaller_lists(page, _smaller_values)):
            attempts += 1
            if attempts > ATTEMPTS_MAX:
                return _texts(pages)
            if smaller and fails(_texts(smaller)):
                pages = smaller
                break
        else:
            return _texts(pages)


def _texts(pages):
    return [[_text(record) for record in page] for page in pages]


def _smaller_lists(items, smaller_items):
    """All lists with one item less, then all with one smaller item. Halves first: most of a page is by-catch."""
    if len(items) > 3:
        half = len(items) // 2
        yield items[:half]
        yield items[half:]
    for place in range(len(items)):
        yield items[:place] + items[place + 1 :]
    for place, item in enumerate(items):
        for smaller in smaller_items(item):
            yield [*items[:place], smaller, *items[place + 1 :]]


def _smaller_values(value):
    if isinstance(value, _Members):
        yield from map(_Members, _smaller_lists(value, lambda pair: ((pair[0], v) for v in _smaller_values(pair[1]))))
    elif isinstance(value, list):
        yield from _smaller_lists(value, _smaller_values)
    elif isinstance(value, Number) and len(value) > 1:
        yield Number("1")
        yield Number("1.5")
    elif isinstance(value, str) and not isinstance(value, Number) and len(value) > 1:
        yield "x"


def _parsed(text):
    return json.loads(text, object_pairs_hook=_Members, parse_int=Number, parse_float=Number)


def _text(value):
    if isinstance(value, _Members):
        return "{" + ",".join(f"{json.dumps(name)}:{_text(member)}" for name, member in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return str(value) if isinstance(value, Number) else json.dumps(value)
