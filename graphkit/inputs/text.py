"""Bytes to text: strict decoding, by byte order mark, then UTF-8, then (for tables only) Windows-1252."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass

from graphkit.inputs.problems import Problems
from graphkit.inputs.source import Source

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
"""A JSON or YAML document is held in memory as a whole; tables are streamed and know no such limit."""

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CHUNK = 1024 * 1024
UNMARKED = "holds NUL characters: UTF-16 without a byte order mark?"

_Read = Callable[[int], bytes]


@dataclass
class Malformed(Exception):
    """The text is not what its format demands. ``line`` and ``column`` count from 1; 0 means not known."""

    message: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}" if self.line else self.message


def sniff_encoding(source: Source, problems: Problems) -> str | None:
    """The codec that decodes a table strictly, or None with a problem. Reads the file once when it has no mark."""
    with source.open() as stream:
        head = stream.read(4)
        marked = _marked(head)
        if marked:
            return marked
        if b"\0" in head:
            problems.add(source.name, "", "encoding", f"{UNMARKED} save as CSV UTF-8")
            return None
        bad_at = _first_bad_utf8(stream.read, head)
        if bad_at is None:
            return "utf-8"
        stream.seek(0)
        line = stream.read(bad_at).count(b"\n") + 1
        stream.seek(0)
        if not _decodes(stream.read, "cp1252"):
            problems.add(
                source.name, "", "encoding", f"line {line} is neither UTF-8 nor Windows-1252: save as CSV UTF-8"
            )
            return None
    problems.warn(f"{source.name}: line {line} is not UTF-8; read as Windows-1252, so look at the accents")
    return "cp1252"


def read_text(source: Source) -> str:
    """A whole document. Raises :class:`Malformed` if it is too large or neither UTF-8 nor marked UTF-16."""
    try:
        with source.open() as stream:
            data = stream.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise Malformed(f"cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise Malformed(f"larger than {MAX_DOCUMENT_BYTES // CHUNK} MB: split it, or use JSON lines or CSV")
    encoding = _marked(data) or "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Malformed(f"line {line} is not {encoding.upper()}: save the file as UTF-8") from error
    if "\0" in text:
        raise Malformed(f"{UNMARKED} save the file as UTF-8")
    return text


def _marked(head: bytes) -> str | None:
    return next((codec for mark, codec in BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)


def _first_bad_utf8(read: _Read, head: bytes) -> int | None:
    """Offset of the first byte that is not UTF-8, or None."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    done, chunk = 0, head
    while True:
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            return done - pending + error.start
        if not chunk:
            return None
        done += len(chunk)
        chunk = read(CHUNK)


def _decodes(read: _Read, encoding: str) -> bool:
    try:
        while chunk := read(CHUNK):
            chunk.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
