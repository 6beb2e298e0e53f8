from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from coordinator.inbox import ANCHORS, LABELED, MOMENTS, VOTED, VOTED_ITEMS, VOTES
from coordinator.models.totals import Totals, shapes_of
from coordinator.store.campaign import Store, open_store
from fieldvote.errors import UnavailableError
from fieldvote.records import encode
from strategies.aggregation.summed_head import HeadSums, head_sums
from strategies.labeling import AnchorSummary, LabelModel, VoteSummary
from strategies.representation import Moments
from tests.coordinator.rounds.campaign import NOON, SETTINGS, TASK

RNG = np.random.default_rng(5)
BALLOTS = [RNG.integers(-1, 2, size=(12, 2)).astype(np.int8) for _ in range(3)]
EMBEDDINGS = [RNG.normal(size=(12, 3)) for _ in range(3)]


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(open_store(None, now=lambda: NOON)) as fresh:
        yield fresh


def totals(store: Store, **changes: float) -> Totals:
    settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]  # a table of floats
    return Totals(store, TASK, settings)


def test_the_lengths_are_those_of_what_devices_of_the_task_send() -> None:
    shapes = shapes_of(TASK)
    votes = VoteSummary.from_votes(BALLOTS[0], classes=2)
    anchors = AnchorSummary.from_votes(BALLOTS[0], np.zeros(12, dtype=np.int64), classes=2)
    assert (shapes.votes, shapes.anchors, shapes.classes) == (
        len(votes.to_vector()),
        len(anchors.to_vector()),
        2,
    )


def test_the_label_model_is_that_of_all_votes_and_anchors_together(store: Store) -> None:
    truth = [RNG.integers(0, 2, size=12) for _ in BALLOTS]
    for votes, labels in zip(BALLOTS, truth, strict=True):
        store.add(VOTES, VoteSummary.from_votes(votes, classes=2).to_vector())
        store.add(ANCHORS, AnchorSummary.from_votes(votes, labels, classes=2).to_vector())
    central = LabelModel.fit(
        VoteSummary.from_votes(np.concatenate(BALLOTS), classes=2),
        anchors=AnchorSummary.from_votes(np.concatenate(BALLOTS), np.concatenate(truth), classes=2),
    )
    assert np.array_equal(totals(store).label_model().to_vector(), central.to_vector())


def test_before_any_vote_every_class_is_as_likely(store: Store) -> None:
    soft = totals(store).label_model().predict(np.full((2, 2), -1, dtype=np.int8))
    assert np.allclose(soft, 0.5)


def test_the_first_model_stands_on_the_moments_of_the_whole_fleet(store: Store) -> None:
    with pytest.raises(UnavailableError, match="no device was surveyed yet"):
        totals(store).first_model()
    for embeddings in EMBEDDINGS:
        store.add(MOMENTS, Moments.from_embeddings(embeddings).to_vector())
    model = totals(store).first_model()
    assert np.allclose(model.mean, np.concatenate(EMBEDDINGS).mean(axis=0))
    assert model.classes == 2
    assert not model.weights.any()
    assert encode(model) == encode(totals(store).first_model())


@pytest.mark.parametrize(
    ("voted", "weight", "expected"),
    [(None, 2.0, 0.0), (0, 2.0, 0.0), (40, 2.0, 0.05), (40, 0.0, 0.0), (1, 200.0, 1.0)],
)
def test_the_votes_share_one_weight_and_none_weighs_more_than_an_answer(
    store: Store, voted: int | None, weight: float, expected: float
) -> None:
    if voted is not None:
        store.add(VOTED_ITEMS, np.array([voted]))
    assert totals(store, vote_weight=weight).vote_weight() == pytest.approx(expected)


def test_the_sketch_counts_answers_whole_and_votes_at_their_weight(store: Store) -> None:
    for embeddings in EMBEDDINGS:
        store.add(MOMENTS, Moments.from_embeddings(embeddings).to_vector())
    model = totals(store).first_model()
    width = len(model.weights) // 2
    assert totals(store).head_sums(model, 0.5) == _equal(HeadSums.empty(width=width))
    rows = np.rint(RNG.normal(size=(6, width)) * 300)
    labeled = head_sums(rows[:2], np.ones(2), seed=1)
    voted = head_sums(rows[2:], np.ones(4), seed=1)
    store.add(LABELED, labeled.to_vector())
    store.add(VOTED, voted.to_vector())
    assert totals(store).head_sums(model, 0.0) == _equal(labeled)
    both = totals(store).head_sums(model, 0.25)
    expected = labeled.sketch_values + 0.25 * voted.sketch_values
    assert np.allclose(both.sketch_values, expected, atol=2.0**-12)
    assert both.total_weight == pytest.approx(2 + 0.25 * 4)


class _equal:  # noqa: N801  # reads as a comparison
    """Compares sums by their bits."""

    def __init__(self, sums: HeadSums) -> None:
        self._vector = sums.to_vector().tolist()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeadSums) and other.to_vector().tolist() == self._vector

    __hash__ = None  # type: ignore[assignment]  # compared, never kept
