"""Bundles: the same files are the same bytes, and no bytes lead out of a folder."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.bundle import TARGETS_FILE, Bundle, signed_content, unpack
from fieldvote.errors import InputError, TaskError, WireError
from tests.doubles.tasks import text_files, write_task

NAMES = st.text("abcdefgh.-_ 123", min_size=1, max_size=12).filter(lambda n: n[0] != ".")
FILES = st.dictionaries(NAMES, st.binary(max_size=300), max_size=16)
ESCAPES = [
    "../up",
    "a/b",
    "/etc/passwd",
    "..",
    ".",
    ".hidden",
    "",
    "c:x",
    "a\\b",
    "a\0b",
    "n" * 129,
]


@settings(deadline=None, max_examples=100)
@given(FILES, st.randoms())
def test_what_is_unpacked_is_what_was_packed_in_any_order(
    files: dict[str, bytes], chance: Random
) -> None:
    names = list(files)
    chance.shuffle(names)
    bundle = Bundle.of({name: files[name] for name in names})
    assert unpack(bundle.content) == files
    assert bundle == Bundle.of(files)
    assert bundle.name == sha256(bundle.content).digest()
    assert bundle.size_bytes == len(bundle.content)


@settings(deadline=None, max_examples=100)
@given(FILES.filter(bool), st.integers(0, 2**32))
def test_changed_bytes_are_other_files_under_another_name_or_no_bundle(
    files: dict[str, bytes], seed: int
) -> None:
    bundle, chance = Bundle.of(files), np.random.default_rng(seed)
    for blob in mutated(bundle.content, chance):
        try:
            read = unpack(blob)
        except WireError:
            continue
        assert Bundle.of(read).content == blob
        assert blob == bundle.content or sha256(blob).digest() != bundle.name


def mutated(content: bytes, chance: np.random.Generator) -> Iterator[bytes]:
    for _ in range(10):
        blob = bytearray(content)
        place = int(chance.integers(0, len(blob)))
        match int(chance.integers(0, 3)):
            case 0:
                blob[place] = int(chance.integers(0, 256))
            case 1:
                del blob[place:]
            case _:
                blob.insert(place, int(chance.integers(0, 256)))
        yield bytes(blob)


@pytest.mark.parametrize("name", ESCAPES)
def test_a_name_that_is_no_plain_file_name_is_neither_packed_nor_unpacked(name: str) -> None:
    with pytest.raises(InputError):
        Bundle.of({name: b""})
    with pytest.raises(WireError):
        unpack(msgpack.packb([1, [[name, b""]]]))


@pytest.mark.parametrize(
    "said",
    [
        [2, []],
        [True, []],
        [1],
        1,
        [1, [["a"]]],
        [1, [["a", "text"]]],
        [1, [["b", b""], ["a", b""]]],
        [1, [["a", b""], ["a", b""]]],
        [1, [[b"a", b""]]],
        [1, [["a", {}]]],
        [1, [[f"{n}", b""] for n in range(129)]],
    ],
)
def test_what_packing_does_not_write_is_no_bundle(said: object) -> None:
    with pytest.raises(WireError):
        unpack(msgpack.packb(said))


def test_more_files_than_a_task_has_are_refused() -> None:
    with pytest.raises(InputError, match="at most 128 files"):
        Bundle.of({f"{n}": b"" for n in range(129)})


def test_a_folder_is_packed_with_what_signs_it_and_nothing_else(tmp_path: Path) -> None:
    files = text_files()
    folder = write_task(
        tmp_path / "task", {**files, "notes.txt": b"mine", "timestamp.msgpack": b"over soon"}
    )
    assert Bundle.load(folder) is None
    (folder / TARGETS_FILE).write_bytes(b"signed")
    assert Bundle.load(folder) == Bundle.of({**files, TARGETS_FILE: b"signed"})
    with pytest.raises(TaskError):
        Bundle.load(tmp_path / "absent")


def test_what_is_signed_names_the_words_that_may_leave() -> None:
    files = text_files()
    signed = signed_content(files, "task", vocabulary=lambda name: f"words of {name}")
    assert signed == {**files, "vocabulary/en": b"words of en"}
