"""Pages: which blocks in which order, in which form and coding; all of it stands in the target of a request.

So the server keeps nothing, and who reads rows back knows from the list of targets what must be there.
"""

import dataclasses
import functools
import hashlib
import itertools
import urllib.parse

from .kinds import FIRST_ID, kind
from .text import GZIP_HEAD, GZIP_LAST_BLOCK, GZIP_TRAILER_BYTES, Text, gzip_trailer



def _form(opening, separator, closing):
    return Text([opening]), separator, Text([closing])


#: What opens a page, stands between records, and closes a page.
FORMS = {
    "lines": _form(b"", b"\n", b"\n"),
    "array": _form(b"[", b",\n", b"]\n"),
    "documents": _form(b"", b"", b""),
    "envelope": _form(b'{"next":null,"meta":{"of":[1,2,{"Records":[]}]},"Records":[', b",\n", b'],"count":1}\n'),
    # The member before the records is as long as the blocks `letters` make it.
    "trace": _form(b'{"trace":"', b",\n", b"]}\n"),
}
#: Every page begins at a multiple of it, whatever stands in it.
PAGE_SPAN = 1000


@dataclasses.dataclass(frozen=True)
class Block:
    """One block of a page."""

    kind_name: str
    #: Its first id, counted from FIRST_ID.
    first: int


