"""The finder of planted strings finds them however they are wrapped: it is what proofs rest on."""

import base64
import bz2
import gzip
import lzma
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import msgpack
import pytest

from fieldvote.rng import keyed_entropy
from tests.doubles.needles import found_in

NEEDLES = ["Zbigniew Kowalski", "4111 1111 1111 1111", "hunter-Tz9!", "z@ex.example"]
TEXT = f"dear {NEEDLES[0]}, {NEEDLES[1]} and {NEEDLES[2]} and {NEEDLES[3]} are safe"

WRAPPED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "upper": bytes.upper,
    "utf-16": lambda text: text.decode().encode("utf-16"),
    "utf-16-be": lambda text: text.decode().encode("utf-16-be"),
    "utf-32": lambda text: text.decode().encode("utf-32"),
    "hex": lambda text: text.hex().encode(),
    "HEX": lambda text: text.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64 at 1": lambda text: base64.b64encode(b"x" + text),
    "base64 at 2": lambda text: base64.b64encode(b"xy" + text),
    "urlsafe": lambda text: base64.urlsafe_b64encode(b"\xff\xfe\xfd" + text),
    "base64 in lines": base64.encodebytes,
    "backwards": lambda text: text[::-1],
    "zlib": zlib.compress,
    "zlib within": lambda text: b"head" + zlib.compress(text, 9) + b"tail",
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "msgpack": lambda text: msgpack.packb({"a": [text.decode(), 3]}),
    "msgpack, zlib, base64": lambda text: base64.b64encode(zlib.compress(msgpack.packb([text]))),
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text).encode(),
}


@pytest.mark.parametrize("how", list(WRAPPED))
def test_what_is_planted_is_found(how: str) -> None:
    noise = keyed_entropy(1, how)
    content = WRAPPED[how](TEXT.encode())
    assert found_in(NEEDLES, content) == set(NEEDLES)
    if how not in {"bz2", "xz"}:
        assert found_in(NEEDLES, noise(999) + b"\n" + content + b"\n" + noise(99)) == set(NEEDLES)


def test_a_long_cell_of_a_database_is_found_though_it_lies_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with closing(sqlite3.connect(path)) as store:
        store.execute("CREATE TABLE t (a, b)")
        for shift in range(0, 4096, 64):
            blob = zlib.compress(b"." * shift + TEXT.encode(), 0)
            store.execute("INSERT INTO t VALUES (?, ?)", (shift, blob))
        store.commit()
    assert found_in(NEEDLES, path.read_bytes()) == set(NEEDLES)


def test_noise_holds_nothing() -> None:
    assert found_in(NEEDLES, keyed_entropy(2, "noise")(500_000)) == set()
    assert found_in([quote("x y")], b"x y") == set()
