"""Finding planted strings in bytes, in whatever they may be wrapped: it knows no code of ours.

A needle is looked for as text of several widths, in hexadecimal, base64 and percent signs,
backwards, and inside whatever can be unpacked: zlib, gzip, bz2, xz, base64 and hexadecimal runs,
and the cells of SQLite files, one layer within another.
"""

import base64
import bz2
import lzma
import re
import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

_DEPTH = 3
_LEAST = 24  # characters of base64 or hexadecimal worth unpacking
_MOST = 32 * 2**20  # bytes of one unpacking
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{%d,}={0,2}" % _LEAST)
_LINES = re.compile(rb"[A-Za-z0-9+/]{60,}\n[A-Za-z0-9+/]+")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){%d,}" % (_LEAST // 2))
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_GZIP = b"\x1f\x8b\x08"
_SQLITE = b"SQLite format 3\x00"


def spellings(needle: str) -> set[bytes]:
    """Return the ways a string may stand in bytes; letters in lower case where case is folded."""
    plain = needle.encode()
    found = {plain, needle[::-1].encode()}
    found |= {needle.encode(name) for name in ("utf-16-le", "utf-16-be", "utf-32-le")}
    found.add(plain.hex().encode())
    found.add("".join(f"%{byte:02x}" for byte in plain).encode())
    found.add(needle.encode("unicode_escape"))
    for shift in range(3):
        # in base64 a string looks different at each of three places; its ends mix with others
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            body = encode(b"\0" * shift + plain)
            whole = body[(shift * 8 + 5) // 6 : (len(plain) + shift) * 8 // 6]
            if len(whole) >= 8:
                found.add(b"\0base64" + whole)
    return found


def found_in(needles: Iterable[str], content: bytes) -> set[str]:
    """Return which needles stand in these bytes.

    >>> sorted(found_in(["Zbigniew"], zlib.compress(b"dear zbigniew")))
    ['Zbigniew']
    """
    table = {
        needle: (
            {each.lower() for each in spellings(needle) if not each.startswith(b"\0base64")},
            {each.removeprefix(b"\0base64") for each in spellings(needle) if each[:1] == b"\0"},
        )
        for needle in needles
    }
    found: set[str] = set()
    for layer in layers(content):
        lower = layer.lower()
        for needle, (folded, exact) in table.items():
            if needle not in found and (
                any(each in lower for each in folded) or any(each in layer for each in exact)
            ):
                found.add(needle)
    return found


def layers(content: bytes, depth: int = _DEPTH) -> Iterator[bytes]:
    """Yield bytes, and all that can be unpacked from them."""
    yield content
    if depth == 0:
        return
    for inner in _unpacked(content):
        yield from layers(inner, depth - 1)


def _unpacked(content: bytes) -> Iterator[bytes]:
    """Yield what lies packed in these bytes, one layer down."""
    if content.startswith(_SQLITE):
        yield from _cells(content)
    for match in _ZLIB.finditer(content):
        yield from _inflated(content[match.start() :], zlib.MAX_WBITS)
    place = content.find(_GZIP)
    while place >= 0:
        yield from _inflated(content[place:], zlib.MAX_WBITS | 16)
        place = content.find(_GZIP, place + 1)
    for magic, unpack in ((b"BZh", bz2.decompress), (b"\xfd7zXZ", lzma.decompress)):
        if (place := content.find(magic)) >= 0:
            with suppress(OSError, ValueError, lzma.LZMAError, EOFError):
                yield unpack(content[place:])
    if b"=\n" in content or _LINES.search(content):
        yield content.replace(b"\n", b"")  # base64 in lines, as mail writes it
    for match in _BASE64.finditer(content):
        run = match[0].rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        with suppress(ValueError):
            yield base64.b64decode(run + b"=" * (-len(run) % 4))
    for match in _HEX.finditer(content):
        yield bytes.fromhex(match[0].decode())


def _inflated(content: bytes, window: int) -> Iterator[bytes]:
    """Yield what a deflated stream holds, as far as it goes."""
    with suppress(zlib.error):
        given = zlib.decompressobj(window).decompress(content, _MOST)
        if given:
            yield given


def _cells(content: bytes) -> Iterator[bytes]:
    """Yield every text and blob of a SQLite file: a long one lies in pieces on its pages."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.sqlite"
        path.write_bytes(content)
        # a copy without its write-ahead log opens as what was last put into the file itself
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as database:
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (name,) in names.fetchall():
                with suppress(sqlite3.Error):
                    for row in database.execute(f'SELECT * FROM "{name}"'):  # noqa: S608  # its own
                        for cell in row:
                            if isinstance(cell, str):
                                yield cell.encode("utf-8", "surrogatepass")
                            elif isinstance(cell, bytes):
                                yield cell
