"""Lessons that are kept: worked out once for a question, and anew for any other."""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from edge import lesson_taking
from edge.agent import Agent
from edge.learning.kept_lessons import said
from edge.learning.lessons import Beliefs, Known, Taught, what_teaches
from edge.lesson_taking import Sent, taught_here
from fieldvote.errors import InputError
from fieldvote.teaching import TeachingRule
from tests.doubles.agents import Device
from tests.doubles.machines import CLASSES, device_of, label_model_of, labeled

SURE = np.full(CLASSES, 3, dtype=np.int64)
RULE = TeachingRule(thresholds=SURE, most_pseudo=0.3)


@pytest.fixture
def worked_out(monkeypatch: pytest.MonkeyPatch) -> list[Beliefs]:
    """Return what lessons are worked out from, as they are."""
    seen: list[Beliefs] = []

    def watched(known: Known, beliefs: Beliefs) -> Taught:
        seen.append(beliefs)
        return what_teaches(known, beliefs)

    monkeypatch.setattr(lesson_taking, "what_teaches", watched)
    return seen


def told(*, answered: int = 15) -> tuple[Device, Sent]:
    """Return a device after some answers, and what it is sent."""
    device = device_of()
    model, _ = labeled(device, first=False, random=answered)
    rule = replace(RULE, groups=np.arange(device.agent.votes.shape[1]))
    votes = np.array(label_model_of(device))
    return device, Sent(label_model=votes, vote_weight=0.5, rule=rule, teacher=model)


def same(one: Taught, other: Taught) -> bool:
    """Return whether two say the same, to the bit."""
    columns = [each.name for each in fields(one.lessons)]
    pairs = [(getattr(one.lessons, name), getattr(other.lessons, name)) for name in columns]
    pairs += [(one.asked, other.asked), (one.report.to_vector(), other.report.to_vector())]
    return all(np.array_equal(ours, theirs) for ours, theirs in pairs)


def test_the_legs_of_a_fit_work_their_lessons_out_once(worked_out: list[Beliefs]) -> None:
    device, sent = told()
    first = taught_here(device.agent._held, sent)
    device.pool.append(b"what was charged for the reply")
    device.pool.keep_note("label model", b"kept")
    again = replace(sent, label_model=sent.label_model.copy())
    assert taught_here(device.agent._held, again) is first
    assert len(worked_out) == 1
    with pytest.raises(ValueError, match="read-only"):
        first.lessons.weights[0] = 4.0


def ruled(sent: Sent, **changes: object) -> Sent:
    """Return what is sent with something else in its rule."""
    rule = sent.rule or TeachingRule()
    return replace(sent, rule=replace(rule, **changes))  # type: ignore[arg-type]  # its own fields


QUESTIONS: dict[str, Callable[[Sent], Sent]] = {
    "another weight": lambda sent: replace(sent, vote_weight=0.25),
    "another label model": lambda sent: replace(sent, label_model=sent.label_model[::-1].copy()),
    "another rule": lambda sent: ruled(sent, high=0.9),
    "other groups": lambda sent: ruled(sent, groups=np.empty(0, dtype=np.int64)),
    "another bin": lambda sent: ruled(sent, thresholds=SURE + 1),
    "no rule": lambda sent: replace(sent, rule=None),
    "no teacher": lambda sent: replace(sent, teacher=None),
    "another teacher": lambda sent: replace(
        sent,
        teacher=sent.teacher and replace(sent.teacher, weights=sent.teacher.weights + 1),
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_another_question_is_not_the_same(name: str) -> None:
    _, sent = told(answered=5)
    assert said(QUESTIONS[name](sent)) != said(sent)


POOLS: dict[str, Callable[[Device], None]] = {
    "an answer more": lambda device: device.pool.answer(
        int(np.flatnonzero(device.pool.column("answer") < 0)[0]), 1, 9
    ),
    "an answer that is another": lambda device: device.pool.update(
        "UPDATE item SET answer = (answer + 1) % 3 WHERE answer IS NOT NULL", [()]
    ),
    "answers that came by lot": lambda device: device.pool.update("UPDATE item SET arm = 0", [()]),
}


@pytest.mark.parametrize("name", POOLS)
def test_when_labels_change_lessons_do(name: str, worked_out: list[Beliefs]) -> None:
    device, sent = told()
    before = taught_here(device.agent._held, sent)
    POOLS[name](device)
    after = taught_here(device.agent._held, sent)
    assert len(worked_out) == 2
    assert not same(before, after)
    assert same(after, taught_here(Agent(device.agent._parts)._held, sent))


def test_what_was_refused_leaves_nothing_behind() -> None:
    device, sent = told()
    first = taught_here(device.agent._held, sent)
    for _ in range(2):
        with pytest.raises(InputError, match="temperature"):
            taught_here(device.agent._held, replace(sent, label_model=sent.label_model[:-1]))
    assert same(taught_here(device.agent._held, sent), first)