@dataclasses.dataclass(frozen=True)
class Page:
    """A page, and how it is served."""

    #: Kinds of blocks and how many of each.
    of: tuple[tuple[str, int], ...]
    #: Its first id, counted from FIRST_ID.
    first: int = 0
    form: str = "lines"
    #: "" or "gzip", as a Content-Encoding; or "file" for a gzip file.
    coding: str = ""
    #: How the answer says where it ends: "length", "chunked", or "close" for not at all.
    framing: str = "length"
    hold_ms: int = 0
    #: After how many bytes of the body as sent the attempts end; later attempts get the page whole.
    cuts: tuple[int, ...] = ()
    #: Whether every attempt ends at the last cut.
    is_cut_always: bool = False
    #: What happens at a cut: "close", "reset" or "stall".
    ending: str = "close"
    #: Tells pages apart that are the same otherwise.
    tag: str = ""

    @property
    def target(self):
        """Path and query of the page."""
        of = ",".join(f"{name}:{count}" for name, count in self.of)
        query = {"of": of, "first": self.first, "framing": self.framing}
        if self.hold_ms:
            query["hold_ms"] = self.hold_ms
        if self.cuts:
            query |= {"cuts": ",".join(map(str, self.cuts)), "always": int(self.is_cut_always), "ending": self.ending}
        if self.coding:
            query["coding"] = self.coding
        if self.tag:
            query["tag"] = self.tag
        suffix = ".gz" if self.coding == "file" else ""
        return f"/{self.form}.{self.extension}{suffix}?{urllib.parse.urlencode(query, safe=':,')}"

    @classmethod
    def parse(cls, target):
        """The page of a target."""
        path, _, query = target.partition("?")
        values = dict(urllib.parse.parse_qsl(query))
        return cls(
            of=tuple((name, int(count)) for name, count in (part.split(":") for part in values["of"].split(","))),
            first=int(values["first"]),
            form=path.strip("/").split(".")[0],
            coding=values.get("coding", ""),
            framing=values["framing"],
            hold_ms=int(values.get("hold_ms", 0)),
            cuts=tuple(map(int, values["cuts"].split(","))) if "cuts" in values else (),
            is_cut_always=values.get("always") == "1",
            ending=values.get("ending", "close"),
            tag=values.get("tag", ""),
        )

    @property
    def extension(self):
        """What the end of the path says of the form."""
        return "ndjson" if self.form == "lines" else "json"

    @property
    def separator(self):
        """What stands between two records."""
        return FORMS[self.form][1]

    def kinds(self):
        """The kinds of blocks, each once."""
        return {name: kind(name, self.separator) for name, _ in self.of}

    def blocks(self):
        """The blocks in order."""
        first = self.first
        kinds = self.kinds()
        for name, count in self.of:
            span = kinds[name].span
            first += -first % max(span, 1)
            for _ in range(count):
                yield Block(name, first)
                first += span

    @property
    def next_first(self):
        """Where a page after this one may begin."""
        kinds = self.kinds()
        end = self.first
        for name, count in self.of:
            span = kinds[name].span
            end += -end % max(span, 1) + span * count
        return end + -end % PAGE_SPAN

    @functools.cached_property
    def record_count(self):
        """Records, rejected ones too."""
        kinds = self.kinds()
        return sum(len(kinds[name].starts) * count for name, count in self.of)

    @functools.cached_property
    def row_count(self):
        """Records that become rows."""
        kinds = self.kinds()
        return sum(len(kinds[name].rows) * count for name, count in self.of)

    # The body, byte by byte.

    def _last_separated(self):
        """The index of the last block that would have a separator behind it, were it not the last one."""
        kinds, index, last = self.kinds(), -1, -1
        for name, count in self.of:
            index += count
            if kinds[name].starts:
                last = index
        return last

    def _texts(self):
        """All that the body is made of, one after the other: a text and its number."""
        opening, _, closing = FORMS[self.form]
        kinds, last = self.kinds(), self._last_separated()
        yield opening, b""
        for index, block in enumerate(self.blocks()):
            of = kinds[block.kind_name]
            yield (of.text if index == last else of.text_and_separator), of.prefix(block.first)
        yield closing, b""

    def segments(self):
        """The body as it is sent."""
        if not self.coding:
            for text, number in self._texts():
                yield from text.segments(number)
            return
        checksum, length = 0, 0
        yield GZIP_HEAD
        for text, number in self._texts():
            compressed = text.gzip()
            yield compressed.bytes_with(number)
            checksum = compressed.checksum_after(checksum, number)
            length += text.length
        yield GZIP_LAST_BLOCK + gzip_trailer(checksum, length)

    @functools.cached_property
    def plain_bytes(self):
        """Length of the body before any coding."""
        return sum(text.length for text, _ in self._texts())

    @functools.cached_property
    def sent_bytes(self):
        """Length of the body as it is sent."""
        if not self.coding:
            return self.plain_bytes
        ends = len(GZIP_HEAD) + len(GZIP_LAST_BLOCK) + GZIP_TRAILER_BYTES
        return ends + sum(text.gzip().length for text, _ in self._texts())

    def offset_of_block(self, index):
        """Where the block of this index begins in the plain body."""
        return sum(text.length for text, _ in itertools.islice(self._texts(), 1 + index))

    def rejects(self):
        """(record, byte_offset, raw) of each record that is to be rejected; raw is None for a giant one."""
        kinds, opening = self.kinds(), FORMS[self.form][0]
        record, offset, giant_offset = 0, opening.length, None
        for block in self.blocks():
            of = kinds[block.kind_name]
            if block.kind_name == "giant-begin":
                giant_offset = offset
            for index, raw in of.rejects:
                if block.kind_name == "giant-end":
                    yield record, giant_offset, None
                else:
                    yield record + index, offset + of.starts[index], raw.replace(b"@", of.prefix(block.first))
            record += len(of.starts)
            offset += of.text_and_separator.length

    def giant(self):
        """Size and SHA-256 of the record that is larger than any record may be."""
        digest, size = hashlib.sha256(), 0
        kinds = self.kinds()
        for name, count in self.of[self._place_of("giant-begin") : self._place_of("giant-end") + 1]:
            for _ in range(count):
                digest.update(kinds[name].text.pieces[0])
                size += kinds[name].text.length
        return size, digest.hexdigest()

    def _place_of(self, name):
        return [known for known, _ in self.of].index(name)


def list_of(pages):
    """These pages one after the other, each with ids behind those of the one before."""
    first, placed = 0, []
    for page in pages:
        placed.append(dataclasses.replace(page, first=first))
        first = placed[-1].next_first
    return placed


def filled(name, body_bytes, **how):
    """A page of one kind, of about as many bytes before any coding, one block at least."""
    page = Page(((name, 1),), **how)
    of = page.kinds()[name]
    count = max(1, round(body_bytes / of.text_and_separator.length))
    return dataclasses.replace(page, of=((name, count),))


assert FIRST_ID % PAGE_SPAN == 0, "the last digits of an id are its place in a block"
