"""The fit as a conversation: who leads it, and how items are dealt, changes no bit of the model."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling import (
    AnchorSummary,
    LabelModel,
    VoteQuestion,
    VoteSummary,
    fit_across,
    fit_exchanges,
    majority_vote,
)
from tests.strategies.labeling.made_votes import known_votes

Shards = Sequence[NDArray[np.intp]]
NOBODY = np.empty(0, dtype=np.intp)


def hold(
    votes: NDArray[np.int8],
    shards: Shards,
    *,
    classes: int,
    labels: NDArray[np.int64] | None = None,
    answered: NDArray[np.bool_] | None = None,
    listen: Callable[[VoteQuestion], None] = lambda _: None,
) -> LabelModel:
    """Hold the conversation with devices that own these rows."""
    rows = np.flatnonzero(answered) if answered is not None else NOBODY
    anchors = None
    if labels is not None:
        anchors = AnchorSummary.from_votes(votes[rows], labels[rows], classes=classes)
    total = VoteSummary.from_votes(votes, classes=classes)
    fit = fit_exchanges(total, anchors=anchors)
    try:
        question = next(fit)
        while True:
            listen(question)
            # as a wire has it
            told = VoteQuestion.unpacked(
                question.about,
                LabelModel.from_vector(question.model.to_vector()),
                copies=question.packed_copies,
                one_in=question.one_in,
            )
            answers = []
            for mine in shards:
                asked = np.flatnonzero(np.isin(mine, rows))
                truth = NOBODY if labels is None else labels[mine][asked]
                answers.append(told.answer(votes[mine], answered=asked, labels=truth))
                assert answers[-1].shape == (question.length,)
            question = fit.send(reduce(add, answers))
    except StopIteration as done:
        model: LabelModel = done.value
        return model


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), devices=st.integers(1, 9), answers=st.integers(0, 60))
def test_any_dealing_and_the_rehearsal_come_to_the_same_bits(
    seed: int, devices: int, answers: int
) -> None:
    known = known_votes(seed % 50, items=300, functions=6, classes=3)
    rng = np.random.default_rng(seed)
    answered = np.zeros(300, dtype=np.bool_)
    answered[rng.permutation(300)[:answers]] = True
    owner = rng.integers(0, devices, 300)
    shards = [np.flatnonzero(owner == device) for device in range(devices)]
    dealt = hold(known.votes, shards, classes=3, labels=known.labels, answered=answered)
    alone = hold(known.votes, [np.arange(300)], classes=3, labels=known.labels, answered=answered)
    assert np.array_equal(dealt.to_vector(), alone.to_vector())
    plain = hold(known.votes, shards, classes=3)
    again = fit_across([known.votes[mine] for mine in shards], classes=3)
    assert np.array_equal(plain.to_vector(), again.to_vector())


def test_what_is_asked_is_what_the_votes_call_for() -> None:
    def asked(votes: NDArray[np.int8], answers: int) -> list[str]:
        heard: list[str] = []
        labels = np.zeros(len(votes), dtype=np.int64)
        hold(
            votes,
            [np.arange(len(votes))],
            classes=3,
            labels=labels,
            answered=np.arange(len(votes)) < answers,
            listen=lambda question: heard.append(question.about),
        )
        return heard

    mixed = known_votes(1, items=400, functions=6, classes=3).votes
    one_class = np.where(mixed == np.arange(6) % 3, mixed, -1).astype(np.int8)
    heard = asked(mixed, 0)
    assert heard[-1] == "foretold"
    assert set(heard[:-1]) == {"expected"}
    assert 1 <= len(heard) - 1 <= 3
    assert asked(mixed, 20) == [*heard, "answered"]
    assert asked(one_class, 20) == ["answered"]
    assert asked(one_class, 0) == []


def test_majority_takes_the_model_s_place_where_answers_say_it_is_surely_better() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 2000)
    good = np.where(rng.random(2000) < 0.95, labels, 1 - labels)
    trend = np.where(rng.random(2000) < 0.4, labels, 1 - labels)
    columns = [
        *(np.where(rng.random(2000) < 0.99, good, 1 - good) for _ in range(7)),
        *(np.where(rng.random(2000) < 0.8, trend, 1 - trend) for _ in range(3)),
    ]
    votes = np.stack(columns, axis=1).astype(np.int8)

    def fitted(answers: int) -> LabelModel:
        answered = np.arange(2000) < answers
        everything = [np.arange(2000)]
        return hold(votes, everything, classes=2, labels=labels, answered=answered)

    majority = majority_vote(votes, 2)
    clear = majority.max(axis=1) > 0.5
    model = fitted(400)
    assert np.array_equal(
        model.predict(votes)[clear].argmax(axis=1), majority[clear].argmax(axis=1)
    )
    right = (model.predict(votes).argmax(axis=1) == labels).mean()
    assert right > 0.9 > (fitted(0).predict(votes).argmax(axis=1) == labels).mean()


def test_a_conversation_that_makes_no_sense_is_refused() -> None:
    total = VoteSummary.empty(functions=2, classes=2)
    with pytest.raises(InputError):
        next(fit_exchanges(total, exchanges=-1))
    with pytest.raises(ShapeError):
        next(fit_exchanges(total, anchors=AnchorSummary.empty(functions=3, classes=2)))
    votes = known_votes(1, items=400, functions=6, classes=3).votes
    fit = fit_exchanges(VoteSummary.from_votes(votes, classes=3))
    next(fit)
    with pytest.raises(ShapeError):
        fit.send(np.zeros(3, dtype=np.int64))
