from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from coordinator.models.recasting import with_inputs
from coordinator.settings import InputSettings
from edge.items import row_payload
from edge.selection import for_evaluation
from fieldvote.codec import IntVector
from fieldvote.errors import FieldvoteError, InputError, RefusalError
from fieldvote.heads import GradientReply, HeadModel
from fieldvote.recasting import JUDGE, TEACH, RecastReply, RecastRequest
from fieldvote.records import ARM_CHOSEN, ARM_RANDOM, decode
from strategies.aggregation.sketch import sketch_length
from strategies.input_choice import sums_length
from strategies.vote_choice import losses_of
from tests.doubles.agents import Device, build_device, gradient_request
from tests.doubles.machines import (
    EVERYTHING,
    LABEL,
    ROWS,
    TASK,
    device_of,
    first_head,
    label_model_of,
)

RANK = 4


def asked(device: Device, models: tuple[HeadModel, ...], *, rank: int = RANK) -> RecastReply:
    empty = np.empty(0, dtype=np.int64)
    request = RecastRequest(
        round=3, step=1, models=tuple(replace(m, weights=empty) for m in models), rank=rank
    )
    return decode(device.ask(request), RecastReply)


def answered(*, random: int = EVERYTHING, chosen: int = 0) -> tuple[Device, HeadModel]:
    """Return a device so many of whose items were drawn by lot, or chosen, and all answered."""
    device = device_of()
    surveyed = device.survey(random=random)
    model = first_head(surveyed)
    if chosen:
        surveyed = device.survey(2, random=random, chosen=chosen, model=model)
    ours = [offer.item for offer in surveyed.offers if offer.item in LABEL]  # the rest is padding
    sealed = device.collect(ours).sealed
    device.answers([device.sealed_answer(each.item, LABEL[each.item]) for each in sealed], model)
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


def weighed(
    device: Device,
    heads: list[HeadModel],
    weights: list[float],
    *,
    about: str = TEACH,
    voters: Sequence[float] = (),
) -> IntVector:
    """Return what a device says of heads at several weights of the votes."""
    request = RecastRequest(
        round=3,
        step=1,
        models=(replace(heads[0], weights=np.empty(0, dtype=np.int64)),),
        rank=0,
        about=about,
        heads=np.concatenate([head.weights for head in heads]),
        vote_weights=np.array(weights),
        label_model=np.array(voters, dtype=np.float64),
    )
    return decode(device.ask(request), RecastReply).sums


def test_each_head_is_taught_as_a_round_would_at_its_weight() -> None:
    device, head = answered(random=8)
    voters = label_model_of(device)
    other = replace(head, weights=np.zeros_like(head.weights))
    both = weighed(device, [head, other], [0.0, 0.25], voters=voters)
    requests = [
        gradient_request(head),
        gradient_request(other, vote_weight=0.25, label_model=voters),
    ]
    taught = [decode(device.ask(request), GradientReply) for request in requests]
    assert np.array_equal(both, np.concatenate([each.sums for each in taught]))
    assert not np.array_equal(taught[1].sums, weighed(device, [other], [0.0]))


def test_only_labels_drawn_by_lot_judge_heads() -> None:
    device, head = answered(random=8, chosen=8)
    arms, answers = device.pool.column("arm"), device.pool.column("answer")
    half = np.array([for_evaluation(item) for item in device.pool.ids()])
    drawn = (answers >= 0) & (arms != ARM_CHOSEN) & ~((arms == ARM_RANDOM) & half)
    zero = replace(head, weights=np.zeros_like(head.weights))
    sums = weighed(device, [zero, head], [0.0, 1.0], about=JUDGE)
    assert 0 < sums[0] == drawn.sum() < ((answers >= 0) & (arms == ARM_CHOSEN)).sum()
    assert losses_of(sums)[0] == pytest.approx(np.log(head.classes), abs=1e-3)


def test_a_device_that_only_evaluates_chooses_nothing() -> None:
    _, head = answered()
    judge = build_device(TASK, [row_payload(ROWS[0])], gold=[0])
    for about in (TEACH, JUDGE):
        with pytest.raises(RefusalError):
            weighed(judge, [head], [0.0], about=about)


@pytest.mark.parametrize(
    ("heads", "weights", "about"),
    [(2, [0.0], TEACH), (1, [], TEACH), (1, [0.0] * 17, JUDGE), (1, [0.0], "something")],
)
def test_heads_that_are_no_question_of_ours_are_refused(
    heads: int, weights: list[float], about: str
) -> None:
    device, head = answered()
    with pytest.raises(FieldvoteError):
        weighed(device, [head] * heads, weights, about=about)
