import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from coordinator.models.shelf import Shelf, digest_of
from fieldvote.errors import DataError, StoreError
from fieldvote.records import HeadModel, encode


def model(parent: str = "", weight: int = 1) -> HeadModel:
    return HeadModel(
        parent=parent,
        classes=2,
        mean=np.zeros(1),
        scale=np.ones(1),
        gain=1.0,
        clip=5.0,
        recentre=0.0,
        fourier=0,
        bandwidth=1.0,
        amplitude=1.0,
        seed=1,
        weights=np.array([weight, 2, 3, 4]),
    )


def test_a_model_comes_back_as_it_was_put_under_the_digest_of_its_bytes(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "deep" / "shelf")
    digest = shelf.put(model(weight=7))
    assert digest == digest_of(model(weight=7)) == sha256(encode(model(weight=7))).hexdigest()
    assert encode(shelf.get(digest)) == encode(model(weight=7))


def test_the_same_model_is_stored_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first = shelf.put(model())
    [file] = tmp_path.iterdir()
    born = file.stat()
    assert Shelf(tmp_path).put(model()) == first
    assert shelf.versions() == (first,)
    assert [f.stat() for f in tmp_path.iterdir()] == [born]


def test_lineage_names_every_ancestor_the_youngest_first(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    line = [""]
    for weight in range(4):
        line.append(shelf.put(model(parent=line[-1], weight=weight)))
    assert shelf.lineage(line[-1]) == tuple(reversed(line[1:]))
    assert shelf.lineage("") == ()
    assert set(shelf.versions()) == set(line[1:])


@pytest.mark.parametrize("fault", ["write", "fsync", "replace"])
def test_a_disk_that_fails_leaves_no_part_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    shelf = Shelf(tmp_path)
    kept = shelf.put(model())

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        if fault == "write":
            broken.setattr(Path, "open", full)
        elif fault == "fsync":
            broken.setattr(os, "fsync", full)
        else:
            broken.setattr(Path, "replace", full)
        with pytest.raises(StoreError, match="No space left"):
            shelf.put(model(weight=9))
    assert [file.name for file in tmp_path.iterdir()] == [f"{kept}.head"]
    assert shelf.put(model(weight=9)) in shelf.versions()


def test_a_process_that_dies_while_writing_leaves_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path)

    def die(_descriptor: int) -> None:
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", die)
        with pytest.raises(SystemExit):
            shelf.put(model())
    assert Shelf(tmp_path).versions() == ()
    with pytest.raises(DataError):
        Shelf(tmp_path).get(digest_of(model()))
    # what was left beside is in nobody's way
    assert Shelf(tmp_path).get(shelf.put(model())).classes == 2


def test_the_model_and_its_name_are_synced_before_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    sync = os.fsync

    def remember(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", remember)
    digest = Shelf(tmp_path).put(model())
    assert synced == [tmp_path / f"{digest}.part", tmp_path]


@pytest.mark.parametrize("position", [0, 10, -1])
def test_a_tampered_file_is_refused(tmp_path: Path, position: int) -> None:
    shelf = Shelf(tmp_path)
    digest = shelf.put(model())
    [file] = tmp_path.iterdir()
    blob = bytearray(file.read_bytes())
    blob[position] ^= 1
    file.write_bytes(blob)
    with pytest.raises(DataError, match="its digest differs"):
        shelf.get(digest)
    file.write_bytes(blob[:5])
    with pytest.raises(DataError):
        shelf.get(digest)


def test_a_version_that_is_not_here_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no model 000000000000"):
        Shelf(tmp_path).get("0" * 64)
    with pytest.raises(DataError):
        Shelf(tmp_path).lineage(Shelf(tmp_path).put(replace(model(), parent="f" * 64)))


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot make"):
        Shelf(tmp_path / "file" / "shelf")
