import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.store.rows import KnownDevice, StoredCandidate, StoredOffer
from coordinator.store.sqlite import Store
from fieldvote.errors import StoreError
from fieldvote.records import ARM_CHOSEN, Answer, DeviceId

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def opened(path: Path | None = None) -> Store:
    return Store(path, lambda: NOON)


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(opened()) as fresh:
        yield fresh


def device(number: int, **changes: bytes | bool) -> KnownDevice:
    known = {"signing_key": b"s" * 32, "sealing_key": b"e" * 32, "evaluates": False, **changes}
    return KnownDevice(id=DeviceId(number), items=5, **known)  # type: ignore[arg-type]  # a table


def offer(item: bytes, number: int = 1, score: int = 1) -> StoredOffer:
    return StoredOffer(
        device=DeviceId(number),
        item=item,
        arm=ARM_CHOSEN,
        score=score,
        predicted=0,
        sketch=bytes(8),
    )


def candidate(item: bytes, envelope: bytes = b"sealed", number: int = 1) -> StoredCandidate:
    return StoredCandidate(item=item, device=DeviceId(number), arm=0, envelope=envelope)


def everything(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with closing(sqlite3.connect(path)) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        return {
            name: db.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608  # names of ours
            for name in sorted(names)
        }


def write_a_bit_of_everything(store: Store, number: int) -> None:
    store.append("rounds", number, "Kind", "{}")
    store.admit(f"message {number}")
    store.add("votes", np.array([1, 2]))
    store.meet(device(number))
    store.keep_offers(1, [offer(bytes([number]) * 16)])
    store.grant(1, [bytes([number]) * 16])
    store.keep_candidate(1, candidate(bytes([number]) * 16))
    store.keep_label(Answer(item=bytes([number]) * 16, label=1), 0.5, b"to you")
    store.count_labels(number)


def break_off(store: Store, fault: type[BaseException]) -> None:
    with store.transaction():
        write_a_bit_of_everything(store, 2)
        store.mark_delivered(DeviceId(1), [b"\1" * 16])
        raise fault


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt, StoreError])
def test_a_transaction_is_all_or_nothing(tmp_path: Path, fault: type[BaseException]) -> None:
    path = tmp_path / "s.sqlite"
    with closing(opened(path)) as store:
        with store.transaction():
            write_a_bit_of_everything(store, 1)
        before = everything(path)
        with pytest.raises(fault):
            break_off(store, fault)
        assert everything(path) == before
        with store.transaction():
            write_a_bit_of_everything(store, 2)
    assert all(len(everything(path)[name]) == 2 for name in ("event", "inbox", "candidate"))


def test_a_process_killed_inside_a_transaction_leaves_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with closing(opened(path)) as store, store.transaction():
        write_a_bit_of_everything(store, 1)
    before = everything(path)
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.coordinator.store.test_sqlite import opened, write_a_bit_of_everything\n"
        "store = opened(Path(sys.argv[1]))\n"
        "with store.transaction():\n"
        "    write_a_bit_of_everything(store, 2)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=root, env=dict(os.environ), check=False
    )
    assert done.returncode == -signal.SIGKILL
    with closing(opened(path)) as store:
        assert store.events("rounds") == [("Kind", "{}")]
    assert everything(path) == before


def write_second(store: Store) -> None:
    with store.transaction():
        store.admit("a message")
        store.append("rounds", 0, "Theirs", "{}")


def test_the_second_writer_of_a_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with closing(opened(path)) as one, closing(opened(path)) as two:
        with one.transaction():
            one.append("rounds", 0, "Mine", "{}")
        with pytest.raises(StoreError):
            write_second(two)
        with two.transaction():
            two.append("others", 0, "Theirs", "{}")
        assert two.events("rounds") == [("Mine", "{}")]
        assert two.admit("a message")


def test_events_come_back_in_the_order_of_their_versions_and_by_stream(store: Store) -> None:
    for version in (0, 1, 2):
        store.append("rounds", version, f"K{version}", f'{{"n":{version}}}')
        store.append("other", version, "X", "{}")
    assert store.events("rounds") == [(f"K{n}", f'{{"n":{n}}}') for n in range(3)]
    assert store.events("none") == []


def fill_up(store: Store) -> int:
    """Write until the disk is full; return how many transactions went through."""
    for number in range(10_000):
        try:
            with store.transaction():
                store.admit(f"more {number}")
                store.keep_candidate(2, candidate(b"more" + number.to_bytes(12), bytes(700)))
                store.append("rounds", 1 + number, "More", "{}")
        except StoreError as err:
            assert "what was stored before is whole" in str(err)  # noqa: PT017  # where is unknown
            return number
    pytest.fail("the disk was never full")


def test_a_full_disk_is_a_store_error_and_what_was_stored_before_is_still_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.sqlite"
    with closing(opened(path)) as store:
        with store.transaction():
            write_a_bit_of_everything(store, 0)
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages + 12}")
        done = fill_up(store)
        assert done > 3
        # a full disk is no reason to lose what can still be read
        assert len(store.events("rounds")) == 1 + done
    with closing(opened(path)) as store:
        assert len(store.events("rounds")) == 1 + done
        assert len(store.queue()) == done
        assert store.labels() == (1, 0.5)
        assert store.total("votes") is not None
        assert not store.admit(f"more {done - 1}")
        assert store.admit(f"more {done}")


def test_a_store_that_is_gone_is_a_store_error_for_readers_too(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"this is no database, but long enough to look at" * 40)
    with pytest.raises(StoreError):
        opened(path)
    with pytest.raises(StoreError):
        opened(tmp_path / "no" / "such" / "folder")
    store = opened()
    store.close()
    for read in (store.devices, store.queue, store.undelivered, store.labels):
        with pytest.raises(StoreError):
            read()


