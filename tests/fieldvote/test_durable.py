"""Files that are there whole or not at all, and for their owner alone."""

import os
from pathlib import Path

import pytest

from fieldvote.durable import write_new, write_once, write_over
from fieldvote.errors import InputError, StoreError


@pytest.mark.parametrize("write", [write_once, write_new, write_over])
def test_a_file_is_for_its_owner_alone_unless_a_mode_says_otherwise(tmp_path: Path, write) -> None:
    write(tmp_path / "own", b"secret")
    write(tmp_path / "all", b"public", mode=0o644)
    assert (tmp_path / "own").read_bytes() == b"secret"
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "all").stat().st_mode & 0o077


@pytest.mark.parametrize(
    ("write", "error"), [(write_once, FileExistsError), (write_new, InputError)]
)
def test_what_is_there_is_not_written_over_by_mistake(tmp_path: Path, write, error) -> None:
    (tmp_path / "key").write_bytes(b"the only one")
    with pytest.raises(error):
        write(tmp_path / "key", b"another")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [
        ("key", b"the only one")
    ]


@pytest.mark.parametrize("write", [write_new, write_over])
def test_a_write_that_fails_half_way_leaves_what_was_there_and_the_next_one_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    if write is write_over:
        (tmp_path / "key").write_bytes(b"before")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left"):
            write(tmp_path / "key", b"after")
    after = {p.name: p.read_bytes() for p in tmp_path.iterdir() if not p.name.endswith(".new")}
    assert after == before
    write(tmp_path / "key", b"after")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("key", b"after")]
