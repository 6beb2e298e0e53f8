from hashlib import sha256

import pytest

from coordinator.store.campaign import Store
from fieldvote.errors import DataError
from tests.coordinator.store.places import Place


def test_an_artifact_is_called_by_what_it_is_and_shared_by_all_campaigns(place: Place) -> None:
    store, other = place.store("one"), place.store("other")
    blob = bytes(range(256)) * 4096
    digest = store.keep_artifact(blob)
    assert digest == sha256(blob).hexdigest()
    assert other.keep_artifact(blob) == digest
    assert other.artifact(digest) == blob
    empty = other.keep_artifact(b"")
    assert store.artifacts() == tuple(sorted([digest, empty]))


def train_and_die(store: Store) -> None:
    with store.transaction():
        store.append("rounds", 0, "Trained", store.keep_artifact(b"model"))
        raise RuntimeError


def test_an_event_and_the_artifact_it_names_are_there_together_or_not(place: Place) -> None:
    store = place.store()
    with pytest.raises(RuntimeError):
        train_and_die(store)
    assert store.artifacts() == ()
    assert store.events("rounds") == []


def test_an_artifact_that_is_not_here_or_was_changed_is_refused(place: Place) -> None:
    store = place.store()
    digest = store.keep_artifact(b"model")
    with pytest.raises(DataError, match="no artifact"):
        store.artifact(sha256(b"another").hexdigest())
    other = sha256(b"another").hexdigest()
    place.tamper(f"UPDATE artifact SET digest = '{other}'")  # noqa: S608  # a digest
    with pytest.raises(DataError, match="changed on the disk"):
        store.artifact(other)
    with pytest.raises(DataError):
        store.artifact(digest)


def test_the_last_word_of_a_note_counts(place: Place) -> None:
    store = place.store()
    assert store.note("task") is None
    store.keep_note("task", "a")
    store.keep_note("task", "b")
    assert store.note("task") == "b"
