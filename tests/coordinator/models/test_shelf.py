import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from coordinator.models.shelf import Shelf, digest_of
from coordinator.store.campaign import Store, open_store
from fieldvote.errors import DataError
from fieldvote.heads import HeadModel
from fieldvote.records import (
    encode,
)
from tests.coordinator.rounds.campaign import NOON


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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path / "store.sqlite", now=lambda: NOON)) as fresh:
        yield fresh


def test_a_model_comes_back_as_it_was_put_under_the_digest_of_its_bytes(store: Store) -> None:
    shelf = Shelf(store)
    digest = shelf.put(model(weight=7))
    assert digest == digest_of(model(weight=7)) == sha256(encode(model(weight=7))).hexdigest()
    assert encode(shelf.get(digest)) == encode(model(weight=7))


def test_the_same_model_is_stored_once(store: Store) -> None:
    first = Shelf(store).put(model())
    assert Shelf(store).put(model()) == first
    assert store.artifacts() == (first,)


def test_lineage_names_every_ancestor_the_youngest_first(store: Store) -> None:
    shelf = Shelf(store)
    line = [""]
    for weight in range(4):
        line.append(shelf.put(model(parent=line[-1], weight=weight)))
    assert shelf.lineage(line[-1]) == tuple(reversed(line[1:]))
    assert shelf.lineage("") == ()


def _break_off(store: Store) -> None:
    with store.transaction():
        Shelf(store).put(model())
        store.append("rounds", 0, "Trained", "{}")
        raise SystemExit


def test_a_step_that_dies_leaves_neither_the_model_nor_the_event_that_names_it(
    store: Store,
) -> None:
    with pytest.raises(SystemExit):
        _break_off(store)
    assert store.events("rounds") == []
    with pytest.raises(DataError):
        Shelf(store).get(digest_of(model()))
    assert Shelf(store).get(Shelf(store).put(model())).classes == 2


def test_whoever_takes_over_finds_the_models_of_the_one_before(
    store: Store, tmp_path: Path
) -> None:
    digest = Shelf(store).put(model())
    with closing(open_store(tmp_path / "store.sqlite", now=lambda: NOON)) as other:
        assert encode(Shelf(other).get(digest)) == encode(model())


@pytest.mark.parametrize("position", [0, 10, -1])
def test_a_tampered_model_is_refused(store: Store, tmp_path: Path, position: int) -> None:
    digest = Shelf(store).put(model())
    blob = bytearray(encode(model()))
    blob[position] ^= 1
    for changed in (bytes(blob), bytes(blob[:5])):
        with closing(sqlite3.connect(tmp_path / "store.sqlite")) as file, file:
            file.execute("UPDATE artifact SET blob = ?", [changed])
        with pytest.raises(DataError, match="was changed on the disk"):
            Shelf(store).get(digest)


def test_a_version_that_is_not_here_is_said_so(store: Store) -> None:
    with pytest.raises(DataError, match="no artifact 000000000000"):
        Shelf(store).get("0" * 64)
    orphan = Shelf(store).put(replace(model(), parent="f" * 64))
    with pytest.raises(DataError, match="no artifact ffffffffffff"):
        Shelf(store).lineage(orphan)
