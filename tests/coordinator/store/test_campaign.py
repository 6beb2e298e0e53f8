"""What the rounds, the desk and the inbox ask of the store, on both databases."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.store.campaign import open_store
from fieldvote.errors import StoreError
from fieldvote.records import DeviceId
from tests.coordinator.store.places import (
    NOON,
    Place,
    candidate,
    device,
    everything,
    label_it,
    offer,
    write_a_bit_of_everything,
)

# each example has a campaign of its own
law = settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@law
@given(messages=st.lists(st.sampled_from(["1/survey/1", "1/survey/2", "2/survey/1"]), max_size=12))
def test_a_message_is_admitted_once(place: Place, messages: list[str]) -> None:
    store = place.fresh_campaign()
    admitted = [message for message in messages if store.admit(message)]
    assert sorted(admitted) == sorted(set(messages))


VECTORS = st.lists(
    st.lists(st.integers(-(2**40), 2**40), min_size=3, max_size=3), min_size=1, max_size=8
)


@law
@given(vectors=VECTORS, cut=st.integers(0, 8))
def test_a_total_is_the_sum_of_what_was_added_one_by_one_or_many_at_once(
    place: Place, vectors: list[list[int]], cut: int
) -> None:
    store = place.fresh_campaign()
    arrays = [np.array(vector, dtype=np.int64) for vector in vectors]
    assert store.total("votes") is None
    for vector in arrays[:cut]:
        store.add("votes", vector)
        store.add("other", np.zeros(2, dtype=np.int64))
    store.add_many("votes", arrays[cut:])
    total = store.total("votes")
    assert total is not None
    assert total.dtype == np.int64
    assert total.tolist() == np.array(vectors).sum(axis=0).tolist()
    assert [array.tolist() for array in arrays] == vectors


def test_adding_nothing_leaves_no_total(place: Place) -> None:
    store = place.store()
    store.add_many("votes", [])
    assert store.total("votes") is None


def test_a_vector_of_another_length_is_refused_and_the_total_stays(place: Place) -> None:
    store = place.store()
    store.add("votes", np.array([1, 2]))
    with pytest.raises(StoreError, match="votes has 2 entries, 3 were to be added"):
        store.add_many("votes", [np.array([5, 5]), np.array([1, 2, 3])])
    assert store.total("votes").tolist() == [1, 2]  # type: ignore[union-attr]  # it was added to


def test_a_request_waits_until_its_reply_is_counted_and_the_first_bytes_stay(place: Place) -> None:
    store = place.store()
    for number in (7, 3, 2**63 - 1, -5):
        store.expect_all(1, "survey", {DeviceId(number): b"first"})
    store.expect_all(1, "survey", {DeviceId(3): b"second"})
    assert store.expected(1, "survey") == dict.fromkeys([-5, 3, 7, 2**63 - 1], b"first")
    assert store.admit("1/survey/3")
    store.expect_all(1, "survey", {DeviceId(3): b"third"})
    assert list(store.expected(1, "survey")) == [-5, 7, 2**63 - 1]
    assert store.expected(1, "collect") == {}


def test_overdue_exchanges_come_in_the_order_they_were_begun(place: Place) -> None:
    store = place.store()
    begun = [(2, "survey"), (2, "collect"), (2, "answers"), (3, "survey"), (3, "answers")]
    for round_number, phase in begun:
        for number in (1, 2):
            store.expect_all(round_number, phase, {DeviceId(number): b""})
    store.expect_all(4, "survey", {DeviceId(1): b""})
    store.admit("2/survey/1")
    assert store.overdue(4) == begun
    for number in (1, 2):
        store.admit(f"2/collect/{number}")
    assert store.overdue(4) == [begun[0], *begun[2:]]
    assert store.overdue(2) == []


def test_the_keys_a_device_came_with_first_stay(place: Place) -> None:
    store = place.store()
    store.meet(device(9))
    store.meet(device(3, evaluates=True))
    store.meet(device(9, signing_key=b"x" * 32, sealing_key=b"y" * 32, evaluates=True))
    assert store.devices() == {3: device(3, evaluates=True), 9: device(9)}
    assert list(store.devices()) == [3, 9]


def test_the_first_envelope_and_the_first_label_stay(place: Place) -> None:
    store, item = place.store(), b"i" * 16
    store.keep_candidate(1, candidate(item, b"first"))
    store.keep_candidate(2, candidate(item, b"second", number=2))
    assert store.queue() == [candidate(item, b"first")]
    label_it(store, item, 1, 0.5, b"answer one")
    label_it(store, item, 0, 9.0, b"answer two")
    assert store.queue() == []
    assert store.undelivered() == {1: [(item, b"answer one")]}
    assert store.paid() == (1, 0.5)


@law
@given(order=st.permutations(range(8)), granted=st.sets(st.integers(0, 9)))
def test_offers_come_back_by_item_id_whatever_the_order_they_came_in(
    place: Place, order: list[int], granted: set[int]
) -> None:
    store = place.fresh_campaign()
    store.keep_offers(1, [offer(bytes([n]) * 16, score=n) for n in order])
    store.keep_offers(2, [offer(b"z" * 16)])
    store.grant(1, [bytes([n]) * 16 for n in granted])
    assert [o.score for o in store.offers(1)] == list(range(8))
    found = [o.score for o in store.offers(1, granted=True)]
    assert found == sorted(n for n in granted if n < 8)
    assert store.offers(2, granted=True) == []


def test_an_offer_made_twice_is_kept_once_and_none_is_fine(place: Place) -> None:
    store = place.store()
    store.keep_offers(1, [offer(b"a" * 16, score=5)])
    store.keep_offers(1, [offer(b"a" * 16, number=2, score=9)])
    store.keep_offers(1, [])
    store.grant(1, [])
    assert store.offers(1) == [offer(b"a" * 16, score=5)]


def test_an_answer_is_counted_in_one_round_and_delivered_once(place: Place) -> None:
    store, a, b = place.store(), b"a" * 16, b"b" * 16
    store.meet(device(1))
    for item in (b, a):
        store.keep_candidate(1, candidate(item))
    label_it(store, a, 0, 0.25, b"A")
    assert store.count_labels(1) == (1, 1, 0.25)
    label_it(store, b, 1, 0.5, b"B")
    assert store.count_labels(2) == (1, 1, 0.5)
    assert store.count_labels(1) == (1, 1, 0.25)
    assert store.undelivered() == {1: [(a, b"A"), (b, b"B")]}
    store.mark_sent(2, [a])
    assert store.undelivered() == {1: [(b, b"B")]}
    assert store.sent(2) == {1: [a]}
    store.mark_delivered(DeviceId(1), [a])
    assert store.devices()[DeviceId(1)].teaches
    assert store.paid() == (2, 0.75)


def test_a_thousand_small_prices_add_up_to_the_cent(place: Place) -> None:
    store = place.store()
    with store.transaction():
        for number in range(1000):
            store.keep_candidate(1, candidate(number.to_bytes(16, "big")))
            label_it(store, number.to_bytes(16, "big"), 0, 0.1, b"")
    assert store.paid() == (1000, 100.0)  # in floating point the sum is 99.9999999999986


def test_the_queue_is_oldest_round_first(place: Place) -> None:
    store = place.store()
    for round_number, item in ((2, b"a"), (1, b"z"), (1, b"b")):
        store.keep_candidate(round_number, candidate(item * 16))
    assert [waiting.item[:1] for waiting in store.queue()] == [b"b", b"z", b"a"]


def test_a_label_without_a_candidate_is_refused(place: Place) -> None:
    store = place.store()
    with pytest.raises(StoreError), store.transaction():
        label_it(store, b"x" * 16, 0, 0.1, b"")
    assert store.paid() == (0, 0.0)


def test_campaigns_of_one_database_see_nothing_of_each_other(place: Place) -> None:
    one, other = place.store("one"), place.store("other")
    with one.transaction():
        write_a_bit_of_everything(one, 0)
    before = everything(one.database)
    assert other.events("rounds") == []
    assert other.streams() == ()
    assert (other.devices(), other.queue(), other.owed()) == ({}, [], [])
    assert (other.owed(), other.paid(), other.total("votes")) == ([], (0, 0.0), None)
    assert (other.note("task"), other.snapshot("rounds")) == (None, None)
    assert all(s.reserved == s.spent == 0 for s in other.budget().values())
    with other.transaction():
        write_a_bit_of_everything(other, 0)
    after = everything(one.database)
    assert {name: rows[: len(before[name])] for name, rows in after.items()} == before
    shared = {"artifact", "fieldvote_meta", "lease"}
    assert all(len(after[n]) == 2 * len(before[n]) for n in before if n not in shared)


def test_a_store_in_memory_has_the_same_tables() -> None:
    store = open_store(None, now=lambda: NOON)
    with store.transaction():
        write_a_bit_of_everything(store, 0)
    assert store.campaign == "first"
    assert all(rows for name, rows in everything(store.database).items() if name != "lease")
    store.close()
    store.close()
    for read in (store.devices, store.queue, store.undelivered, store.paid):
        with pytest.raises(StoreError, match="closed"):
            read()
