"""A conversation is a function of what it is told, and never told more than it asked."""

from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldvote.conversation import Conversation, converse, replay
from fieldvote.errors import InternalError


def until_enough(goal: int) -> Generator[int, int, list[int]]:
    """Ask for what is missing until nothing is."""
    came: list[int] = []
    while sum(came) < goal:
        came.append((yield goal - sum(came)))
    return came


@given(st.integers(0, 40), st.lists(st.integers(1, 9), min_size=40, max_size=40))
def test_the_same_answers_lead_to_the_same_result(goal: int, answers: list[int]) -> None:
    held = Conversation.begin(until_enough(goal))
    while held.asked is not None:
        held.tell(answers[held.heard])
    told = answers[: held.heard]
    assert held.over
    assert held.result == told
    again = replay(until_enough(goal), told)
    assert again is not None
    assert (again.result, again.answered, again.heard) == (told, held.answered, held.heard)
    given = iter(answers)
    assert converse(until_enough(goal), lambda _: next(given)) == told
    assert replay(until_enough(goal), [*told, 1]) is None
    assert not told or replay(until_enough(goal), told[:-1]) is None


def test_a_result_of_nothing_is_a_result() -> None:
    def silent() -> Generator[str, int, None]:
        yield from ()

    held = Conversation.begin(silent())
    assert held.over
    assert held.asked is held.result is None


def test_a_question_is_answered_once_and_a_result_waits_for_all() -> None:
    held = Conversation.begin(until_enough(1))
    with pytest.raises(InternalError, match="has a question left"):
        _ = held.result
    held.tell(1)
    with pytest.raises(InternalError, match="more than it asked"):
        held.tell(1)
    assert held.heard == 1
