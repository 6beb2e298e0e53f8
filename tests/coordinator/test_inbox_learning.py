"""The inbox again: answers, gradients and confusion counts."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from coordinator.inbox import Inbox
from coordinator.store.campaign import Store, open_store
from fieldvote.heads import EvaluateReply, GradientReply, ServeReply
from fieldvote.records import (
    DeviceId,
    encode,
)
from strategies.aggregation.summed_head import head_sums
from tests.coordinator.replies import (
    ANCHORS,
    NOON,
    ONE,
    SHAPES,
    SKETCH,
    TWO,
    WIDTH,
    answers,
    item,
    keep_label_for,
    survey,
    total,
)


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(open_store(None, now=lambda: NOON)) as fresh:
        yield fresh


def bad_answers(**changes: object) -> bytes:
    return encode(replace(answers(), **changes))  # type: ignore[arg-type]  # a table


BAD_ANSWERS = {
    "noise": b"\x93\x01",
    "another kind": encode(survey()),
    "another round": encode(answers(2)),
    "anchors too short": bad_answers(anchors=ANCHORS.to_vector()[:-1]),
    "negative anchors": bad_answers(anchors=-ANCHORS.to_vector()),
    "more anchors than answers": bad_answers(anchors=ANCHORS.to_vector() * 2),
    "a sketch of another width": bad_answers(
        labeled=head_sums(np.full((1, 4), 512.0), np.ones(1), seed=1).to_vector()
    ),
    "a sketch cut short": bad_answers(labeled=SKETCH[:-1]),
    "a sketch of negative weight": bad_answers(labeled=-SKETCH),
    "a sketch that would overflow": bad_answers(labeled=np.append(SKETCH[:-1], 2**62)),
    "voted sums of another width": bad_answers(voted=SKETCH[:4]),
}


@pytest.mark.parametrize("blob", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_answers_that_do_not_fit_are_dropped_counted_and_disturb_nobody(
    store: Store, blob: bytes
) -> None:
    inbox, sent = Inbox(store, SHAPES), {ONE: [item("a")], TWO: [item("b")]}
    keep_label_for(store, "a", ONE)
    keep_label_for(store, "b", TWO)
    replies = {ONE: blob, TWO: encode(answers())}
    assert inbox.answers(1, replies, sent, width=WIDTH) == 1
    assert inbox.dropped.total() == 1
    assert total(store, "anchors") == ANCHORS.to_vector().tolist()
    assert total(store, "labeled") == SKETCH.tolist()
    assert total(store, "voted") is None
    assert [device.teaches for device in store.devices().values()] == [False, True]


def test_the_same_answers_twice_count_once(store: Store) -> None:
    inbox, blob = Inbox(store, SHAPES), encode(replace(answers(), voted=SKETCH))
    for _ in range(2):
        inbox.answers(1, {ONE: blob}, {ONE: [item("a")]}, width=WIDTH)
    assert total(store, "anchors") == ANCHORS.to_vector().tolist()
    assert total(store, "labeled") == total(store, "voted") == SKETCH.tolist()


def test_answers_of_a_device_that_was_sent_none_are_dropped(store: Store) -> None:
    inbox = Inbox(store, SHAPES)
    assert inbox.answers(1, {TWO: encode(answers())}, {ONE: [item("a")]}, width=WIDTH) == 0
    assert inbox.dropped.total() == 1
    assert total(store, "anchors") is None


def test_gradients_of_another_round_step_or_shape_are_dropped_and_counted(store: Store) -> None:
    inbox = Inbox(store, SHAPES)
    good = GradientReply(round=2, step=1, sums=np.array([1, 2, 3]))
    replies = [
        good,
        replace(good, round=1),
        replace(good, step=0),
        replace(good, sums=np.array([1, 2])),
        survey(),
    ]
    blobs = {DeviceId(number): encode(reply) for number, reply in enumerate(replies)}
    vectors = inbox.gradients(2, 1, blobs, fits=lambda vector: len(vector) == 3)
    assert {device: vector.tolist() for device, vector in vectors.items()} == {0: [1, 2, 3]}
    assert inbox.dropped.total() == 4


@pytest.mark.parametrize(
    "spoil",
    [
        lambda reply: encode(replace(reply, round=2)),
        lambda reply: encode(replace(reply, confusion=np.array([1, 0, 0]))),
        lambda reply: encode(replace(reply, confusion=np.array([1, 0, 0, -1]))),
        lambda reply: encode(replace(reply, confusion=np.array([2**62, 0, 0, 0]))),
        lambda reply: encode(reply)[:-1],
    ],
)
def test_confusion_counts_that_do_not_fit_are_dropped_and_counted(
    store: Store, spoil: Callable[[EvaluateReply], bytes]
) -> None:
    inbox = Inbox(store, SHAPES)
    good = EvaluateReply(round=1, confusion=np.array([3, 1, 0, 2]))
    counts = inbox.judged(1, {ONE: spoil(good), TWO: encode(good)})
    assert {device: each.tolist() for device, each in counts.items()} == {TWO: [3, 1, 0, 2]}
    assert inbox.dropped.total() == 1


BAD_SERVED = {
    "no bytes": b"",
    "another kind": encode(survey()),
    "another round": encode(ServeReply(round=2, serial=2)),
}


@pytest.mark.parametrize("blob", BAD_SERVED.values(), ids=BAD_SERVED)
def test_only_who_says_so_of_this_round_serves_its_head(store: Store, blob: bytes) -> None:
    inbox, good = Inbox(store, SHAPES), encode(ServeReply(round=1, serial=2))
    for device in (ONE, TWO):
        store.expect_all(1, "canary", {device: b"serve this"})
        store.expect_all(1, "roll_out", {device: b"serve this"})
    assert inbox.served(1, "canary", {ONE: blob, TWO: good}) == [TWO]
    assert inbox.dropped.total() == 1
    # who did not say so is asked again, and of the roll-out nothing was said at all
    assert store.expected(1, "canary") == {ONE: b"serve this"}
    assert set(store.expected(1, "roll_out")) == {ONE, TWO}


def test_a_device_that_says_twice_what_it_serves_serves_it_once(store: Store) -> None:
    inbox, reply = Inbox(store, SHAPES), encode(ServeReply(round=1, serial=2))
    store.expect_all(1, "roll_out", {ONE: b"serve this"})
    for _ in range(2):
        assert inbox.served(1, "roll_out", {ONE: reply}) == [ONE]
    assert store.overdue(2) == []
