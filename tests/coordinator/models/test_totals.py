from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from coordinator.inbox import ANCHORS, LABELED, MOMENTS, VOTED, VOTED_ITEMS, VOTES
from coordinator.models.totals import (
    Snapshot,
    dump_settings,
    environment,
    label_model_of,
    load_settings_text,
    model_to_start_from,
    shapes_of,
)
from coordinator.settings import BudgetSettings, CampaignSettings, InputSettings, PaceSettings
from coordinator.store.campaign import Store, open_store
from fieldvote.errors import InputError, SettingsError, UnavailableError
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


def taken(store: Store) -> Snapshot:
    return Snapshot.of(store, TASK, SETTINGS)


def fill(store: Store) -> None:
    """Add something to every sum."""
    width = 4
    rows = np.rint(RNG.normal(size=(6, width)) * 300)
    for votes in BALLOTS:
        store.add(VOTES, VoteSummary.from_votes(votes, classes=2).to_vector())
        truth = np.zeros(12, dtype=np.int64)
        store.add(ANCHORS, AnchorSummary.from_votes(votes, truth, classes=2).to_vector())
        store.add(VOTED_ITEMS, np.array([12]))
    store.add(LABELED, head_sums(rows[:2], np.ones(2), seed=1).to_vector())
    store.add(VOTED, head_sums(rows[2:], np.ones(4), seed=1).to_vector())


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
    assert np.array_equal(label_model_of(store, TASK).to_vector(), central.to_vector())


def test_before_any_vote_every_class_is_as_likely(store: Store) -> None:
    soft = label_model_of(store, TASK).predict(np.full((2, 2), -1, dtype=np.int8))
    assert np.allclose(soft, 0.5)


def test_the_first_model_stands_on_the_moments_of_the_whole_fleet(store: Store) -> None:
    with pytest.raises(UnavailableError, match="no device was surveyed yet"):
        model_to_start_from(store, TASK, SETTINGS)
    for embeddings in EMBEDDINGS:
        store.add(MOMENTS, Moments.from_embeddings(embeddings).to_vector())
    model = model_to_start_from(store, TASK, SETTINGS)
    assert np.allclose(model.mean, np.concatenate(EMBEDDINGS).mean(axis=0))
    assert model.classes == 2
    assert not model.weights.any()
    assert encode(model) == encode(model_to_start_from(store, TASK, SETTINGS))


@pytest.mark.parametrize(
    ("voted", "weight", "expected"),
    [(None, 2.0, 0.0), (0, 2.0, 0.0), (40, 2.0, 0.05), (40, 0.0, 0.0), (1, 200.0, 1.0)],
)
def test_the_votes_share_one_weight_and_none_weighs_more_than_an_answer(
    store: Store, voted: int | None, weight: float, expected: float
) -> None:
    if voted is not None:
        store.add(VOTED_ITEMS, np.array([voted]))
    settings = replace(SETTINGS, vote_weight=weight)
    assert taken(store).vote_weight(settings, 2) == pytest.approx(expected)
    assert taken(store).vote_weight(settings, 0) == 0.0


def test_the_sketch_counts_answers_whole_and_votes_at_their_weight(store: Store) -> None:
    for embeddings in EMBEDDINGS:
        store.add(MOMENTS, Moments.from_embeddings(embeddings).to_vector())
    model = model_to_start_from(store, TASK, SETTINGS)
    width = len(model.weights) // 2
    assert taken(store).head_sums(model, 0.5) == _equal(HeadSums.empty(width=width))
    rows = np.rint(RNG.normal(size=(6, width)) * 300)
    labeled = head_sums(rows[:2], np.ones(2), seed=1)
    voted = head_sums(rows[2:], np.ones(4), seed=1)
    store.add(LABELED, labeled.to_vector())
    store.add(VOTED, voted.to_vector())
    assert taken(store).head_sums(model, 0.0) == _equal(labeled)
    both = taken(store).head_sums(model, 0.25)
    expected = labeled.sketch_values + 0.25 * voted.sketch_values
    assert np.allclose(both.sketch_values, expected, atol=2.0**-12)
    assert both.total_weight == pytest.approx(2 + 0.25 * 4)


def test_a_snapshot_stays_what_it_was_while_the_sums_go_on_growing(store: Store) -> None:
    fill(store)
    before = taken(store)
    blob = before.to_bytes()
    fill(store)
    after = taken(store)
    for name in ("votes", "voted_items", "anchors", "labeled", "voted"):
        assert not np.array_equal(getattr(before, name), getattr(after, name))
    assert before.to_bytes() == blob != after.to_bytes()


@pytest.mark.parametrize("filled", [False, True])
def test_a_snapshot_comes_back_as_it_was_kept(store: Store, filled: bool) -> None:
    if filled:
        fill(store)
    made = taken(store)
    again = Snapshot.from_bytes(made.to_bytes())
    assert again.to_bytes() == made.to_bytes() == taken(store).to_bytes()
    assert (again.task, again.environment) == (TASK.digest, environment())
    assert load_settings_text(again.settings) == SETTINGS


@pytest.mark.parametrize("blob", [b"", b"no snapshot", b"\x01"])
def test_bytes_that_are_no_snapshot_are_refused(blob: bytes) -> None:
    with pytest.raises(InputError):
        Snapshot.from_bytes(blob)


@pytest.mark.parametrize(
    "settings",
    [
        CampaignSettings(name="plain"),
        SETTINGS,
        replace(
            SETTINGS,
            inputs=InputSettings(whiten=0.25, fourier=7),
            pace=PaceSettings(open_rounds=3, spare_share=0.25),
            budget=BudgetSettings(labels=0, money=0.1),
            price=1 / 3,
        ),
    ],
)
def test_settings_come_back_from_their_text_to_the_bit(settings: CampaignSettings) -> None:
    assert load_settings_text(dump_settings(settings)) == settings


def test_settings_this_program_does_not_know_are_refused() -> None:
    with pytest.raises(SettingsError):
        load_settings_text('{"name": "c", "hurry": true}')


class _equal:  # noqa: N801  # reads as a comparison
    """Compares sums by their bits."""

    def __init__(self, sums: HeadSums) -> None:
        self._vector = sums.to_vector().tolist()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeadSums) and other.to_vector().tolist() == self._vector

    __hash__ = None  # type: ignore[assignment]  # compared, never kept
