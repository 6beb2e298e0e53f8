"""What a device says of who taught a head: sums that any split leaves as they are, and no more."""

from dataclasses import replace
from inspect import signature

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.items import model_inputs, row_payload
from edge.learning.learner import Learner
from edge.scorer import Scorer
from fieldvote.errors import FieldvoteError, InputError, RefusalError, ShapeError
from fieldvote.heads import GradientReply, GradientRequest, HeadModel, Keeping
from fieldvote.records import decode
from fieldvote.rng import stream
from fieldvote.traces import (
    BEHAVIOURS,
    CURVATURE,
    FATES,
    FISHER,
    FUNCTIONS,
    TraceReply,
    TraceRequest,
)
from strategies.governance.influence import Direction, InfluenceSums
from strategies.representation import Representation
from tests.doubles.agents import Device, build_device, gradient_request
from tests.doubles.machines import (
    CLASSES,
    IDS,
    ROWS,
    TASK,
    TRUTH,
    device_of,
    first_head,
    label_model_of,
)

WHOLE = device_of()
BASE = first_head(WHOLE.survey())
LABEL_MODEL = label_model_of(WHOLE)
PARTS = [device_of(np.arange(0, 17), 1), device_of(np.arange(17, 40), 2)]
JUDGE = build_device(
    TASK, [row_payload(row) for row in ROWS], ids=IDS, gold=TRUTH.tolist(), number=3
)


def head(seed: int) -> HeadModel:
    """Return a head with drawn weights."""
    weights = stream(seed, "weights").normal(size=len(BASE.weights)) * 2.0**19
    return replace(BASE, weights=np.rint(weights).astype(np.int64))


