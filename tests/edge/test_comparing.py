"""A device's part in comparing chosen labels with random ones."""

from dataclasses import replace

import numpy as np
import pytest

from fieldvote.arms import DRAW_LIMIT, draw_of, for_evaluation
from fieldvote.comparing import GRADIENT, OUTCOME, SKETCH, CompareReply, CompareRequest
from fieldvote.errors import InputError, RefusalError
from fieldvote.heads import HeadModel
from fieldvote.records import ARM_CHOSEN, ARM_RANDOM, ARM_SEED, decode
from fieldvote.rng import stream
from strategies.aggregation.summed_head import HeadSums, gradient_sums
from tests.doubles.agents import Device, build_device
from tests.doubles.machines import CLASSES, IDS, LABEL, ROWS, TASK, device_of, first_head

BASE = first_head(device_of().survey(random=1, first=True))
OTHER = stream(4, "weights").integers(-(2**20), 2**20, size=len(BASE.weights))
SEED = 5


def asked(
    about: str, *, chosen: int = DRAW_LIMIT - 1, drawn: int = DRAW_LIMIT - 1
) -> CompareRequest:
    return CompareRequest(
        round=1, step=0, about=about, model=BASE, drawn=OTHER, seed=SEED, chosen_below=chosen,
        drawn_below=drawn,
    )  # fmt: skip


def taught(device: Device) -> dict[int, list[int]]:
    """Label every item, a third in each arm; return what may be trained on by arm."""
    found: dict[int, list[int]] = {ARM_CHOSEN: [], ARM_RANDOM: [], ARM_SEED: []}
    for place, item in enumerate(IDS):
        arm = (ARM_CHOSEN, ARM_RANDOM, ARM_SEED)[place % 3]
        device.pool.mark_shipped(place, arm)
        device.pool.answer(place, LABEL[item], 1)
        if arm != ARM_RANDOM or not for_evaluation(item):
            found[arm].append(place)
    return found


def sums(device: Device, request: CompareRequest) -> np.ndarray:
    return decode(device.ask(request), CompareReply).sums


def expected(device: Device, places: list[int], head: HeadModel) -> np.ndarray:
    learner = device.agent._held.learner
    rows = learner.inputs(head)[places]
    targets = np.eye(CLASSES)[[LABEL[IDS[place]] for place in places]]
    return gradient_sums(rows, targets, np.ones(len(places)), learner._head_of(head)).to_vector()


def test_each_head_learns_from_the_seeds_and_from_its_own_arm_below_its_bound() -> None:
    device = device_of()
    arms = taught(device)
    bound = sorted(draw_of(IDS[place], SEED) for place in arms[ARM_CHOSEN])[4]
    few = [place for place in arms[ARM_CHOSEN] if draw_of(IDS[place], SEED) < bound]
    assert len(few) == 4
    other = replace(BASE, weights=OTHER)
    ours, theirs = np.split(sums(device, asked(GRADIENT, chosen=bound)), 2)
    assert ours.tolist() == expected(device, [*arms[ARM_SEED], *few], BASE).tolist()
    assert theirs.tolist() == expected(device, [*arms[ARM_SEED], *arms[ARM_RANDOM]], other).tolist()
    sketches = np.split(sums(device, asked(SKETCH, chosen=bound)), 2)
    weights = [HeadSums.from_vector(sketch).total_weight for sketch in sketches]
    assert weights == [len(arms[ARM_SEED]) + 4, len(arms[ARM_SEED]) + len(arms[ARM_RANDOM])]


def test_the_outcome_is_counted_on_what_never_teaches_and_nothing_else() -> None:
    device = device_of()
    taught(device)
    held = [n for n, item in enumerate(IDS) if n % 3 == 1 and for_evaluation(item)]
    truth = np.array([LABEL[IDS[n]] for n in held])
    learner = device.agent._held.learner
    right = [
        learner.probabilities(each)[held].argmax(axis=1) == truth
        for each in (BASE, replace(BASE, weights=OTHER))
    ]
    counted = sums(device, asked(OUTCOME)).tolist()
    assert counted == [len(held), (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()]


def test_a_device_that_evaluates_counts_and_does_not_teach() -> None:
    judge = build_device(
        TASK, device_of().pool.payloads(), gold=[LABEL[item] for item in IDS], number=7
    )
    assert int(sums(judge, asked(OUTCOME))[0]) == len(ROWS)
    for about in (SKETCH, GRADIENT):
        with pytest.raises(RefusalError):
            sums(judge, asked(about))


def test_a_question_that_is_none_changes_nothing() -> None:
    device = device_of()
    before = device.state()
    for request in (asked("weights"), replace(asked(GRADIENT), drawn=OTHER[:-1])):
        with pytest.raises(InputError):
            device.ask(request)
    assert device.state() == before