def test_a_store_of_a_later_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 7")
    with pytest.raises(StoreError, match="schema 7"):
        opened(path)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(["1/survey/1", "1/survey/2", "2/survey/1"]), max_size=12))
def test_a_message_is_admitted_once(messages: list[str]) -> None:
    with closing(opened()) as store:
        admitted = [message for message in messages if store.admit(message)]
    assert sorted(admitted) == sorted(set(messages))


VECTORS = st.lists(
    st.lists(st.integers(-(2**40), 2**40), min_size=3, max_size=3), min_size=1, max_size=8
)


@settings(deadline=None, max_examples=40)
@given(VECTORS)
def test_a_total_is_the_sum_of_what_was_added(vectors: list[list[int]]) -> None:
    with closing(opened()) as store:
        assert store.total("votes") is None
        for vector in vectors:
            store.add("votes", np.array(vector, dtype=np.int64))
            store.add("other", np.zeros(2, dtype=np.int64))
        total = store.total("votes")
    assert total is not None
    assert total.dtype == np.int64
    assert total.tolist() == np.array(vectors).sum(axis=0).tolist()


def test_a_vector_of_another_length_is_refused_and_the_total_stays(store: Store) -> None:
    store.add("votes", np.array([1, 2]))
    with pytest.raises(StoreError, match="votes has 2 entries, 3 were to be added"):
        store.add("votes", np.array([1, 2, 3]))
    assert store.total("votes") is not None
    assert np.array_equal(store.total("votes"), [1, 2])  # type: ignore[arg-type]  # asserted above


def test_the_keys_a_device_came_with_first_stay(store: Store) -> None:
    store.meet(device(9))
    store.meet(device(3, evaluates=True))
    store.meet(device(9, signing_key=b"x" * 32, sealing_key=b"y" * 32, evaluates=True))
    assert store.devices() == {3: device(3, evaluates=True), 9: device(9)}
    assert list(store.devices()) == [3, 9]


def test_the_first_envelope_and_the_first_label_stay(store: Store) -> None:
    item = b"i" * 16
    store.keep_candidate(1, candidate(item, b"first"))
    store.keep_candidate(2, candidate(item, b"second", number=2))
    assert store.queue() == [candidate(item, b"first")]
    store.keep_label(Answer(item=item, label=1), 0.5, b"answer one")
    store.keep_label(Answer(item=item, label=0), 9.0, b"answer two")
    assert store.queue() == []
    assert store.undelivered() == {1: [(item, b"answer one")]}
    assert store.labels() == (1, 0.5)


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(8)), st.sets(st.integers(0, 9)))
def test_offers_come_back_by_item_id_whatever_the_order_they_came_in(
    order: list[int], granted: set[int]
) -> None:
    with closing(opened()) as store:
        store.keep_offers(1, [offer(bytes([n]) * 16, score=n) for n in order])
        store.keep_offers(2, [offer(b"z" * 16)])
        store.grant(1, [bytes([n]) * 16 for n in granted])
        assert [o.score for o in store.offers(1)] == list(range(8))
        found = [o.score for o in store.offers(1, granted=True)]
        assert found == sorted(n for n in granted if n < 8)
        assert store.offers(2, granted=True) == []


def test_an_offer_made_twice_is_kept_once(store: Store) -> None:
    store.keep_offers(1, [offer(b"a" * 16, score=5)])
    store.keep_offers(1, [offer(b"a" * 16, number=2, score=9)])
    assert store.offers(1) == [offer(b"a" * 16, score=5)]


def test_an_answer_is_counted_in_one_round_and_delivered_once(store: Store) -> None:
    a, b = b"a" * 16, b"b" * 16
    store.meet(device(1))
    for item in (b, a):
        store.keep_candidate(1, candidate(item))
    store.keep_label(Answer(item=a, label=0), 0.25, b"A")
    assert store.count_labels(1) == (1, 0.25)
    store.keep_label(Answer(item=b, label=1), 0.5, b"B")
    assert store.count_labels(2) == (1, 0.5)
    assert store.count_labels(1) == (1, 0.25)
    assert store.undelivered() == {1: [(a, b"A"), (b, b"B")]}
    store.mark_sent(2, [a])
    assert store.undelivered() == {1: [(b, b"B")]}
    assert store.sent(2) == {1: [a]}
    store.mark_delivered(DeviceId(1), [a])
    assert store.devices()[DeviceId(1)].teaches
    assert store.labels() == (2, 0.75)


def test_the_queue_is_oldest_round_first(store: Store) -> None:
    for round_number, item in ((2, b"a"), (1, b"z"), (1, b"b")):
        store.keep_candidate(round_number, candidate(item * 16))
    assert [waiting.item[:1] for waiting in store.queue()] == [b"b", b"z", b"a"]


def test_a_label_without_a_candidate_is_refused(store: Store) -> None:
    with pytest.raises(StoreError), store.transaction():
        store.keep_label(Answer(item=b"x" * 16, label=0), 0.1, b"")
    assert store.labels() == (0, 0.0)


def test_a_reader_does_not_stop_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with closing(opened(path)) as writer, closing(opened(path)) as reader:
        with writer.transaction():
            writer.append("rounds", 0, "K", "{}")
            assert reader.events("rounds") == []
        assert reader.events("rounds") == [("K", "{}")]
        with suppress(StoreError), reader.transaction():
            reader.append("rounds", 1, "K", "{}")
        assert len(writer.events("rounds")) == 2