AFTER = head(1)
LESSON = gradient_request(AFTER, vote_weight=0.5, label_model=LABEL_MODEL)
SHAPE = (len(AFTER.weights) // CLASSES, CLASSES)


def steps(seed: int) -> NDArray[np.int64]:
    """Return a direction as it is sent."""
    return Direction.of(stream(seed, "way").normal(size=SHAPE)).steps.weights


def question(about: str, **changes: object) -> TraceRequest:
    """Return a question with everything it may need."""
    said: dict[str, object] = {
        "round": 1,
        "step": 4,
        "about": about,
        "lesson": LESSON,
        "behaviours": CLASSES,
        "directions": np.concatenate([steps(n)[:, :-1].ravel() for n in range(CLASSES)]),
        "before": BASE,
        "change": steps(7).ravel(),
        **changes,
    }
    return TraceRequest(**said)  # type: ignore[arg-type]  # a table of fields


def told(device: Device, asked: TraceRequest) -> NDArray[np.int64]:
    """Return what a device says."""
    reply = decode(device.ask(asked), TraceReply)
    assert (reply.round, reply.step) == (1, 4)
    return reply.sums


@pytest.mark.parametrize("about", [CURVATURE, FUNCTIONS, FISHER])
def test_what_teaches_adds_up_to_the_same_bits_however_items_are_split(about: str) -> None:
    whole = told(WHOLE, question(about))
    assert whole.any()
    parts = [told(part, question(about)) for part in PARTS]
    assert np.array_equal(parts[0] + parts[1], whole)


@pytest.mark.parametrize("about", [BEHAVIOURS, FATES])
def test_what_judges_adds_up_to_the_same_bits_however_items_are_split(about: str) -> None:
    whole = told(JUDGE, question(about))
    assert whole.any()
    total = np.zeros_like(whole)
    for number, places in enumerate((np.arange(0, 9), np.arange(9, 40))):
        payloads, ids = [row_payload(ROWS[n]) for n in places], [IDS[n] for n in places]
        gold = TRUTH[places].tolist()
        part = build_device(TASK, payloads, ids=ids, gold=gold, number=4 + number)
        total += told(part, question(about))
    assert np.array_equal(total, whole)


def test_behaviours_are_counts_losses_and_gradients_of_judged_items() -> None:
    whole = told(JUDGE, question(BEHAVIOURS))
    assert whole[:CLASSES].tolist() == np.bincount(TRUTH, minlength=CLASSES).tolist()
    assert (whole[CLASSES : 2 * CLASSES] > 0).all()
    one = told(JUDGE, question(BEHAVIOURS, behaviours=1))
    gradients = whole[2 * CLASSES :].reshape(CLASSES, -1)
    assert np.array_equal(one[2:], gradients.sum(axis=0))
    assert one[0] == len(ROWS)
    assert not told(WHOLE, question(BEHAVIOURS)).any()  # it has no answer that only judges


def test_fates_are_in_the_half_of_who_judges() -> None:
    held_out, arm = np.split(told(JUDGE, question(FATES)), 2)
    assert held_out.sum() == len(ROWS)
    assert not arm.any()
    same = told(JUDGE, question(FATES, before=AFTER)).reshape(2, CLASSES, 4)
    assert not same[:, :, 1:3].any()  # nothing lost, nothing gained


def test_a_function_s_row_is_what_its_votes_change_and_answers_have_a_row_too() -> None:
    sums = InfluenceSums.from_vector(told(WHOLE, question(FUNCTIONS)), behaviours=2 * CLASSES)
    assert sums.steps.shape == (len(TASK.functions) + 1, 2 * CLASSES)
    assert sums.steps[:-1].any(axis=1).all()
    assert not sums.steps[-1].any()  # nobody has answered anything
    silent = replace(LESSON, vote_weight=0.0, label_model=np.empty(0))
    assert not told(WHOLE, question(FUNCTIONS, lesson=silent)).any()


@pytest.mark.parametrize("about", [CURVATURE, FUNCTIONS, FISHER])
def test_a_device_that_only_evaluates_says_nothing_of_what_teaches(about: str) -> None:
    with pytest.raises(RefusalError, match="only evaluates"):
        JUDGE.ask(question(about))


LONG = np.full(CLASSES * SHAPE[0] * (CLASSES - 1), 1 << 38)
WIDE = np.full(len(BASE.weights), 1 << 38)
HOSTILE: dict[str, tuple[TraceRequest, type[FieldvoteError]]] = {
    "no question of ours": (question("everything"), InputError),
    "no behaviours": (question(CURVATURE, behaviours=0), InputError),
    "too many behaviours": (question(CURVATURE, behaviours=500), InputError),
    "as many behaviours as nobody has": (question(BEHAVIOURS, behaviours=2), ShapeError),
    "directions that would overflow": (question(CURVATURE, directions=LONG), InputError),
    "directions that wrap": (
        question(CURVATURE, directions=np.full(len(LONG), np.iinfo(np.int64).min)), InputError,
    ),
    "directions that are missing": (
        question(FUNCTIONS, directions=np.empty(0, dtype=np.int64)), ShapeError,
    ),
    "a change of another shape": (question(FUNCTIONS, change=steps(1)[0]), ShapeError),
    "a change that would overflow": (question(FUNCTIONS, change=WIDE), InputError),
    "no head before": (question(FUNCTIONS, before=None), InputError),
    "a head of other classes": (
        question(CURVATURE, lesson=replace(LESSON, model=replace(AFTER, classes=1))),
        FieldvoteError,
    ),
    "another task": (question(CURVATURE, lesson=replace(LESSON, task="f" * 64)), RefusalError),
    "a network in place of a head": (
        question(CURVATURE, lesson=replace(LESSON, model=replace(AFTER, deep=np.arange(3)))),
        FieldvoteError,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "error"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_question_is_refused_and_changes_nothing(
    asked: TraceRequest, error: type[FieldvoteError]
) -> None:
    device = JUDGE if asked.about == BEHAVIOURS else WHOLE
    before = device.state()
    with pytest.raises(error):
        device.ask(asked)
    assert device.state() == before


def test_without_a_head_before_there_are_no_fates() -> None:
    with pytest.raises(InputError, match="was not sent"):
        JUDGE.ask(question(FATES, before=None))


def kept(**changes: object) -> GradientRequest:
    """Return a lesson that keeps what was known."""
    said: dict[str, object] = {
        "before": AFTER,
        "share": 0.5,
        "fresh": np.array([0]),
        "replay": 0.0,
        "replayed": 4,
        **changes,
    }
    return replace(LESSON, keeping=Keeping(**said))  # type: ignore[arg-type]  # a table of fields


def test_what_is_kept_teaches_silent_items_and_leaves_corrections_alone() -> None:
    everything = told(WHOLE, question(FISHER, lesson=kept()))
    assert everything[0] > told(WHOLE, question(FISHER))[0]  # silent items teach too
    nothing = told(WHOLE, question(FISHER, lesson=kept(share=0.0)))
    assert np.array_equal(nothing, told(WHOLE, question(FISHER)))
    # where every function is new, votes teach as they did; else the head before has a say
    fresh = np.arange(len(TASK.functions))
    as_before, mixed = (decode_sums(WHOLE, lesson) for lesson in (kept(fresh=fresh), kept()))
    assert not np.array_equal(as_before, mixed)


def decode_sums(device: Device, lesson: GradientRequest) -> NDArray[np.int64]:
    """Return a gradient."""
    return decode(device.ask(lesson), GradientReply).sums


def test_what_is_kept_adds_up_however_items_are_split() -> None:
    whole = decode_sums(WHOLE, kept())
    assert np.array_equal(sum(decode_sums(part, kept()) for part in PARTS), whole)


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 2.0},
        {"share": float("nan")},
        {"replay": 100.0},
        {"replayed": -1, "replay": 1.0},
        {"fresh": np.array([9])},
        {"fresh": np.array([-1])},
    ],
)
def test_what_nobody_would_keep_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        WHOLE.ask(kept(**wrong))


def test_what_makes_inputs_is_handed_nothing_that_knows_a_label() -> None:
    makers = (
        model_inputs,
        Scorer.score,
        Representation.inputs,
        Representation.centre,
        Learner.__init__,
        Learner.features,
        Learner.inputs,
    )
    labels = {"votes", "labels", "answers", "targets", "weights", "arms", "lessons", "gold"}
    for maker in makers:
        assert not labels & set(signature(maker).parameters), maker


def test_labels_of_every_kind_leave_inputs_as_they_are() -> None:
    device = device_of(np.arange(20), 9)
    learner = device.agent._held.learner
    before = learner.inputs(AFTER).copy()
    ways = ("gold", "arm", "answer", "answered_in", "summed")
    for place in range(20):
        for name in ways:
            device.pool.update(f"UPDATE item SET {name} = 1 WHERE position = ?", [(place,)])  # noqa: S608  # names from the list above
    again = device_of(np.arange(20), 9)
    assert np.array_equal(learner.inputs(AFTER), before)
    assert np.array_equal(again.agent._held.learner.inputs(AFTER), before)
