from hashlib import sha256

import pytest

from coordinator.store.campaign import Store
from coordinator.store.chain import ROOT, link
from fieldvote.errors import DataError, InputError, StoreError
from tests.coordinator.store.places import NOON, Place


def test_events_come_back_in_the_order_of_their_versions_and_by_stream(place: Place) -> None:
    store = place.store()
    for version in (0, 1, 2):
        store.append("rounds", version, f"K{version}", f'{{"n":{version}}}')
        store.append("other", version, "X", "{}")
    assert store.events("rounds") == [(f"K{n}", f'{{"n":{n}}}') for n in range(3)]
    assert store.events("rounds", after=0) == store.events("rounds")[1:]
    assert store.events("rounds", after=2) == store.events("none") == []
    assert store.streams() == ("other", "rounds")


def come_second(store: Store) -> None:
    with store.transaction():
        store.admit("a message")
        store.append("rounds", 0, "Theirs", "{}")


def test_a_version_is_taken_once_and_leaves_no_gap(place: Place) -> None:
    store, other = place.store(), place.store()
    store.append("rounds", 0, "Mine", "{}")
    with pytest.raises(StoreError, match="exists already"):
        come_second(other)
    assert other.admit("a message")
    for version in (2, -1):
        with pytest.raises(StoreError, match="has no event"):
            store.append("rounds", version, "Too far", "{}")
    assert store.events("rounds") == [("Mine", "{}")]


def test_a_head_is_the_hash_over_all_that_came_before(place: Place) -> None:
    store = place.store("south")
    store.append("rounds", 0, "A", "é")
    store.append("rounds", 1, "B", "")

    def by_hand(previous: bytes, version: int, kind: str, body: str) -> bytes:
        said = [b"south", b"rounds", version.to_bytes(8, "big"), kind.encode(), body.encode()]
        parts = [previous, *said, NOON.isoformat().encode()]
        framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return sha256(b"fieldvote event 1" + framed).digest()

    (head,) = store.heads()
    assert (head.campaign, head.stream, head.version) == ("south", "rounds", 1)
    assert head.hash == by_hand(by_hand(bytes(32), 0, "A", "é"), 1, "B", "").hex()


def test_no_two_events_are_spelled_alike() -> None:
    said = {"campaign": "a", "stream": "b", "version": 0, "kind": "c", "body": "d", "at": "e"}
    changed = [
        {**said, "campaign": "ab", "stream": ""},
        {**said, "kind": "cd", "body": ""},
        {**said, "version": 1},
        {**said, "at": "f"},
    ]
    hashes = {link(ROOT, **each) for each in [said, *changed]}  # type: ignore[arg-type]  # a table
    hashes.add(link(b"\1" * 32, **said))  # type: ignore[arg-type]  # a table
    assert len(hashes) == 6


def test_only_the_newest_state_of_a_stream_is_kept(place: Place) -> None:
    store = place.store()
    for version in range(3):
        store.append("rounds", version, "K", "{}")
    assert store.snapshot("rounds") is None
    store.keep_snapshot("rounds", 1, b"one")
    assert store.snapshot("rounds") == (1, b"one")
    store.keep_snapshot("rounds", 0, b"older")
    assert store.snapshot("rounds") == (1, b"one")
    store.keep_snapshot("rounds", 2, b"two")
    assert store.snapshot("rounds") == (2, b"two")


def test_a_state_after_an_event_that_is_not_there_is_refused(place: Place) -> None:
    store = place.store()
    store.append("rounds", 0, "K", "{}")
    with pytest.raises(InputError, match="no event 1"):
        store.keep_snapshot("rounds", 1, b"state")
    assert store.snapshot("rounds") is None


def test_a_state_that_was_changed_on_the_disk_is_not_handed_out(place: Place) -> None:
    store = place.store()
    store.append("rounds", 0, "K", "{}")
    store.keep_snapshot("rounds", 0, b"state")
    place.tamper("UPDATE snapshot SET digest = state")
    with pytest.raises(DataError, match="replay"):
        store.snapshot("rounds")
