from dataclasses import replace

import numpy as np
import pytest

from coordinator.models.recasting import with_inputs
from coordinator.settings import InputSettings
from edge.items import row_payload
from edge.selection import for_evaluation
from fieldvote.errors import InputError, RefusalError
from fieldvote.heads import HeadModel
from fieldvote.recasting import RecastReply, RecastRequest
from fieldvote.records import ARM_RANDOM, decode
from strategies.aggregation.sketch import sketch_length
from strategies.input_choice import sums_length
from tests.doubles.agents import Device, build_device
from tests.doubles.machines import ROWS, TASK, device_of, labeled

RANK = 4


def asked(device: Device, models: tuple[HeadModel, ...], *, rank: int = RANK) -> RecastReply:
    empty = np.empty(0, dtype=np.int64)
    request = RecastRequest(
        round=3, step=1, models=tuple(replace(m, weights=empty) for m in models), rank=rank
    )
    return decode(device.ask(request), RecastReply)


def answered() -> tuple[Device, HeadModel]:
    """Return a device whose items were all drawn by lot and answered, and a head over them."""
    device = device_of()
    model, _ = labeled(device, first=False)
    return device, model


def test_one_vector_for_each_way_and_in_their_order() -> None:
    device, head = answered()
    wider = with_inputs(head, InputSettings(fourier=5))
    both = asked(device, (head, wider)).sums
    one, other = asked(device, (head,)).sums, asked(device, (wider,)).sums
    assert np.array_equal(both, np.concatenate([one, other]))
    width = len(head.weights) // head.classes
    assert len(one) == sums_length(width=width, classes=head.classes, rank=RANK)
    assert len(other) == sums_length(width=width + 5, classes=head.classes, rank=RANK)


def test_items_for_evaluation_are_in_no_sum() -> None:
    device, head = answered()
    arms, answers = device.pool.column("arm"), device.pool.column("answer")
    half = np.array([for_evaluation(item) for item in device.pool.ids()])
    teaching = (answers >= 0) & ~((arms == ARM_RANDOM) & half)
    assert 0 < teaching.sum() < (answers >= 0).sum()
    assert asked(device, (head,)).sums[-head.classes :].sum() == teaching.sum()


def test_without_a_rank_the_curvature_of_labeled_and_voted_items_is_told() -> None:
    device, head = answered()
    sums = asked(device, (head,), rank=0).sums
    width = len(head.weights) // head.classes
    assert len(sums) == 2 * sketch_length(width)
    assert sums[0] > 0


def test_a_device_without_answers_tells_zeros_of_the_same_length() -> None:
    full, head = answered()
    device = device_of()
    assert not asked(device, (head,)).sums.any()
    assert len(asked(device, (head,)).sums) == len(asked(full, (head,)).sums)


def test_asking_changes_nothing() -> None:
    device, head = answered()
    before = device.pool.column("answer").tolist()
    assert np.array_equal(asked(device, (head,)).sums, asked(device, (head,)).sums)
    assert device.pool.column("answer").tolist() == before


def test_more_ways_than_a_device_tries_are_refused() -> None:
    device, head = answered()
    for models in ((), (head,) * 17):
        with pytest.raises(InputError, match="ways to try"):
            asked(device, models)


def test_a_device_that_only_evaluates_is_asked_nothing() -> None:
    _, head = answered()
    judge = build_device(TASK, [row_payload(ROWS[0])], gold=[0])
    with pytest.raises(RefusalError):
        asked(judge, (head,))
