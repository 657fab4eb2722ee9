"""Counts the rows of a Parquet file by its footer alone, so that the harness needs no Parquet library.

The footer is a Thrift struct in the compact protocol, whose third field is `num_rows`; what stands before it is
skipped. See `parquet.thrift` (FileMetaData) and Thrift's `thrift-compact-protocol.md`.
"""

import os

MAGIC = b"PAR1"
# FileMetaData: 1 version, 2 schema, 3 num_rows.
NUM_ROWS_FIELD = 3
# Types of the compact protocol. The value of a boolean field stands in its type.
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)


class Footer:
    """A place in the bytes of a footer."""

    def __init__(self, data):
        self.data, self.place = data, 0

    def byte(self):
        """The next byte."""
        value = self.data[self.place]
        self.place += 1
        return value

    def varint(self):
        """An unsigned number of seven bits a byte, the lowest first."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def signed(self):
        """A zigzag number."""
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def fields(self):
        """The number and type of each field of a struct; who takes one reads its value before the next."""
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.signed()
            yield number, head & 0x0F

    def skip(self, kind):
        """Passes over the value of a field."""
        if kind in (TRUE, FALSE):
            return
        if kind in (I16, I32, I64):
            self.varint()
        elif kind == BYTE:
            self.place += 1
        elif kind == DOUBLE:
            self.place += 8
        elif kind == BINARY:
            length = self.varint()
            self.place += length
        elif kind in (LIST, SET):
            self.skip_list()
        elif kind == STRUCT:
            for _, member in self.fields():
                self.skip(member)
        else:
            raise ValueError(f"type {kind} in a Parquet footer")

    def skip_list(self):
        """Passes over the elements of a list; a boolean takes a byte in there."""
        head = self.byte()
        count = head >> 4 if head >> 4 != 0x0F else self.varint()
        for _ in range(count):
            self.skip(BYTE if head & 0x0F in (TRUE, FALSE) else head & 0x0F)


def row_count(path):
    """The rows that the footer of a file promises; ValueError for what is no Parquet file."""
    with open(path, "rb") as file:
        file_bytes = file.seek(0, os.SEEK_END)
        if file_bytes < 12:
            raise ValueError("shorter than a Parquet file can be")
        file.seek(-8, os.SEEK_END)
        length, magic = int.from_bytes(file.read(4), "little"), file.read(4)
        if magic != MAGIC or length > file_bytes - 12:
            raise ValueError("no Parquet footer")
        file.seek(-8 - length, os.SEEK_END)
        footer = Footer(file.read(length))
    for number, kind in footer.fields():
        if number == NUM_ROWS_FIELD:
            return footer.signed()
        footer.skip(kind)
    raise ValueError("a Parquet footer without num_rows")
